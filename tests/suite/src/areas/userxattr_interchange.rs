// SPDX-License-Identifier: GPL-2.0

//! Layers with attributes of users, written by one driver and taken over by
//! another.

use crate::areas::interchange::fill;
use crate::areas::userxattr::{own, ON};
use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;
use crate::support::{index, snapshot, upper, userns};

tests! {
    EVERYWHERE: a_tree_that_was_worked_on;
    ONE_FILESYSTEM: numbers_of_copied_up_files;
    DISKS: an_index;
    TWICE:
        the_same_operations_write_the_same,
        in_a_user_namespace,
        escaped_attributes,
        the_uuid;
}

fn work_on(m: &Dir, round: &str) {
    m.append("a/0", round.as_bytes());
    m.file("a/1", "to be moved");
    m.rename("a/1", &format!("b/from-a-{round}"));
    m.file(&format!("a/new-{round}"), round);
    m.sub(&format!("dir-{round}")).file("inside", round);
    m.rename(&format!("dir-{round}"), &format!("a/dir-{round}"));
    m.symlink(round, &format!("b/link-{round}"));
    m.chmod("b/fifo", 0o640);
    m.link(&format!("a/new-{round}"), &format!("b/linked-{round}"));
    m.set_xattr("b/3", "user.note", round.as_bytes());
    std::fs::remove_dir_all(m.at("b/sub")).expect("remove a tree");
    m.sub("b/sub").file("other", round);
    m.unlink("a/3");
    m.file("a/3", round);
    m.unlink("a/3");
    m.file("a/3", round);
}

/// Fails unless the driver `fs` shows the same tree as the last one.
#[track_caller]
fn assert_taken_over(bed: &Bed, fs: &str) -> Dir {
    let before = snapshot::take(&bed.mnt);
    bed.umount();
    let m = mount(bed, fs);
    snapshot::assert_same(&snapshot::take(&m), &before);
    m
}

#[track_caller]
fn mount(bed: &Bed, fs: &str) -> Dir {
    let options = format!("{},{ON}", bed.options());
    must("mount", bed.try_mount_at(fs, &options, &bed.mnt))
}

fn a_tree_that_was_worked_on(bed: &Bed) {
    fill(bed);
    let m = mount(bed, &bed.fs);
    work_on(&m, "one");
    m.link("b/2", "a/linked");
    let m = assert_taken_over(bed, &bed.other);
    assert_eq!(m.names("b/sub"), ["other"]);
    work_on(&m, "two");
    let m = assert_taken_over(bed, &bed.fs);
    work_on(&m, "three");
    assert_taken_over(bed, &bed.other);
}

fn the_same_operations_write_the_same(bed: &Bed) {
    fill(bed);
    work_on(&mount(bed, &bed.fs), "one");
    bed.umount();
    let (other_upper, other_work) = (bed.aside("other-upper"), bed.aside("other-work"));
    let options = format!(
        "lowerdir={},upperdir={other_upper},workdir={other_work},{ON}",
        bed.lowerdir()
    );
    let m = must("mount", bed.try_mount_at(&bed.other, &options, &bed.mnt));
    work_on(&m, "one");
    bed.umount();
    let of = |root| upper::take_with(root, "user.overlay.");
    assert_eq!(of(&bed.upper), of(&other_upper));
}

fn in_a_user_namespace(bed: &Bed) {
    fill(bed);
    userns::give_layers(bed, userns::BASE);
    for (round, [by, then]) in [
        ("one", [&bed.fs, &bed.other]),
        ("two", [&bed.other, &bed.fs]),
    ] {
        userns::inside(userns::CONTAINER, || {
            work_on(&mount(bed, by), round);
            assert_taken_over(bed, then);
            bed.umount();
        });
    }
    // Outside it is the same.
    let m = mount(bed, &bed.fs);
    assert_eq!(m.text("a/3"), "two");
    assert_eq!(m.stat("a/new-two").st_uid, userns::BASE);
    assert_taken_over(bed, &bed.other);
}

fn numbers_of_copied_up_files(bed: &Bed) {
    for name in ["copied", "renamed", "low"] {
        bed.lower.file(name, "content");
    }
    let m = mount(bed, &bed.fs);
    m.append("copied", b", more");
    m.rename("renamed", "moved");
    let names = ["copied", "moved", "low"];
    let before = names.map(|name| m.stat(name).st_ino);
    let m = assert_taken_over(bed, &bed.other);
    assert_eq!(names.map(|name| m.stat(name).st_ino), before);
}

fn an_index(bed: &Bed) {
    bed.lower.file("one", "content");
    bed.lower.link("one", "two");
    bed.lower.link("one", "three");
    let mount = |fs: &str| {
        let options = format!("{},{ON},{}", bed.options(), index::ON);
        must("mount", bed.try_mount_at(fs, &options, &bed.mnt))
    };
    mount(&bed.fs).append("one", b", more");
    bed.umount();
    let m = mount(&bed.other);
    assert_eq!(m.text("two"), "content, more");
    assert_eq!(m.stat("two").st_nlink, 3);
    m.unlink("one");
    bed.umount();
    let m = mount(&bed.fs);
    assert_eq!(m.stat("three").st_nlink, 2);
    m.link("two", "four");
    bed.umount();
    let m = mount(&bed.other);
    assert_eq!(m.stat("three").st_nlink, 3);
    assert_eq!(m.text("four"), "content, more");
}

fn escaped_attributes(bed: &Bed) {
    bed.lower.file("low", "content");
    mount(bed, &bed.fs).set_xattr("low", &own("opaque"), b"mine");
    bed.umount();
    let m = mount(bed, &bed.other);
    let value = m.xattr("low", &own("opaque"));
    assert_eq!(value.as_deref(), Some(&b"mine"[..]));
}

fn the_uuid(bed: &Bed) {
    let fsid = |m: &Dir| must("statvfs", rustix::fs::statvfs(m.path())).f_fsid;
    bed.lower.file("f", "lower");
    let before = fsid(&mount(bed, &bed.fs));
    bed.umount();
    assert_eq!(fsid(&mount(bed, &bed.other)), before);
}
