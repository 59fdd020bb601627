// SPDX-License-Identifier: GPL-2.0

//! Shared mappings made before the copy-up that are moved, resized, split and
//! put together again.

use rustix::mm::MprotectFlags;

use crate::harness::bed::Bed;
use crate::support::early::{Early, LENGTH};
use crate::support::mapping::{Map, PAGE};
use crate::support::maps::lines_of;
use crate::support::must::same_bytes;

tests! {
    EVERYWHERE:
        moved,
        split_by_mprotect,
        pieces_become_one_again;
    TWICE:
        grown,
        grown_beyond_the_file,
        shrunk,
        doubled,
        split_by_munmap,
        split_page_by_page,
        pieces_that_moved_apart,
        without_any_access,
        neighbours_are_not_confused,
        mapped_over;
}

const NONE: MprotectFlags = MprotectFlags::empty();
const READ: MprotectFlags = MprotectFlags::READ;

/// Does something to the mappings of files before their copy-up, and to those
/// of other files after it; all have to be current.
fn before_and_after(bed: &Bed, change: impl Fn(Map) -> Map) {
    let mut earlies = Vec::from(Early::both(bed));
    for early in &mut earlies {
        let again = |early: &Early| Map::shared_read(&early.m.open_read(&early.name), LENGTH);
        let before = change(again(early));
        let kept = again(early);
        early.rewrite(2);
        early.assert_shown_by(&before, "changed before the copy-up");
        let after = change(kept);
        early.assert_shown_by(&after, "changed after the copy-up");
        early.rewrite(3);
        early.assert_shown_by(&before, "changed before, written again");
        early.assert_shown_by(&after, "changed after, written again");
        let twice = change(before);
        early.assert_shown_by(&twice, "changed before and after");
        early.rewrite(4);
        early.assert_shown_by(&twice, "changed before and after, written again");
        early.assert_current("never changed");
    }
}

fn moved(bed: &Bed) {
    before_and_after(bed, Map::moved);
}

fn grown(bed: &Bed) {
    before_and_after(bed, |map| map.resized(PAGE).resized(LENGTH));
}

fn shrunk(bed: &Bed) {
    before_and_after(bed, |map| map.resized(2 * PAGE));
}

fn doubled(bed: &Bed) {
    before_and_after(bed, |map| {
        let twin = map.twin();
        same_bytes("the twin", &twin.bytes(), &map.bytes());
        drop(map);
        twin
    });
}

/// The file grows with the mapping.
fn grown_beyond_the_file(bed: &Bed) {
    for mut early in Early::both(bed) {
        let writer = early.open_rw();
        let map = Map::shared_read(&early.m.open_read(&early.name), LENGTH);
        let old = std::mem::replace(&mut early.map, map);
        let grown = old.resized(4 * LENGTH);
        early.assert_shown_by(&grown, "grown");
        early.write(&writer, LENGTH, &[2; 3 * LENGTH]);
        early.assert_shown_by(&grown, "written");
        early.assert_shown_by(&grown.moved(), "moved");
    }
}

fn split_by_mprotect(bed: &Bed) {
    before_and_after(bed, |map| {
        map.protect(PAGE, 2 * PAGE, NONE);
        assert_eq!(map.byte(0), map.byte(0));
        map.protect(PAGE, PAGE, READ);
        map.protect(2 * PAGE, PAGE, READ);
        map
    });
}

/// Each page is a VMA of its own while the file is copied up.
fn split_page_by_page(bed: &Bed) {
    for mut early in Early::both(bed) {
        for page in (1..5).step_by(2) {
            early.map.protect(page * PAGE, PAGE, NONE);
        }
        assert_eq!(lines_of(&early.map).len(), 5);
        early.rewrite(2);
        let want = early.shown(LENGTH);
        for page in [0, 2, 4] {
            let end = LENGTH.min((page + 1) * PAGE);
            same_bytes(
                "a piece that was readable",
                &early.map.part(page * PAGE, end - page * PAGE),
                &want[page * PAGE..end],
            );
        }
        for page in [1, 3] {
            early.map.protect(page * PAGE, PAGE, READ);
        }
        early.assert_current("readable again");
        early.rewrite(3);
        early.assert_current("written again");
    }
}

fn split_by_munmap(bed: &Bed) {
    let pieces = [(0, PAGE), (2 * PAGE, LENGTH - 2 * PAGE)];
    for mut early in Early::both(bed) {
        let second = Map::shared_read(&early.m.open_read(&early.name), LENGTH);
        let check = |early: &Early, map: &Map, when| {
            let want = early.shown(LENGTH);
            for (at, length) in pieces {
                same_bytes(when, &map.part(at, length), &want[at..at + length]);
            }
        };
        early.map.unmap_part(PAGE, PAGE);
        early.rewrite(2);
        check(&early, &early.map, "unmapped before");
        second.unmap_part(PAGE, PAGE);
        check(&early, &second, "unmapped after");
        early.rewrite(3);
        check(&early, &early.map, "unmapped before, written again");
        check(&early, &second, "unmapped after, written again");
    }
}

fn pieces_become_one_again(bed: &Bed) {
    for mut early in Early::both(bed) {
        let second = Map::shared_read(&early.m.open_read(&early.name), LENGTH);
        let split = |map: &Map| map.protect(2 * PAGE, PAGE, NONE);
        let join = |map: &Map| map.protect(2 * PAGE, PAGE, READ);
        let pieces = |map: &Map| lines_of(map).len();
        // As any file's mapping does.
        split(&early.map);
        assert_eq!(pieces(&early.map), 3);
        join(&early.map);
        assert_eq!(pieces(&early.map), 1, "before the copy-up");

        split(&early.map);
        early.rewrite(2);
        assert_eq!(pieces(&early.map), 3);
        assert_eq!(early.map.byte(0), early.content[0]);
        join(&early.map);
        early.assert_current("joined");
        // Joining is tried when rights change; by now all is as it will be.
        split(&early.map);
        join(&early.map);
        assert_eq!(pieces(&early.map), 1, "split before, joined after");

        early.assert_shown_by(&second, "the second mapping");
        split(&second);
        join(&second);
        assert_eq!(pieces(&second), 1, "split and joined after");
        early.rewrite(3);
        early.assert_current("written again");
        early.assert_shown_by(&second, "the second mapping, written again");
    }
}

/// One half of the mapping is moved away before the copy-up, then back.
fn pieces_that_moved_apart(bed: &Bed) {
    for mut early in Early::both(bed) {
        let file = early.m.open_read(&early.name);
        let half = Map::shared_read_at(&file, 2 * PAGE, LENGTH - 2 * PAGE).moved();
        drop(file);
        early.rewrite(2);
        let check = |early: &Early, half: &Map| {
            same_bytes("a half", &half.bytes(), &early.content[2 * PAGE..]);
            early.assert_current("the whole");
        };
        check(&early, &half);
        let half = half.moved();
        check(&early, &half);
        early.rewrite(3);
        check(&early, &half);
    }
}

/// No access at all is allowed while the file is copied up.
fn without_any_access(bed: &Bed) {
    for mut early in Early::both(bed) {
        early.map.protect(0, 5 * PAGE, NONE);
        early.rewrite(2);
        early.map.protect(0, 5 * PAGE, READ);
        early.assert_current("readable again");
        early.map.protect(0, 5 * PAGE, NONE);
        early.rewrite(3);
        early.map.protect(0, 5 * PAGE, READ);
        early.assert_current("and again");
    }
}

/// Two files mapped side by side; one is copied up.
fn neighbours_are_not_confused(bed: &Bed) {
    let [mut one, two] = Early::both(bed);
    let (first, second) = (one.m.open_read(&one.name), two.m.open_read(&two.name));
    let maps: Vec<_> = (0..20)
        .map(|number| {
            let file = if number % 2 == 0 { &first } else { &second };
            Map::shared_read(file, LENGTH)
        })
        .collect();
    one.rewrite(2);
    for (number, map) in maps.iter().enumerate() {
        let early = if number % 2 == 0 { &one } else { &two };
        early.assert_shown_by(map, "side by side");
    }
    two.assert_current("the other file");
}

/// Another file takes the middle of the mapping's place.
fn mapped_over(bed: &Bed) {
    for mut early in Early::both(bed) {
        early.m.file("other", [7; PAGE]);
        let other = early.m.open_read("other");
        let over = |early: &Early| {
            // SAFETY: this replaces a page of a mapping that is ours.
            let result = unsafe {
                rustix::mm::mmap(
                    early.map.pointer(PAGE).cast_mut().cast(),
                    PAGE,
                    rustix::mm::ProtFlags::READ,
                    rustix::mm::MapFlags::SHARED | rustix::mm::MapFlags::FIXED,
                    &other,
                    0,
                )
            };
            crate::support::must::must("mmap", result);
        };
        let check = |early: &Early| {
            let mut want = early.shown(LENGTH);
            want[PAGE..2 * PAGE].fill(7);
            same_bytes(&early.name, &early.map.bytes(), &want);
        };
        over(&early);
        early.rewrite(2);
        check(&early);
        over(&early);
        early.rewrite(3);
        check(&early);
    }
}
