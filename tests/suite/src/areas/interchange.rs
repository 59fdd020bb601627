// SPDX-License-Identifier: GPL-2.0

//! Layers written by one driver and taken over by another.
//!
//! Without a second driver, the one under test takes over its own layers.

use rustix::fs::FileType;

use crate::harness::bed::Bed;
use crate::support::acl;
use crate::support::dir::Dir;
use crate::support::must::must;
use crate::support::snapshot;

tests! {
    EVERYWHERE: a_tree_that_was_worked_on;
    // On several filesystems, each driver numbers files in its own way.
    ONE_FILESYSTEM: numbers_of_copied_up_files;
    TWICE:
        whiteouts_and_opaque_directories,
        work_goes_on,
        attributes,
        hard_links,
        escaped_attributes,
        half_a_copy_is_cleaned_up,
        the_uuid;
}

/// Fails unless the next driver shows the same tree as the last one.
#[track_caller]
fn assert_taken_over(bed: &Bed) -> Dir {
    let before = snapshot::take(&bed.mnt);
    bed.umount();
    let m = bed.mount_by_other();
    snapshot::assert_same(&snapshot::take(&m), &before);
    m
}

/// What the layers are made of.
pub fn fill(bed: &Bed) {
    for dir in [
        bed.lower.sub("a"),
        bed.lower.sub("b"),
        bed.below(1).sub("a"),
    ] {
        for number in 0..6 {
            dir.file(&format!("{number}"), format!("{dir} {number}"));
        }
        dir.sub("sub").file("inside", "content");
        dir.symlink("x", "link");
        dir.node("fifo", FileType::Fifo, 0o600, (0, 0));
    }
}

fn tree(bed: &Bed) -> Dir {
    fill(bed);
    bed.mount()
}

fn work_on(m: &Dir, round: &str) {
    m.append("a/0", round.as_bytes());
    m.rename("a/1", &format!("b/from-a-{round}"));
    m.file(&format!("a/new-{round}"), round);
    m.sub(&format!("dir-{round}")).file("inside", round);
    m.symlink(round, &format!("b/link-{round}"));
    m.chmod("b/fifo", 0o640);
    m.link("b/2", &format!("a/linked-{round}"));
    m.set_xattr("b/3", "user.note", round.as_bytes());
}

fn a_tree_that_was_worked_on(bed: &Bed) {
    let m = tree(bed);
    work_on(&m, "one");
    m.unlink("a/3");
    m.unlink("b/link");
    std::fs::remove_dir_all(m.at("b/sub")).expect("remove a tree");
    m.sub("b/sub").file("other", "content");
    let m = assert_taken_over(bed);
    assert!(!m.exists("a/3"));
    assert_eq!(m.names("b/sub"), ["other"]);
}

fn whiteouts_and_opaque_directories(bed: &Bed) {
    let m = tree(bed);
    std::fs::remove_dir_all(m.at("a")).expect("remove a tree");
    m.unlink("b/0");
    let m = assert_taken_over(bed);
    assert!(!m.exists("a"));
    m.sub("a").file("new", "");
    m.file("b/0", "new");
    bed.umount();
    let m = bed.mount();
    assert_eq!(m.names("a"), ["new"]);
    assert_eq!(m.text("b/0"), "new");
}

fn work_goes_on(bed: &Bed) {
    tree(bed);
    bed.mnt.file("a/1", "as new");
    work_on(&bed.mnt, "one");
    let m = assert_taken_over(bed);
    m.file("a/1", "as new");
    work_on(&m, "two");
    let before = snapshot::take(&m);
    bed.umount();
    let m = bed.mount();
    snapshot::assert_same(&snapshot::take(&m), &before);
    m.file("a/1", "as new");
    work_on(&m, "three");
    assert_taken_over(bed);
}

fn attributes(bed: &Bed) {
    bed.lower.sub("dir").file("file", "content");
    let m = bed.mount();
    m.set_xattr("dir/file", "user.note", b"1");
    m.set_xattr("dir/file", "trusted.note", b"2");
    m.set_xattr("dir", acl::DEFAULT, &acl::with_user(5, 6));
    m.set_xattr("dir/file", acl::ACCESS, &acl::with_user(5, 6));
    m.chown("dir/file", 12, 34);
    m.chmod("dir/file", 0o4711);
    m.set_times("dir/file", (1, 2), (3, 4));
    assert_taken_over(bed);
}

fn numbers_of_copied_up_files(bed: &Bed) {
    bed.lower.file("copied", "content");
    bed.lower.file("renamed", "content");
    bed.lower.file("low", "content");
    let m = bed.mount();
    m.append("copied", b", more");
    m.rename("renamed", "moved");
    let names = ["copied", "moved", "low"];
    let before = names.map(|name| m.stat(name).st_ino);
    let m = assert_taken_over(bed);
    assert_eq!(names.map(|name| m.stat(name).st_ino), before);
}

fn hard_links(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    m.link("low", "two");
    m.file("new", "");
    m.link("new", "newer");
    let m = assert_taken_over(bed);
    assert_eq!(m.stat("low").st_nlink, 2);
    assert_eq!(m.stat("newer").st_ino, m.stat("new").st_ino);
}

fn escaped_attributes(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    m.set_xattr("low", "trusted.overlay.opaque", b"mine");
    bed.umount();
    let m = bed.mount_by_other();
    assert_eq!(
        m.xattr("low", "trusted.overlay.opaque").as_deref(),
        Some(&b"mine"[..])
    );
}

fn half_a_copy_is_cleaned_up(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.mount();
    bed.umount();
    bed.work.join("work").file("#7", "half a copy");
    bed.work.join("work").sub("#8").whiteout("gone");
    let m = bed.mount_by_other();
    bed.assert_work_is_empty();
    m.append("low", b", more");
    assert_eq!(m.text("low"), "content, more");
}

fn the_uuid(bed: &Bed) {
    let fsid = |m: &Dir| must("statvfs", rustix::fs::statvfs(m.path())).f_fsid;
    bed.lower.file("f", "lower");
    let before = fsid(&bed.mount());
    bed.umount();
    assert_eq!(fsid(&bed.mount_by_other()), before);
}
