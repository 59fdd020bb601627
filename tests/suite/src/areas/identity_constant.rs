// SPDX-License-Identifier: GPL-2.0

//! An object of any type, from any layer, keeps its numbers whatever happens
//! to it, for whoever looks.

use std::fs::File;

use rustix::fs::{link, renameat_with, FileType, RenameFlags, CWD};
use rustix::io::Errno;

use crate::areas::identity_views::{each, hold, look, make_each, mount, Identity};
use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::handle;
use crate::support::must::must;

tests! {
    EVERYWHERE:
        over_copy_up,
        over_rename,
        over_rename_to_another_directory,
        over_link,
        over_exchange,
        over_copy_up_of_their_directory,
        over_eviction,
        over_remount,
        over_all_of_it;
    TWICE: of_handles_that_only_identify;
}

/// What a test looks after: a name now, a descriptor from before, and what the
/// object's identity was then.
pub struct Kept {
    m: Dir,
    objects: Vec<(String, File, Identity)>,
}

impl Kept {
    /// Remembers these objects.
    #[track_caller]
    pub fn new(m: &Dir, names: impl IntoIterator<Item = String>) -> Self {
        let objects = names
            .into_iter()
            .map(|name| {
                let held = hold(m, &name);
                let identity = look(m, &name, &held);
                (name, held, identity)
            })
            .collect();
        Self {
            m: m.clone(),
            objects,
        }
    }

    /// Fails if an identity is another than it was.
    #[track_caller]
    pub fn assert_kept(&self) {
        for (name, held, identity) in &self.objects {
            assert_eq!(look(&self.m, name, held), *identity, "{name}");
        }
    }

    /// Changes every object's attributes, and the content of files: what is
    /// lower is copied up.
    #[track_caller]
    pub fn change(&self) {
        for (name, ..) in &self.objects {
            self.m.chown(name, 1, 1);
            if self.m.kind(name) == FileType::RegularFile {
                self.m.append(name, b", more");
            }
        }
    }

    /// Renames every object that may be: a directory of a lower layer may not be
    /// moved by every driver.
    #[track_caller]
    pub fn rename(&mut self, new_name: impl Fn(&str) -> String) {
        for (name, ..) in &mut self.objects {
            let new = new_name(name);
            if new == *name {
                continue;
            }
            match rustix::fs::rename(self.m.at(&*name), self.m.at(&new)) {
                Err(Errno::XDEV) if lower_directory(name) => {}
                renamed => {
                    must(format_args!("rename {name}"), renamed);
                    *name = new;
                }
            }
        }
    }

    /// Drops the descriptors and what the kernel remembers, or only the latter.
    #[track_caller]
    pub fn evict(&mut self, held_too: bool) {
        let mut names = Vec::new();
        if held_too {
            for (name, held, identity) in self.objects.drain(..) {
                drop(held);
                names.push((name, identity));
            }
        }
        rustix::fs::sync();
        must(
            "drop caches",
            std::fs::write("/proc/sys/vm/drop_caches", "3"),
        );
        for (name, identity) in names {
            let held = hold(&self.m, &name);
            self.objects.push((name, held, identity));
        }
    }

    /// Mounts the overlay anew, whose device may be another one then.
    #[track_caller]
    pub fn remount(&mut self, bed: &Bed, mount: impl Fn(&Bed) -> Dir) {
        let objects = std::mem::take(&mut self.objects);
        let objects: Vec<_> = objects
            .into_iter()
            .map(|(name, _, identity)| (name, identity))
            .collect();
        bed.umount();
        self.m = mount(bed);
        let device = self.m.stat("").st_dev;
        for (name, mut identity) in objects {
            let held = hold(&self.m, &name);
            identity.numbers.0 = device;
            self.objects.push((name, held, identity));
        }
    }
}

fn lower_directory(name: &str) -> bool {
    name.ends_with("low-dir") || name.ends_with("copied-dir")
}

/// Objects of each type that are lower, copied up, upper, and new.
#[track_caller]
pub fn objects(bed: &Bed, mount: impl Fn(&Bed) -> Dir) -> Kept {
    make_each(&bed.lower, "low-");
    make_each(&bed.lower, "copied-");
    make_each(&bed.upper, "up-");
    let m = mount(bed);
    Kept::new(&m, each("copied-")).change();
    make_each(&m, "new-");
    let prefixes = ["low-", "copied-", "up-", "new-"];
    Kept::new(&m, prefixes.into_iter().flat_map(each))
}

fn over_copy_up(bed: &Bed) {
    let objects = objects(bed, mount);
    objects.change();
    assert!(bed.upper.exists("low-block"));
    objects.assert_kept();
}

fn over_rename(bed: &Bed) {
    let mut objects = objects(bed, mount);
    objects.rename(|name| format!("renamed-{name}"));
    objects.assert_kept();
    objects.change();
    objects.assert_kept();
}

fn over_rename_to_another_directory(bed: &Bed) {
    bed.lower.sub("a").sub("b");
    bed.lower.sub("c");
    let mut objects = objects(bed, mount);
    objects.rename(|name| format!("a/b/{name}"));
    objects.assert_kept();
    objects.rename(|name| name.replace("a/b/", "c/"));
    objects.assert_kept();
}

fn over_link(bed: &Bed) {
    let objects = objects(bed, mount);
    let m = &objects.m;
    let others = objects
        .objects
        .iter()
        .filter(|(name, ..)| !name.ends_with("dir"));
    for (name, held, identity) in others {
        let linked = format!("linked-{name}");
        must("link", link(m.at(name), m.at(&linked)));
        for name in [name, &linked] {
            assert_eq!(look(m, name, held), *identity, "{name}");
        }
        m.unlink(name);
        assert_eq!(look(m, &linked, held), *identity, "{linked}");
    }
}

fn over_exchange(bed: &Bed) {
    let objects = objects(bed, mount);
    let m = &objects.m;
    let (mut low, mut others) = (Vec::new(), Vec::new());
    for object in objects.objects.iter().filter(|o| !lower_directory(&o.0)) {
        if object.0.starts_with("low-") {
            low.push(object);
        } else {
            others.push(object);
        }
    }
    // Types differ in most of the pairs.
    for (one, two) in low.iter().cycle().zip(&others) {
        let (a, b) = (m.at(&one.0), m.at(&two.0));
        let exchange = || renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE);
        must("exchange", exchange());
        assert_eq!(look(m, &two.0, &one.1), one.2, "{}", one.0);
        assert_eq!(look(m, &one.0, &two.1), two.2, "{}", two.0);
        must("exchange back", exchange());
    }
    objects.assert_kept();
}

fn over_copy_up_of_their_directory(bed: &Bed) {
    let inner = bed.lower.sub("outer").sub("inner");
    make_each(&inner, "");
    let m = mount(bed);
    let names = each("outer/inner/")
        .into_iter()
        .chain(["outer".into(), "outer/inner".into()]);
    let objects = Kept::new(&m, names);
    m.file("outer/new", "");
    objects.assert_kept();
    m.chmod("outer/inner", 0o700);
    assert!(bed.upper.exists("outer/inner"));
    objects.assert_kept();
    assert!(!bed.upper.exists("outer/inner/file"));
}

fn over_eviction(bed: &Bed) {
    let mut objects = objects(bed, mount);
    objects.evict(false);
    objects.assert_kept();
    objects.evict(true);
    objects.assert_kept();
    objects.change();
    objects.evict(false);
    objects.assert_kept();
    objects.evict(true);
    objects.assert_kept();
}

fn over_remount(bed: &Bed) {
    let mut objects = objects(bed, mount);
    objects.remount(bed, mount);
    objects.assert_kept();
    objects.change();
    objects.assert_kept();
    objects.remount(bed, mount);
    objects.assert_kept();
}

/// Everything, one after the other.
#[track_caller]
pub fn through_everything(bed: &Bed, mount: impl Fn(&Bed) -> Dir) {
    bed.lower.sub("to");
    let mut objects = objects(bed, &mount);
    objects.evict(true);
    objects.rename(|name| format!("to/{name}"));
    objects.change();
    objects.assert_kept();
    objects.evict(true);
    objects.assert_kept();
    objects.remount(bed, &mount);
    objects.assert_kept();
    objects.rename(|name| name.replace("to/", "again-"));
    objects.evict(false);
    objects.assert_kept();
    objects.remount(bed, &mount);
    objects.assert_kept();
}

fn over_all_of_it(bed: &Bed) {
    through_everything(bed, mount);
}

fn of_handles_that_only_identify(bed: &Bed) {
    let objects = objects(bed, mount);
    let handles = || {
        let of = |name: &String| (name.clone(), handle::of(&objects.m.at(name), handle::FID));
        objects
            .objects
            .iter()
            .map(|object| of(&object.0))
            .collect::<Vec<_>>()
    };
    let before = handles();
    objects.change();
    assert_eq!(handles(), before);
}
