// SPDX-License-Identifier: GPL-2.0

//! Shared mappings where an overlay is the lower layer of another. The inner one
//! is mounted by the driver that the outer one hands its layers to.

use std::os::unix::fs::FileExt;

use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::mapping::Map;
use crate::support::must::{must, same_bytes};

tests! {
    TWICE:
        of_a_file_of_the_inner_lower_layer,
        of_a_file_that_the_inner_copied_up,
        of_a_file_of_the_inner_upper_layer,
        of_the_inner_overlay_stay_there;
}

const LENGTH: usize = 20_000;

/// The inner overlay, with a file in its lower layer, one in its upper, and one
/// that it has copied up.
fn inner(bed: &Bed) -> Dir {
    let (upper, work, at) = (bed.aside("iu"), bed.aside("iw"), bed.aside("im"));
    bed.lower.file("low", pattern(1, LENGTH));
    bed.lower.file("copied", pattern(1, LENGTH));
    upper.file("up", pattern(1, LENGTH));
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    let inner = must(
        "mount the inner overlay",
        bed.try_mount_at(&bed.other, &options, &at),
    );
    drop(inner.open_rw("copied"));
    assert!(upper.exists("copied"));
    inner
}

fn outer(bed: &Bed, inner: &Dir) -> Dir {
    let options = format!(
        "lowerdir={inner},upperdir={},workdir={}",
        bed.upper, bed.work
    );
    must("mount the outer overlay", bed.try_mount(&options))
}

/// Maps the file in the outer overlay, and writes it there.
#[track_caller]
fn write_and_look(bed: &Bed, name: &str) {
    let m = outer(bed, &inner(bed));
    let early = m.open_read(name);
    let [touched, untouched] = [(); 2].map(|()| Map::shared_read(&early, LENGTH));
    let mut content = pattern(1, LENGTH);
    same_bytes("before", &touched.bytes(), &content);
    assert!(!bed.upper.exists(name));

    let file = m.open_rw(name);
    assert!(bed.upper.exists(name));
    for at in [0, 5_000, 19_000] {
        must("pwrite", file.write_all_at(b"new", at as u64));
        content[at..at + 3].copy_from_slice(b"new");
        for map in [&touched, &untouched] {
            let seen = map.bytes();
            // The outer overlay is the one that switches, if it does.
            if bed.fs != "overlay" || seen != pattern(1, LENGTH) {
                same_bytes("a mapping", &seen, &content);
            }
        }
    }
}

fn of_a_file_of_the_inner_lower_layer(bed: &Bed) {
    write_and_look(bed, "low");
}

fn of_a_file_that_the_inner_copied_up(bed: &Bed) {
    write_and_look(bed, "copied");
}

fn of_a_file_of_the_inner_upper_layer(bed: &Bed) {
    write_and_look(bed, "up");
}

fn of_the_inner_overlay_stay_there(bed: &Bed) {
    let inner = inner(bed);
    let m = outer(bed, &inner);
    for name in ["low", "copied", "up"] {
        let map = Map::shared_read(&inner.open_read(name), LENGTH);
        same_bytes("before", &map.bytes(), &pattern(1, LENGTH));
        must("pwrite", m.open_rw(name).write_all_at(b"new", 0));
        same_bytes("after", &map.bytes(), &pattern(1, LENGTH));
    }
}
