// SPDX-License-Identifier: GPL-2.0

//! Shared mappings that are read, made and given up while files are copied up.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::harness::bed::Bed;
use crate::support::board::Board;
use crate::support::dir::Dir;
use crate::support::mapping::{Map, PAGE};
use crate::support::must::must;
use crate::support::process::Child;

tests! {
    EVERYWHERE:
        read_by_processes,
        read_by_threads;
    TWICE:
        read_with_pages_dropped,
        read_while_split_and_moved,
        written_by_a_mapping,
        mapped_and_unmapped,
        forked_and_ended,
        copied_up_by_several_at_once;
}

/// How many files are copied up, one after the other.
const FILES: usize = 60;
/// The last value that is written to each.
const LAST: u32 = 8;
/// Two pages: the value is at the start of each.
const SIZE: usize = 2 * PAGE;

/// Number on the board: which file is written now; [`FILES`] at the end.
const NOW: usize = 0;
/// Number on the board: how many readers are ready.
const READY: usize = 1;
/// First of the numbers that tell what the last value is that each file is
/// known to have.
const WRITTEN: usize = 2;

fn name(number: usize) -> String {
    format!("low-{number}")
}

fn mount(bed: &Bed) -> Dir {
    for number in 0..FILES {
        bed.lower.file(&name(number), [0; SIZE]);
    }
    bed.mount()
}

fn map(m: &Dir, number: usize) -> Map {
    Map::shared_read(&m.open_read(&name(number)), SIZE)
}

/// Puts a value at the start of both pages.
fn put(file: &File, value: u32) {
    for page in [0, PAGE] {
        must("pwrite", file.write_all_at(&[value as u8], page as u64));
    }
}

/// Copies all files up and counts in them. A value is on the board only when
/// every write of it has returned.
fn write_all(m: &Dir, board: Board) {
    for number in 0..FILES {
        board.set(NOW, number as u32);
        // Lets readers come to this file.
        std::thread::yield_now();
        let file = m.open_rw(&name(number));
        for value in 1..=LAST {
            put(&file, value);
            board.set(WRITTEN + number, value);
            if value % 3 == 0 {
                std::thread::yield_now();
            }
        }
    }
    board.set(NOW, FILES as u32);
}

/// Reads one file's value, which must not be older than what was known before.
#[track_caller]
fn check(board: Board, number: usize, map: &Map) {
    for page in [0, PAGE] {
        let known = board.get(WRITTEN + number);
        let shown = u32::from(map.byte(page));
        assert!(
            shown >= known,
            "file {number} shows {shown} when {known} had been written"
        );
    }
}

/// Looks at the file that is being written, and at some others, until all are
/// written; then at all. After each look, `disturb` may do something to the
/// mapping.
fn read_all(board: Board, mut maps: Vec<Map>, disturb: impl Fn(Map, usize) -> Map) {
    let mut turn = 0_usize;
    loop {
        let now = board.get(NOW) as usize;
        if now >= FILES {
            break;
        }
        for number in [now, turn % FILES, now.saturating_sub(1), (now + 1) % FILES] {
            check(board, number, &maps[number]);
        }
        turn += 1;
        if turn % 4 == 0 {
            let map = maps.swap_remove(now);
            maps.push(disturb(map, turn));
            let last = maps.len() - 1;
            maps.swap(now, last);
        }
        if turn % 64 == 0 {
            std::thread::yield_now();
        }
    }
    for (number, map) in maps.iter().enumerate() {
        check(board, number, map);
        assert_eq!(u32::from(map.byte(0)), LAST);
    }
}

fn by_processes(bed: &Bed, disturb: impl Fn(Map, usize) -> Map) {
    const READERS: u32 = 3;

    let m = mount(bed);
    let board = Board::new();
    let readers: Vec<_> = (0..READERS)
        .map(|reader| {
            Child::spawn(|| {
                let maps: Vec<_> = (0..FILES).map(|number| map(&m, number)).collect();
                // Every reader leaves other pages untouched.
                for map in maps.iter().skip(reader as usize).step_by(2) {
                    assert_eq!(map.byte(0), 0);
                }
                board.count(READY);
                read_all(board, maps, &disturb);
            })
        })
        .collect();
    board.wait(READY, READERS);
    write_all(&m, board);
    for reader in readers {
        reader.join();
    }
}

fn read_by_processes(bed: &Bed) {
    by_processes(bed, |map, _| map);
}

fn read_with_pages_dropped(bed: &Bed) {
    by_processes(bed, |map, turn| {
        let advice = match turn / 4 % 4 {
            0 => libc::MADV_POPULATE_READ,
            1 => libc::MADV_WILLNEED,
            _ => libc::MADV_DONTNEED,
        };
        must("madvise", map.advise(advice));
        map
    });
}

fn read_while_split_and_moved(bed: &Bed) {
    use rustix::mm::MprotectFlags;

    by_processes(bed, |map, turn| {
        if turn / 4 % 2 == 0 {
            return map.moved();
        }
        map.protect(PAGE, PAGE, MprotectFlags::empty());
        map.protect(PAGE, PAGE, MprotectFlags::READ);
        map
    });
}

fn read_by_threads(bed: &Bed) {
    let m = mount(bed);
    let board = Board::new();
    // One process has all readers, and the writer is another.
    let child = Child::spawn(|| {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let maps: Vec<_> = (0..FILES).map(|number| map(&m, number)).collect();
                    board.count(READY);
                    read_all(board, maps, |map, _| {
                        must("madvise", map.advise(libc::MADV_DONTNEED));
                        map
                    });
                });
            }
        });
    });
    board.wait(READY, 3);
    write_all(&m, board);
    child.join();
}

/// The writer writes by a mapping, whose stores are there at once.
fn written_by_a_mapping(bed: &Bed) {
    let m = mount(bed);
    let board = Board::new();
    let reader = Child::spawn(|| {
        let maps: Vec<_> = (0..FILES).map(|number| map(&m, number)).collect();
        board.count(READY);
        read_all(board, maps, |map, _| map);
    });
    board.wait(READY, 1);
    for number in 0..FILES {
        board.set(NOW, number as u32);
        std::thread::yield_now();
        let map = Map::shared_write(&m.open_rw(&name(number)), SIZE);
        for value in 1..=LAST {
            map.set(0, &[value as u8]);
            map.set(PAGE, &[value as u8]);
            board.set(WRITTEN + number, value);
        }
        std::thread::yield_now();
    }
    board.set(NOW, FILES as u32);
    reader.join();
}

/// Runs children that do this with the file written now, until the end.
fn while_written(bed: &Bed, step: impl Fn(&Dir, Board, usize)) {
    let m = mount(bed);
    let board = Board::new();
    let children: Vec<_> = (0..3)
        .map(|_| {
            Child::spawn(|| {
                board.count(READY);
                loop {
                    let now = board.get(NOW) as usize;
                    if now >= FILES {
                        break;
                    }
                    for number in [now, (now + 1) % FILES] {
                        step(&m, board, number);
                    }
                }
            })
        })
        .collect();
    board.wait(READY, 3);
    write_all(&m, board);
    for child in children {
        child.join();
    }
}

fn mapped_and_unmapped(bed: &Bed) {
    while_written(bed, |m, board, number| {
        let map = map(m, number);
        check(board, number, &map);
        map.unmap_part(PAGE, PAGE);
        drop(map);
    });
}

fn forked_and_ended(bed: &Bed) {
    while_written(bed, |m, board, number| {
        let map = map(m, number);
        check(board, number, &map);
        let child = Child::spawn(|| {
            check(board, number, &map);
            std::thread::yield_now();
            check(board, number, &map);
        });
        check(board, number, &map);
        child.join();
    });
}

fn copied_up_by_several_at_once(bed: &Bed) {
    let m = mount(bed);
    let board = Board::new();
    let maps: Vec<_> = (0..FILES).map(|number| map(&m, number)).collect();
    for map in maps.iter().step_by(2) {
        assert_eq!(map.byte(0), 0);
    }
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            Child::spawn(|| {
                board.count(READY);
                board.wait(READY, 4);
                for (number, map) in maps.iter().enumerate() {
                    let file = m.open_rw(&name(number));
                    // Each has a byte of its own.
                    must("pwrite", file.write_all_at(&[1], writer));
                    assert_eq!(map.byte(writer as usize), 1, "file {number}");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join();
    }
    for (number, map) in maps.iter().enumerate() {
        assert_eq!(map.part(0, 5), [1, 1, 1, 1, 0], "file {number}");
    }
}
