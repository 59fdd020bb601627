// SPDX-License-Identifier: GPL-2.0

//! Private mappings made before the copy-up. Whether they show what is
//! written afterwards is left open; but a page is one or the other.

use rustix::mm::{MapFlags, ProtFlags};

use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::early::{Early, LENGTH};
use crate::support::mapping::{Map, PAGE};
use crate::support::must::{must, same_bytes};
use crate::support::process::in_child;

tests! {
    EVERYWHERE: pages_are_old_or_new;
    TWICE:
        written_pages_stay,
        in_a_child,
        dropped_pages_are_old_or_new,
        next_to_a_shared_one;
}

/// Fails if a page is a mixture.
#[track_caller]
fn assert_old_or_new(map: &Map, old: &[u8], new: &[u8]) {
    let shown = map.bytes();
    for (page, shown) in shown.chunks(PAGE).enumerate() {
        let range = page * PAGE..page * PAGE + shown.len();
        let fits = shown == &old[range.clone()] || shown == &new[range];
        assert!(fits, "page {page} is neither old nor new");
    }
}

fn read_only(early: &Early) -> Map {
    let file = early.m.open_read(&early.name);
    let map = Map::new(&file, LENGTH, ProtFlags::READ, MapFlags::PRIVATE);
    must("mmap", map)
}

fn pages_are_old_or_new(bed: &Bed) {
    for mut early in Early::both(bed) {
        let (touched, untouched) = (read_only(&early), read_only(&early));
        let old = early.content.clone();
        same_bytes("before", &touched.bytes(), &old);
        early.rewrite(2);
        assert_old_or_new(&touched, &old, &early.content);
        assert_old_or_new(&untouched, &old, &early.content);
        let mut newer = early.content.clone();
        newer.truncate(LENGTH);
        assert_old_or_new(&touched, &old, &newer);
    }
}

fn written_pages_stay(bed: &Bed) {
    for mut early in Early::both(bed) {
        let map = Map::private(&early.m.open_read(&early.name), LENGTH);
        map.set(PAGE + 10, b"mine");
        let mine = map.part(PAGE, PAGE);
        let old = early.content.clone();
        early.rewrite(2);
        same_bytes("a written page", &map.part(PAGE, PAGE), &mine);
        // Written for the first time after the copy-up: all else in the page
        // is one or the other too.
        map.set(3 * PAGE, b"also mine");
        let rest = map.part(3 * PAGE + 9, PAGE - 9);
        let range = 3 * PAGE + 9..4 * PAGE;
        assert!(rest == old[range.clone()] || rest == early.content[range]);
        assert_eq!(map.part(3 * PAGE, 9), b"also mine");
        same_bytes("a written page, again", &map.part(PAGE, PAGE), &mine);
        early.assert_current("the file");
        same_bytes("a read", &early.m.read(&early.name), &early.content);
    }
}

fn in_a_child(bed: &Bed) {
    for mut early in Early::both(bed) {
        let map = Map::private(&early.m.open_read(&early.name), LENGTH);
        map.set(PAGE, b"mine");
        let mine = map.part(PAGE, PAGE);
        early.rewrite(2);
        in_child(|| {
            same_bytes("in a child", &map.part(PAGE, PAGE), &mine);
            map.set(PAGE, b"the child's");
        });
        same_bytes("in the parent", &map.part(PAGE, PAGE), &mine);
    }
}

fn dropped_pages_are_old_or_new(bed: &Bed) {
    for mut early in Early::both(bed) {
        let map = read_only(&early);
        let old = early.content.clone();
        same_bytes("before", &map.bytes(), &old);
        early.rewrite(2);
        must("madvise", map.advise(libc::MADV_DONTNEED));
        assert_old_or_new(&map, &old, &early.content);
        assert_old_or_new(&map.moved(), &old, &early.content);
    }
}

fn next_to_a_shared_one(bed: &Bed) {
    for mut early in Early::both(bed) {
        let private = Map::private(&early.m.open_read(&early.name), LENGTH);
        private.set(0, b"mine");
        for seed in 2..5 {
            early.rewrite(seed);
            early.assert_current("the shared mapping");
            assert_eq!(private.part(0, 4), b"mine");
        }
        same_bytes(
            "in lower",
            &bed.lower.read(&early.name),
            &pattern(1, LENGTH),
        );
    }
}
