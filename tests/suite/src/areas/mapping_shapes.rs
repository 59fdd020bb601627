// SPDX-License-Identifier: GPL-2.0

//! Shared mappings made before the copy-up, of all sizes and in any number.

use std::os::unix::fs::FileExt;

use rustix::mm::{MapFlags, ProtFlags};

use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::early::{Early, LENGTH};
use crate::support::mapping::{Map, PAGE};
use crate::support::must::{must, same_bytes};

tests! {
    EVERYWHERE:
        from_an_offset,
        of_several_mebibytes,
        a_sparse_file,
        a_thousand_mappings;
    TWICE:
        of_one_byte,
        longer_than_the_file,
        two_in_one_process,
        overlapping_parts,
        with_the_right_to_execute,
        without_any_right,
        of_a_writable_file_in_upper,
        of_a_hundred_files,
        of_a_file_in_a_deeper_layer,
        of_a_file_copied_up_with_its_directories,
        on_two_mounts_of_one_lower_file;
}

fn from_an_offset(bed: &Bed) {
    for mut early in Early::both(bed) {
        let file = early.m.open_read(&early.name);
        let maps: Vec<_> = (0..5)
            .map(|page| {
                (
                    page * PAGE,
                    Map::shared_read_at(&file, page * PAGE, LENGTH - page * PAGE),
                )
            })
            .collect();
        for seed in 2..5 {
            early.rewrite(seed);
            for (offset, map) in &maps {
                same_bytes("from an offset", &map.bytes(), &early.content[*offset..]);
            }
        }
    }
}

fn of_one_byte(bed: &Bed) {
    for mut early in Early::both_of(bed, 1, 1) {
        early.rewrite(2);
        early.assert_current("after a write");
        early.m.append(&early.name, b"more");
        assert_eq!(early.map.byte(0), early.content[0]);
    }
}

fn longer_than_the_file(bed: &Bed) {
    for mut early in Early::both_of(bed, LENGTH, 50 * LENGTH) {
        early.rewrite(2);
        early.assert_current("after a write");
        let file = early.open_rw();
        early.write(&file, 40 * LENGTH, &pattern(3, 100));
        early.assert_current("extended");
    }
}

fn of_several_mebibytes(bed: &Bed) {
    const SIZE: usize = 5 << 20;

    // Ends of pages, of 64 KiB and of 2 MiB.
    let places = [
        0,
        PAGE - 2,
        65534,
        (2 << 20) - 2,
        2 << 20,
        (4 << 20) + 77,
        SIZE - 4,
    ];
    for mut early in Early::both_of(bed, SIZE, SIZE) {
        let file = early.open_rw();
        for round in 2..5 {
            for at in places {
                early.write(&file, at, &[round; 4]);
            }
            for at in places {
                assert_eq!(early.map.part(at, 4), [round; 4], "at {at}");
            }
        }
        early.assert_current("all of it");
        early.rewrite(2);
        early.assert_current("rewritten");
    }
}

fn a_sparse_file(bed: &Bed) {
    const SIZE: usize = 1 << 20;

    let low = bed.lower.create("low", 0o644);
    must("truncate", low.set_len(SIZE as u64));
    must("pwrite", low.write_all_at(b"in the middle", 500_000));
    drop(low);
    let m = bed.mount();
    let mut want = vec![0; SIZE];
    want[500_000..500_013].copy_from_slice(b"in the middle");
    let touched = Map::shared_read(&m.open_read("low"), SIZE);
    let untouched = Map::shared_read(&m.open_read("low"), SIZE);
    same_bytes("before", &touched.bytes(), &want);
    let file = m.open_rw("low");
    for at in [0, 499_990, 700_000, SIZE - 4] {
        must("pwrite", file.write_all_at(b"new!", at as u64));
        want[at..at + 4].copy_from_slice(b"new!");
        same_bytes("touched", &touched.bytes(), &want);
    }
    same_bytes("untouched", &untouched.bytes(), &want);
}

fn two_in_one_process(bed: &Bed) {
    for mut early in Early::both(bed) {
        let second = Map::shared_read(&early.m.open_read(&early.name), LENGTH);
        early.rewrite(2);
        // One of them is touched, then the other.
        early.assert_current("the first");
        early.assert_shown_by(&second, "the second");
        early.rewrite(3);
        early.assert_shown_by(&second, "the second, written again");
        drop(second);
        early.assert_current("the first, alone");
        early.rewrite(4);
        early.assert_current("the first, written again");
    }
}

fn overlapping_parts(bed: &Bed) {
    for mut early in Early::both(bed) {
        let file = early.m.open_read(&early.name);
        let parts = [
            (0, 3 * PAGE),
            (PAGE, 2 * PAGE),
            (2 * PAGE, PAGE),
            (PAGE, 3 * PAGE),
        ];
        let maps = parts.map(|(at, length)| Map::shared_read_at(&file, at, length));
        for seed in 2..5 {
            early.rewrite(seed);
            for ((at, length), map) in parts.iter().zip(&maps) {
                let want = &early.content[*at..at + length];
                same_bytes("a part", &map.bytes(), want);
            }
        }
    }
}

fn with_the_right_to_execute(bed: &Bed) {
    for mut early in Early::both(bed) {
        let file = early.m.open_read(&early.name);
        let prot = ProtFlags::READ | ProtFlags::EXEC;
        let map = must("mmap", Map::new(&file, LENGTH, prot, MapFlags::SHARED));
        early.rewrite(2);
        early.assert_shown_by(&map, "after a write");
    }
}

fn without_any_right(bed: &Bed) {
    for mut early in Early::both(bed) {
        let file = early.m.open_read(&early.name);
        let prot = ProtFlags::empty();
        let map = must("mmap", Map::new(&file, LENGTH, prot, MapFlags::SHARED));
        early.rewrite(2);
        map.protect(0, 5 * PAGE, rustix::mm::MprotectFlags::READ);
        early.assert_shown_by(&map, "after a write");
    }
}

/// What was never to be copied up is current anyway.
fn of_a_writable_file_in_upper(bed: &Bed) {
    bed.upper.file("up", pattern(1, LENGTH));
    let m = bed.mount();
    let map = Map::shared_read(&m.open_read("up"), LENGTH);
    same_bytes("before", &map.bytes(), &pattern(1, LENGTH));
    m.write_at("up", 0, &pattern(2, LENGTH));
    same_bytes("after", &map.bytes(), &pattern(2, LENGTH));
}

fn a_thousand_mappings(bed: &Bed) {
    bed.lower.file("low", pattern(1, LENGTH));
    let m = bed.mount();
    let file = m.open_read("low");
    let maps: Vec<_> = (0..1000)
        .map(|number| {
            // Two that are side by side would become one.
            let map = Map::shared_read_at(&file, number % 4 * PAGE, PAGE);
            if number % 3 == 0 {
                map.byte(0);
            }
            map
        })
        .collect();
    for seed in 2..4 {
        let content = pattern(seed, LENGTH);
        m.write_at("low", 0, &content);
        for (number, map) in maps.iter().enumerate() {
            let at = number % 4 * PAGE;
            for place in [0, 1234, PAGE - 1] {
                assert_eq!(map.byte(place), content[at + place], "mapping {number}");
            }
        }
    }
}

fn of_a_hundred_files(bed: &Bed) {
    for number in 0..100 {
        bed.lower.file(&format!("low-{number}"), [1; 2 * PAGE]);
    }
    let m = bed.mount();
    let maps: Vec<_> = (0..100)
        .map(|number| Map::shared_read(&m.open_read(&format!("low-{number}")), 2 * PAGE))
        .collect();
    for number in (0..100).step_by(2) {
        assert_eq!(maps[number].byte(PAGE), 1);
    }
    for number in 0..100 {
        m.write_at(&format!("low-{number}"), 10, &[2; PAGE]);
    }
    let mut want = [1; 2 * PAGE];
    want[10..10 + PAGE].fill(2);
    for map in maps {
        same_bytes("a file", &map.bytes(), &want);
    }
}

fn of_a_file_in_a_deeper_layer(bed: &Bed) {
    bed.below(2).file("low", [1; LENGTH]);
    let m = bed.mount();
    let map = Map::shared_read(&m.open_read("low"), LENGTH);
    same_bytes("before", &map.bytes(), &[1; LENGTH]);
    m.write_at("low", 0, &[2; LENGTH]);
    same_bytes("after", &map.bytes(), &[2; LENGTH]);
}

fn of_a_file_copied_up_with_its_directories(bed: &Bed) {
    bed.lower.sub("one").sub("two").file("low", [1; LENGTH]);
    let m = bed.mount();
    let map = Map::shared_read(&m.open_read("one/two/low"), LENGTH);
    same_bytes("before", &map.bytes(), &[1; LENGTH]);
    m.write_at("one/two/low", 0, &[2; LENGTH]);
    same_bytes("after", &map.bytes(), &[2; LENGTH]);
}

/// One lower page in two mounts; only one of them has it copied up.
fn on_two_mounts_of_one_lower_file(bed: &Bed) {
    let mut early = Early::touched(bed);
    let (upper, work, at) = (bed.aside("u2"), bed.aside("w2"), bed.aside("m2"));
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    let other = must("second mount", bed.try_mount_at(&bed.fs, &options, &at));
    let map = Map::shared_read(&other.open_read("touched"), LENGTH);
    let old = pattern(1, LENGTH);
    same_bytes("there, before", &map.bytes(), &old);
    early.rewrite(2);
    early.assert_current("here");
    same_bytes("there", &map.bytes(), &old);
    other.write_at("touched", 0, &pattern(3, LENGTH));
    early.assert_current("here, after a write there");
    same_bytes("there, after a write", &map.bytes(), &pattern(3, LENGTH));
    early.rewrite(4);
    early.assert_current("here, written again");
    same_bytes("there still", &map.bytes(), &pattern(3, LENGTH));
}
