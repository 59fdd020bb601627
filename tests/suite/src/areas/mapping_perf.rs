// SPDX-License-Identifier: GPL-2.0

//! What performance events tell about shared mappings.

use rustix::fs::{major, minor};

use crate::harness::bed::Bed;
use crate::support::early::{Early, LENGTH};
use crate::support::mapping::Map;
use crate::support::perf::{Mapped, Recording};

tests! {
    TWICE: mappings_are_those_of_the_file;
}

/// Fails unless a new mapping is told of as that of the file. A kernel without
/// performance events tells nothing.
#[track_caller]
fn assert_told(early: &Early) {
    let Some(recording) = Recording::start() else {
        return;
    };
    let map = Map::shared_read(&early.m.open_read(&early.name), LENGTH);
    let stat = early.m.stat(&early.name);
    let want = Mapped {
        address: map.address() as usize,
        device: (major(stat.st_dev), minor(stat.st_dev)),
        inode: stat.st_ino,
        path: early.m.at(&early.name),
    };
    let mapped = recording.mapped();
    assert!(mapped.contains(&want), "{want:?} is not in {mapped:?}");
    early.assert_shown_by(&map, "a new mapping");
}

fn mappings_are_those_of_the_file(bed: &Bed) {
    for mut early in Early::both(bed) {
        assert_told(&early);
        early.rewrite(2);
        assert_told(&early);
        early.assert_current("after a write");
    }
}
