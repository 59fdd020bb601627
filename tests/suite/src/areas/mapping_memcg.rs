// SPDX-License-Identifier: GPL-2.0

//! Memory control groups and shared mappings that are switched: what they hold
//! is charged and taken back before and after, and nothing stays behind.

use crate::harness::bed::Bed;
use crate::support::cgroup::MemoryGroup;
use crate::support::early::Early;
use crate::support::maps::smaps;
use crate::support::must::must;

tests! {
    DISKS:
        reclaimed_before_the_copy_up,
        reclaimed_after_it,
        charged_to_who_reads,
        copied_up_at_the_limit,
        the_group_is_removed;
}

const LENGTH: usize = 4 << 20;

/// Counters are kept by each CPU for a while.
const SLACK: usize = 1 << 20;

/// A mapping whose pages are charged to the group and are on the disk.
#[track_caller]
fn charged(bed: &Bed) -> (MemoryGroup, Early) {
    let group = MemoryGroup::enter();
    let [early, _] = Early::both_of(bed, LENGTH, LENGTH);
    rustix::fs::sync();
    assert_eq!(smaps(&early.map, "Rss"), LENGTH / 1024);
    (group, early)
}

/// Takes back all of the mapping, which the kernel finds only by its pages.
#[track_caller]
fn reclaim(group: &MemoryGroup, early: &Early) {
    for _ in 0..50 {
        group.reclaim(2 * LENGTH);
        if smaps(&early.map, "Rss") == 0 {
            return;
        }
    }
    panic!("{} KiB stay mapped", smaps(&early.map, "Rss"));
}

fn reclaimed_before_the_copy_up(bed: &Bed) {
    let (group, mut early) = charged(bed);
    reclaim(&group, &early);
    early.assert_current("after it was taken back");
    reclaim(&group, &early);
    early.rewrite(2);
    early.assert_current("after a write");
}

fn reclaimed_after_it(bed: &Bed) {
    let (group, mut early) = charged(bed);
    early.rewrite(2);
    early.assert_current("after a write");
    rustix::fs::sync();
    reclaim(&group, &early);
    early.assert_current("after it was taken back");
}

/// Fails unless the group counts about so many bytes of mapped files more than it
/// did, which takes it a while.
#[track_caller]
fn assert_mapped(group: &MemoryGroup, base: usize, more: usize, when: &str) {
    let mut mapped = 0;
    for _ in 0..100 {
        mapped = group.stat("file_mapped");
        if mapped.abs_diff(base + more) < SLACK {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{mapped} bytes are mapped {when}, not {base} and {more}");
}

fn charged_to_who_reads(bed: &Bed) {
    let group = MemoryGroup::enter();
    let [mut early, untouched] = Early::both_of(bed, LENGTH, LENGTH);
    let base = group.stat("file_mapped").saturating_sub(LENGTH);
    assert_mapped(&group, base, LENGTH, "before the copy-up");
    early.rewrite(2);
    early.assert_current("after a write");
    assert_mapped(&group, base, LENGTH, "after the copy-up");
    untouched.assert_current("that was untouched");
    assert_mapped(&group, base, 2 * LENGTH, "with the other mapping");
    drop(early);
    drop(untouched);
    assert_mapped(&group, base, 0, "after unmapping");
}

fn copied_up_at_the_limit(bed: &Bed) {
    let (group, mut early) = charged(bed);
    reclaim(&group, &early);
    // The test compares copies of the file, three at a time. That leaves no room for the
    // old and the new pages at once.
    group.limit(group.current() + 4 * LENGTH);
    early.assert_current("at the limit");
    for seed in 2..5 {
        early.rewrite(seed);
        early.assert_current("after a write at the limit");
    }
}

fn the_group_is_removed(bed: &Bed) {
    let (group, mut early) = charged(bed);
    group.leave();
    must("rmdir", group.remove());
    early.assert_current("after the group was removed");
    early.rewrite(2);
    early.assert_current("after a write");
}
