// SPDX-License-Identifier: GPL-2.0

//! What a mount does without, where layers cannot do it.

use rustix::fs::{ioctl_setflags, IFlags};
use rustix::io::Errno;
use rustix::mount::{mount_remount, MountFlags};

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::fuse;
use crate::support::must::{must, refused};
use crate::support::newmount::Context;
use crate::support::parameter;
use crate::support::shown;

tests! {
    TWICE:
        read_only_without_a_work_directory,
        read_only_with_leftovers_that_stay,
        features_of_a_read_only_mount,
        a_volatile_mount_without_a_work_directory,
        writable_again_at_the_next_mount;
    ONCE:
        leftovers_without_end_are_removed,
        xino_without_attributes_in_upper,
        xino_without_handles_in_lower,
        xino_without_a_uuid_in_lower,
        index_without_handles_in_lower,
        an_upper_without_tmpfile,
        read_only_without_an_index;
}

/// Nobody can make or remove anything in it while this lives.
struct Immutable<'a>(&'a Dir);

impl<'a> Immutable<'a> {
    #[track_caller]
    fn new(dir: &'a Dir) -> Self {
        must(
            "chattr +i",
            ioctl_setflags(dir.open_read(""), IFlags::IMMUTABLE),
        );
        Self(dir)
    }
}

impl Drop for Immutable<'_> {
    fn drop(&mut self) {
        let _ = ioctl_setflags(self.0.open_read(""), IFlags::empty());
    }
}

/// Whether the driver explains itself, as rovl does.
fn explains(bed: &Bed) -> bool {
    bed.copies_directories()
}

/// Mounts with options more; rovl has to give a warning that contains each of `words`.
#[track_caller]
fn mount_warned(bed: &Bed, options: &[String], words: &[&str]) -> Dir {
    let context = Context::open(bed);
    must(
        "options",
        context.options(options.iter().map(String::as_str)),
    );
    must("create", context.create());
    let warnings = context.said('w');
    if explains(bed) {
        for words in words {
            let said = warnings.iter().any(|warning| warning.contains(words));
            assert!(said, "'{words}' is not among {warnings:?}");
        }
    }
    must("attach", context.attach(&bed.mnt))
}

fn layers(lower: &str, upper: &Dir, work: &Dir, more: &[&str]) -> Vec<String> {
    let mut options = vec![
        format!("lowerdir={lower}"),
        format!("upperdir={upper}"),
        format!("workdir={work}"),
    ];
    options.extend(more.iter().map(ToString::to_string));
    options
}

fn own(bed: &Bed, more: &[&str]) -> Vec<String> {
    layers(&bed.lowerdir(), &bed.upper, &bed.work, more)
}

#[track_caller]
fn assert_read_only(bed: &Bed, m: &Dir) {
    assert!(shown::is_readonly(m));
    assert_eq!(m.text("low"), "from lower");
    assert_eq!(m.text("up"), "from upper");
    assert_eq!(m.names(""), ["dir", "low", "up"]);
    for name in ["low", "up", "new"] {
        refused(Errno::ROFS, std::fs::write(m.at(name), ""));
    }
    refused(Errno::ROFS, std::fs::remove_file(m.at("low")));
    refused(Errno::ROFS, rustix::fs::rename(m.at("up"), m.at("x")));
    refused(
        Errno::ROFS,
        mount_remount(m.path(), MountFlags::empty(), c""),
    );
    let context = Context::pick(bed, m);
    must("rw", context.flag("rw"));
    refused(Errno::ROFS, context.reconfigure());
    if explains(bed) {
        let said = context.said('e');
        assert!(said[0].contains("work directory"), "{said:?}");
    }
    must(
        "remount read-only",
        mount_remount(m.path(), MountFlags::RDONLY, c""),
    );
    assert!(shown::is_readonly(m));
}

fn fill(bed: &Bed) {
    bed.lower.file("low", "from lower");
    bed.lower.sub("dir").file("inner", "from lower");
    bed.upper.file("up", "from upper");
}

const CANNOT: &str = "mounting read-only";

fn read_only_without_a_work_directory(bed: &Bed) {
    fill(bed);
    let _immutable = Immutable::new(&bed.work);
    let m = mount_warned(bed, &own(bed, &[]), &[CANNOT, "/work' (error -1)"]);
    assert_read_only(bed, &m);
    assert_eq!(bed.work.names(""), [""; 0]);
    bed.umount();
    // By the old interface too.
    assert_read_only(bed, &bed.mount());
}

fn read_only_with_leftovers_that_stay(bed: &Bed) {
    fill(bed);
    let old = bed.work.sub("work").sub("old");
    old.file("file", "");
    let _immutable = Immutable::new(&old);
    let m = mount_warned(bed, &own(bed, &[]), &[CANNOT]);
    assert_read_only(bed, &m);
    assert!(old.exists("file"));
}

/// More than a list in memory without gaps could hold.
fn leftovers_without_end_are_removed(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let big = bed.mount_tmpfs("big", "nr_inodes=0");
    let (upper, work) = (big.sub("u"), big.sub("w"));
    let many = work.sub("work").sub("many");
    many.file("file", "");
    for number in 0..140_000 {
        many.link("file", &format!("{number}"));
    }
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    let m = must("mount", bed.try_mount(&options));
    m.append("low", b", and more");
    assert_eq!(work.names("work"), [""; 0]);
}

fn features_of_a_read_only_mount(bed: &Bed) {
    fill(bed);
    let _immutable = Immutable::new(&bed.work);
    for more in [
        "index=on",
        "nfs_export=on",
        "redirect_dir=on,metacopy=on",
        "uuid=on",
    ] {
        let more: Vec<_> = more.split(',').collect();
        let m = mount_warned(bed, &own(bed, &more), &[CANNOT]);
        let shown = shown::raw(&m);
        for off in ["index=on", "nfs_export=on"] {
            assert!(!shown.contains(off), "{shown}");
        }
        assert_read_only(bed, &m);
        bed.umount();
    }
}

fn a_volatile_mount_without_a_work_directory(bed: &Bed) {
    fill(bed);
    {
        let _immutable = Immutable::new(&bed.work);
        assert_read_only(bed, &mount_warned(bed, &own(bed, &["volatile"]), &[CANNOT]));
        bed.umount();
    }
    // It left no note.
    bed.mount().file("new", "");
}

fn writable_again_at_the_next_mount(bed: &Bed) {
    fill(bed);
    {
        let _immutable = Immutable::new(&bed.work);
        bed.mount();
    }
    // It stays what it was mounted as.
    assert_read_only(bed, &bed.mnt);
    let m = bed.remount_fresh();
    m.append("low", b"!");
    assert_eq!(m.text("low"), "from lower!");
}

fn xino_without_attributes_in_upper(bed: &Bed) {
    fill(bed);
    let other = bed.mount_tmpfs("other", "");
    let at = bed.aside("ramfs");
    must("mount ramfs", bed.try_mount_at("ramfs", "", &at));
    let (upper, work) = (at.sub("u"), at.sub("w"));
    let lower = format!("{}:{other}", bed.lower);
    for (option, stays) in [("xino=auto", false), ("xino=on", true), ("xino=off", true)] {
        let options = layers(&lower, &upper, &work, &[option]);
        let words: &[_] = if stays {
            &[]
        } else {
            &["falling back to xino=off"]
        };
        let m = mount_warned(bed, &options, words);
        let shown = shown::raw(&m);
        assert_eq!(shown.contains("xino=on"), option == "xino=on", "{shown}");
        assert!(!shown.contains("xino=auto"), "{shown}");
        bed.umount();
    }
}

/// An overlay, which has no file handles that can be opened.
#[track_caller]
fn without_handles(bed: &Bed) -> Dir {
    let at = bed.aside("inner");
    let lowers = format!("lowerdir={}:{}", bed.lower, bed.below(1));
    must("mount below", bed.try_mount_at(&bed.fs, &lowers, &at))
}

fn xino_without_handles_in_lower(bed: &Bed) {
    fill(bed);
    let lower = without_handles(bed);
    let options = layers(&lower.to_string(), &bed.upper, &bed.work, &["xino=auto"]);
    let m = mount_warned(bed, &options, &["falling back to xino=off"]);
    assert!(!shown::raw(&m).contains("xino=auto"));
    bed.umount();
    // Without upper nothing is copied up, and numbers stay.
    let other = bed.mount_tmpfs("other", "");
    let m = bed.try_mount(&format!("lowerdir={lower}:{other},xino=auto"));
    assert!(shown::raw(&must("mount", m)).contains("xino=auto"));
}

fn xino_without_a_uuid_in_lower(bed: &Bed) {
    fill(bed);
    let lowers = [bed.mount_tmpfs("t1", ""), bed.mount_tmpfs("t2", "")];
    let lower = format!("{}:{}", lowers[0], lowers[1]);
    parameter::with(bed, "xino_auto", "Y", || {
        let m = mount_warned(
            bed,
            &layers(&lower, &bed.upper, &bed.work, &["uuid=off"]),
            &["falling back to xino=off"],
        );
        let shown = shown::raw(&m);
        assert!(shown.contains("xino=off"), "{shown}");
    });
}

fn index_without_handles_in_lower(bed: &Bed) {
    fill(bed);
    let lower = without_handles(bed);
    for more in ["index=on", "nfs_export=on"] {
        let options = layers(&lower.to_string(), &bed.upper, &bed.work, &[more]);
        let m = mount_warned(bed, &options, &["does not support file handles"]);
        let shown = shown::raw(&m);
        assert!(!shown.contains("index=on"), "{shown}");
        assert!(!shown.contains("nfs_export=on"), "{shown}");
        m.append("low", b"!");
        bed.umount();
    }
}

fn an_upper_without_tmpfile(bed: &Bed) {
    fill(bed);
    let base = bed.aside("base");
    base.sub("u");
    base.sub("w");
    let at = fuse::mount(bed, &base, "fuse", fuse::ALL);
    let options = layers(&bed.lowerdir(), &at.join("u"), &at.join("w"), &[]);
    let m = mount_warned(bed, &options, &["does not support O_TMPFILE"]);
    m.append("low", b"!");
    assert_eq!(m.text("low"), "from lower!");
}

fn read_only_without_an_index(bed: &Bed) {
    bed.lower.file("low", "from lower");
    bed.lower.sub("dir");
    let base = bed.aside("base");
    base.sub("u").file("up", "from upper");
    base.sub("w");
    let abilities = fuse::Abilities {
        index: false,
        ..fuse::ALL
    };
    let at = fuse::mount(bed, &base, "fuse", abilities);
    for more in ["index=on", "nfs_export=on"] {
        let options = layers(&bed.lowerdir(), &at.join("u"), &at.join("w"), &[more]);
        let m = mount_warned(bed, &options, &[CANNOT, "/index' (error -1)"]);
        let shown = shown::raw(&m);
        assert!(!shown.contains("index=on"), "{shown}");
        assert!(!shown.contains("nfs_export=on"), "{shown}");
        assert_read_only(bed, &m);
        bed.umount();
    }
    let options = layers(
        &bed.lowerdir(),
        &at.join("u"),
        &at.join("w"),
        &["index=off"],
    );
    mount_warned(bed, &options, &[]).append("low", b"!");
}
