// SPDX-License-Identifier: GPL-2.0

//! What `statfs` tells.

use rustix::fs::{fstatfs, statfs, StatFs};

use crate::harness::bed::Bed;
use crate::support::must::must;

tests! {
    EVERYWHERE: is_of_upper;
    TWICE: of_a_lower_file_is_of_upper_too, without_upper_is_of_the_first_lower, space_is_seen_to_go;
}

const MAGIC: i64 = 0x794c_7630;

#[track_caller]
fn assert_like(got: &StatFs, want: &StatFs) {
    assert_eq!(got.f_type, MAGIC);
    assert_eq!(got.f_bsize, want.f_bsize);
    assert_eq!(got.f_blocks, want.f_blocks);
    assert_eq!(got.f_files, want.f_files);
    // Overlays show names as long as their layers do.
    assert_eq!(got.f_namelen, 255);
}

fn is_of_upper(bed: &Bed) {
    bed.upper.file("up", "");
    let m = bed.mount();
    let upper = must("statfs", statfs(bed.upper.path()));
    assert_like(&must("statfs", statfs(m.path())), &upper);
    assert_like(&must("statfs", statfs(m.at("up"))), &upper);
    assert_like(&must("fstatfs", fstatfs(m.open_rw("up"))), &upper);
}

fn of_a_lower_file_is_of_upper_too(bed: &Bed) {
    bed.lower.file("low", "");
    let m = bed.mount();
    let upper = must("statfs", statfs(bed.upper.path()));
    assert_like(&must("statfs", statfs(m.at("low"))), &upper);
    assert_like(&must("fstatfs", fstatfs(m.open_read("low"))), &upper);
}

fn without_upper_is_of_the_first_lower(bed: &Bed) {
    bed.below(1).file("b", "");
    let m = bed.mount_lowers();
    let lower = must("statfs", statfs(bed.lower.path()));
    assert_like(&must("statfs", statfs(m.path())), &lower);
}

fn space_is_seen_to_go(bed: &Bed) {
    let small = bed.mount_tmpfs("small", "size=8m");
    let (upper, work) = (small.sub("u"), small.sub("w"));
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    let m = must("mount", bed.try_mount(&options));
    let before = must("statfs", statfs(m.path()));
    m.file("new", vec![1; 1 << 20]);
    let after = must("statfs", statfs(m.path()));
    assert!(before.f_bfree - after.f_bfree >= (1 << 20) / before.f_bsize as u64);
    assert_eq!(after.f_bfree, must("statfs", statfs(small.path())).f_bfree);
}
