// SPDX-License-Identifier: GPL-2.0

//! The option `uuid`: what `statfs` tells an overlay by.

use rustix::fs::statvfs;
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused};

tests! {
    DISKS:
        a_new_overlay_keeps_one,
        with_null_it_is_told_by_upper,
        with_off_it_is_told_by_upper,
        an_old_overlay_stays_without,
        on_gives_an_old_overlay_one;
    TWICE:
        two_overlays_differ,
        without_upper_there_is_none,
        other_values_are_refused;
    ONE_FILESYSTEM: numbers_are_found_again_with_off;
}

fn fsid(at: &Dir) -> u64 {
    must("statvfs", statvfs(at.path())).f_fsid
}

fn mount(bed: &Bed, uuid: &str) -> Dir {
    must(
        "mount",
        bed.try_mount(&format!("{},uuid={uuid}", bed.options())),
    )
}

fn a_new_overlay_keeps_one(bed: &Bed) {
    bed.lower.file("f", "lower");
    let first = fsid(&bed.mount());
    assert_ne!(first, fsid(&bed.upper));
    bed.umount();
    assert_eq!(fsid(&bed.mount()), first);
    bed.umount();
    assert_eq!(fsid(&mount(bed, "on")), first);
}

fn with_null_it_is_told_by_upper(bed: &Bed) {
    assert_eq!(fsid(&mount(bed, "null")), fsid(&bed.upper));
}

fn with_off_it_is_told_by_upper(bed: &Bed) {
    assert_eq!(fsid(&mount(bed, "off")), fsid(&bed.upper));
}

/// Has an overlay that was in use before there were UUIDs.
fn old_overlay(bed: &Bed) {
    bed.lower.file("f", "lower");
    mount(bed, "null").append("f", b", more");
    bed.umount();
}

fn an_old_overlay_stays_without(bed: &Bed) {
    old_overlay(bed);
    assert_eq!(fsid(&bed.mount()), fsid(&bed.upper));
}

fn on_gives_an_old_overlay_one(bed: &Bed) {
    old_overlay(bed);
    let given = fsid(&mount(bed, "on"));
    assert_ne!(given, fsid(&bed.upper));
    bed.umount();
    assert_eq!(fsid(&bed.mount()), given);
}

fn two_overlays_differ(bed: &Bed) {
    let m = bed.mount();
    let (other, upper, work) = (bed.aside("other"), bed.aside("u"), bed.aside("w"));
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    let other = must("mount", bed.try_mount_at(&bed.fs, &options, &other));
    assert_ne!(fsid(&m), fsid(&other));
}

fn without_upper_there_is_none(bed: &Bed) {
    bed.below(1).file("b", "");
    assert_eq!(fsid(&bed.mount_lowers()), 0);
}

fn numbers_are_found_again_with_off(bed: &Bed) {
    bed.lower.file("f", "lower");
    let m = mount(bed, "off");
    let number = m.stat("f").st_ino;
    m.append("f", b", more");
    assert_eq!(m.stat("f").st_ino, number);
    bed.umount();
    assert_eq!(mount(bed, "off").stat("f").st_ino, number);
}

fn other_values_are_refused(bed: &Bed) {
    for value in ["", "yes", "ON", "0"] {
        refused(
            Errno::INVAL,
            bed.try_mount(&format!("{},uuid={value}", bed.options())),
        );
    }
}
