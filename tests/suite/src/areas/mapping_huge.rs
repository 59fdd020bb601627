// SPDX-License-Identifier: GPL-2.0

//! Shared mappings made before the copy-up that the kernel may map by huge
//! pages. Where it does not, the mappings are merely large.

use std::os::unix::fs::FileExt;

use crate::harness::bed::Bed;
use crate::support::board::Board;
use crate::support::early::Early;
use crate::support::mapping::Map;
use crate::support::must::{must, same_bytes};
use crate::support::process::Child;

tests! {
    TWICE:
        collapsed,
        collapsed_all_the_time;
}

/// Since Linux 6.1.
const MADV_COLLAPSE: i32 = 25;

/// More than two huge pages, wherever the mapping begins.
const SIZE: usize = 6 << 20;

/// Asks for huge pages, which may be refused.
fn collapse(map: &Map) {
    let _ = map.advise(MADV_COLLAPSE);
}

fn collapsed(bed: &Bed) {
    for mut early in Early::both_of(bed, SIZE, SIZE) {
        collapse(&early.map);
        let second = Map::shared_read(&early.m.open_read(&early.name), SIZE);
        let file = early.open_rw();
        collapse(&early.map);
        early.assert_current("after the copy-up");
        for at in [0, 3 << 20, SIZE - 4] {
            early.write(&file, at, b"new!");
            early.assert_current("after a write");
            collapse(&early.map);
            early.assert_current("after a write, as huge pages");
        }
        collapse(&second);
        early.assert_shown_by(&second, "the second mapping");
        early.rewrite(2);
        early.assert_current("rewritten");
        early.assert_shown_by(&second, "the second mapping, rewritten");
    }
}

/// One process has its mappings collapsed over and over while another copies
/// the files up and counts in them.
fn collapsed_all_the_time(bed: &Bed) {
    const FILES: usize = 8;
    const LAST: u8 = 20;
    const NOW: usize = 0;
    const READY: usize = 1;
    const WRITTEN: usize = 2;
    /// Where the value is.
    const AT: u64 = 3 << 20;

    let name = |number: usize| format!("low-{number}");
    for number in 0..FILES {
        bed.lower.file(&name(number), vec![0; SIZE]);
    }
    let m = bed.mount();
    let board = Board::new();
    let child = Child::spawn(|| {
        let maps: Vec<_> = (0..FILES)
            .map(|number| Map::shared_read(&m.open_read(&name(number)), SIZE))
            .collect();
        let check = |number: usize| {
            let known = board.get(WRITTEN + number);
            let shown = u32::from(maps[number].byte(AT as usize));
            assert!(
                shown >= known,
                "file {number} shows {shown} when {known} had been written"
            );
        };
        board.set(READY, 1);
        loop {
            let now = board.get(NOW) as usize;
            if now >= FILES {
                break;
            }
            for number in [now, (now + 1) % FILES] {
                collapse(&maps[number]);
                check(number);
                must("madvise", maps[number].advise(libc::MADV_DONTNEED));
                check(number);
            }
        }
        let mut want = vec![0; SIZE];
        want[AT as usize] = LAST;
        for map in &maps {
            same_bytes("at the end", &map.bytes(), &want);
        }
    });
    board.wait(READY, 1);
    for number in 0..FILES {
        board.set(NOW, number as u32);
        std::thread::yield_now();
        let file = m.open_rw(&name(number));
        for value in 1..=LAST {
            must("pwrite", file.write_all_at(&[value], AT));
            board.set(WRITTEN + number, value.into());
            std::thread::yield_now();
        }
    }
    board.set(NOW, FILES as u32);
    child.join();
}
