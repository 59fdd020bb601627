// SPDX-License-Identifier: GPL-2.0

//! What was read of a directory may be kept for the next who lists it: as long as it is
//! true, and as long as there is memory for it.

use rustix::fs::OFlags;

use crate::harness::bed::Bed;
use crate::support::cgroup::MemoryGroup;
use crate::support::dir::Dir;
use crate::support::index::drop_caches;
use crate::support::listing;

tests! {
    EVERYWHERE: changed_in_between, changed_in_a_layer_in_between;
    TWICE: given_back, more_than_there_is_memory_for;
}

/// The names in a directory, without dots, sorted.
fn names(m: &Dir, name: &str) -> Vec<String> {
    let mut names: Vec<_> = listing::rest(&m.open_read(name))
        .into_iter()
        .map(|entry| entry.name)
        .filter(|name| name != "." && name != "..")
        .collect();
    names.sort_unstable();
    names
}

fn changed_in_between(bed: &Bed) {
    bed.lower.sub("dir").file("a", "");
    bed.upper.sub("dir").file("b", "");
    let m = bed.mount();
    assert_eq!(names(&m, "dir"), ["a", "b"]);
    m.file("dir/c", "");
    assert_eq!(names(&m, "dir"), ["a", "b", "c"]);
    m.unlink("dir/a");
    assert_eq!(names(&m, "dir"), ["b", "c"]);
    m.rename("dir/b", "dir/a");
    assert_eq!(names(&m, "dir"), ["a", "c"]);
    m.sub("dir/d");
    m.rename("dir/c", "c");
    assert_eq!(names(&m, "dir"), ["a", "d"]);
}

fn changed_in_a_layer_in_between(bed: &Bed) {
    let (low, up) = (bed.lower.sub("dir"), bed.upper.sub("dir"));
    low.file("a", "");
    let m = bed.mount();
    assert_eq!(names(&m, "dir"), ["a"]);
    low.file("b", "");
    assert_eq!(names(&m, "dir"), ["a", "b"]);
    up.file("c", "");
    assert_eq!(names(&m, "dir"), ["a", "b", "c"]);
}

const DIRECTORIES: usize = 12;
const ENTRIES: usize = 500;
/// Of the names alone.
const SIZE: usize = DIRECTORIES * ENTRIES * 250;

/// Directories with much to be kept of.
fn fill(bed: &Bed) -> Dir {
    for d in 0..DIRECTORIES {
        let dir = bed.lower.sub(&format!("d{d}"));
        for i in 0..ENTRIES {
            dir.file(&format!("{i:0250}"), "");
        }
    }
    bed.mount()
}

#[track_caller]
fn list(m: &Dir) {
    for d in 0..DIRECTORIES {
        assert_eq!(names(m, &format!("d{d}")).len(), ENTRIES);
    }
}

fn given_back(bed: &Bed) {
    let m = fill(bed);
    // Their inodes stay.
    let _held: Vec<_> = (0..DIRECTORIES)
        .map(|d| m.open(&format!("d{d}"), OFlags::PATH))
        .collect();
    let group = MemoryGroup::enter();
    list(&m);
    drop_caches();
    let kernel = group.stat("kernel");
    assert!(kernel < SIZE / 2, "{kernel} bytes are kept");
}

fn more_than_there_is_memory_for(bed: &Bed) {
    let m = fill(bed);
    let group = MemoryGroup::enter();
    // What is read is charged to the group too.
    list(&m);
    drop_caches();
    group.limit(group.current() + SIZE / 2);
    list(&m);
    list(&m);
}
