// SPDX-License-Identifier: GPL-2.0

//! In a tree from many layers, two names have the same numbers exactly if they
//! are links to one object.

use std::collections::{BTreeMap, BTreeSet};

use rustix::fs::FileType;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;

tests! {
    TWICE: by_default, with_xino_on, with_xino_off, with_xino_auto;
    EVERYWHERE: of_a_listing_and_stat;
}

/// The objects of a tree as the test knows them: by path, which object it is.
struct Tree {
    m: Dir,
    objects: BTreeMap<String, usize>,
    made: usize,
}

impl Tree {
    fn new_object(&mut self, path: &str) {
        self.made += 1;
        self.objects.insert(path.to_owned(), self.made);
    }

    fn same_object(&mut self, path: &str, as_this: &str) {
        self.objects.insert(path.to_owned(), self.objects[as_this]);
    }

    /// Puts files, links, directories and nodes into a layer, and notes what
    /// the overlay has to show.
    #[track_caller]
    fn fill(&mut self, layer: &Dir, prefix: &str) {
        for number in 0..8 {
            let dir = format!("{prefix}{number}");
            layer.sub(&dir);
            self.new_object(&dir);
            for number in 0..6 {
                let file = format!("{dir}/file-{number}");
                layer.file(&file, "content");
                self.new_object(&file);
            }
            let (one, two) = (format!("{dir}/one"), format!("{dir}/two"));
            layer.file(&one, "content");
            layer.link(&one, &two);
            self.new_object(&one);
            self.same_object(&two, &one);
            let (fifo, link) = (format!("{dir}/fifo"), format!("{dir}/link"));
            layer.node(&fifo, FileType::Fifo, 0o644, (0, 0));
            layer.symlink("target", &link);
            self.new_object(&fifo);
            self.new_object(&link);
        }
    }

    /// Each path's numbers; fails unless these are unique.
    #[track_caller]
    fn numbers(&self) -> BTreeMap<String, (u64, u64)> {
        let mut numbers = BTreeMap::new();
        let mut owners = BTreeMap::new();
        let mut of_object = BTreeMap::new();
        for (path, object) in &self.objects {
            let stat = self.m.stat(path);
            let identity = (stat.st_dev, stat.st_ino);
            let (owner, other) = owners.entry(identity).or_insert((object, path));
            assert_eq!(*owner, object, "{path} and {other} both have {identity:?}");
            let (first, other) = of_object.entry(object).or_insert((identity, path));
            assert_eq!(*first, identity, "{path} and {other} are one object");
            numbers.insert(path.clone(), identity);
        }
        numbers
    }
}

/// Fails with the first path whose numbers are others now.
#[track_caller]
fn assert_same<T: PartialEq + std::fmt::Debug>(
    got: &BTreeMap<String, T>,
    want: &BTreeMap<String, T>,
) {
    assert_eq!(got.len(), want.len());
    for (path, numbers) in want {
        assert_eq!(got.get(path), Some(numbers), "{path}");
    }
}

#[track_caller]
fn drop_caches() {
    rustix::fs::sync();
    must(
        "drop caches",
        std::fs::write("/proc/sys/vm/drop_caches", "3"),
    );
}

#[track_caller]
fn stays_unique(bed: &Bed, more: &str) {
    // Of one make, so that their own numbers are often the same.
    let others = ["t1", "t2"].map(|name| bed.mount_tmpfs(name, "size=8m"));
    let options = format!(
        "lowerdir={}:{}:{},upperdir={},workdir={}{more}",
        bed.lower, others[0], others[1], bed.upper, bed.work
    );
    let mount = || must("mount", bed.try_mount(&options));
    let mut tree = Tree {
        m: bed.mnt.clone(),
        objects: BTreeMap::new(),
        made: 0,
    };
    let layers = [&bed.lower, &others[0], &others[1], &bed.upper];
    for (number, layer) in layers.into_iter().enumerate() {
        tree.fill(layer, &format!("layer{number}-"));
    }
    let m = mount();
    tree.new_object("");
    assert!(tree.objects.len() > 350);
    let before = tree.numbers();

    // Copied up; of a file with two lower names only the one is, as a file of
    // its own, and those of upper stay together.
    for number in 0..4 {
        for dir in (0..8).step_by(2) {
            let dir = format!("layer{number}-{dir}");
            for name in ["file-0", "file-1", "link", "fifo"] {
                m.chown(&format!("{dir}/{name}"), 1, 1);
            }
        }
    }
    assert_same(&tree.numbers(), &before);
    for number in 0..3 {
        for dir in 0..4 {
            let path = format!("layer{number}-{dir}/one");
            m.append(&path, b", more");
            tree.new_object(&path);
        }
    }
    tree.numbers();

    // New objects, links, renamed and removed ones.
    tree.fill(&m, "new-");
    for number in 0..4 {
        let dir = format!("layer{number}-5");
        let names = ["file-2", "file-3", "file-4", "file-5", "moved", "linked"];
        let [renamed, old, removed, again, moved, linked] =
            names.map(|name| format!("{dir}/{name}"));
        m.rename(&renamed, &moved);
        tree.same_object(&moved, &renamed);
        tree.objects.remove(&renamed);
        m.link(&old, &linked);
        tree.same_object(&linked, &old);
        m.unlink(&removed);
        tree.objects.remove(&removed);
        m.unlink(&again);
        m.file(&again, "new");
        tree.new_object(&again);
    }
    let before = tree.numbers();
    drop_caches();
    assert_same(&tree.numbers(), &before);

    bed.umount();
    mount();
    let inos = |numbers: BTreeMap<String, (u64, u64)>| {
        numbers
            .into_iter()
            .map(|(path, (_, ino))| (path, ino))
            .collect::<BTreeMap<_, _>>()
    };
    assert_same(&inos(tree.numbers()), &inos(before));
}

fn by_default(bed: &Bed) {
    stays_unique(bed, "");
}

fn with_xino_on(bed: &Bed) {
    stays_unique(bed, ",xino=on");
}

fn with_xino_off(bed: &Bed) {
    stays_unique(bed, ",xino=off");
}

fn with_xino_auto(bed: &Bed) {
    stays_unique(bed, ",xino=auto");
}

fn of_a_listing_and_stat(bed: &Bed) {
    let dir = bed.lower.sub("dir");
    bed.upper.sub("dir");
    for number in 0..100 {
        dir.file(&format!("low-{number}"), "");
        bed.upper.file(&format!("dir/up-{number}"), "");
    }
    let options = format!("{},xino=on", bed.options());
    let m = must("mount", bed.try_mount(&options));
    for number in 0..50 {
        m.chmod(&format!("dir/low-{number}"), 0o600);
        m.file(&format!("dir/new-{number}"), "");
    }
    let entries = crate::support::listing::all(&m.open_read("dir"));
    let mut numbers = BTreeSet::new();
    for entry in entries.iter().filter(|entry| entry.name != "..") {
        let stat = m.stat(&format!("dir/{}", entry.name));
        assert_eq!(entry.ino, stat.st_ino, "{}", entry.name);
        assert!(numbers.insert(entry.ino), "{}", entry.name);
    }
    assert_eq!(numbers.len(), 251);
}
