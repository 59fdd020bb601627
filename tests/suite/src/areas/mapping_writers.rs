// SPDX-License-Identifier: GPL-2.0

//! A shared mapping made before the copy-up shows at once what is written
//! after it, by every way of writing.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;

use rustix::fs::{copy_file_range, fallocate, sendfile, FallocateFlags, OFlags};
use rustix::pipe::{pipe, splice, SpliceFlags};

use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::early::{Early, LENGTH};
use crate::support::mapping::{Map, PAGE};
use crate::support::must::{must, same_bytes};

tests! {
    EVERYWHERE:
        nothing_is_copied_up_by_mapping,
        by_pwrite,
        by_a_shared_mapping,
        by_truncation_and_extension,
        by_punching_a_hole,
        by_appending,
        by_opening_with_o_trunc;
    DISKS: by_direct_writes;
    TWICE:
        by_copy_file_range,
        by_splice,
        by_sendfile,
        by_io_uring,
        by_a_write_before_the_first_touch_only,
        by_many_writes_to_one_page,
        by_an_allocation,
        by_another_mapping_of_a_forked_process;
}

fn nothing_is_copied_up_by_mapping(bed: &Bed) {
    for early in Early::both(bed) {
        early.assert_current("without a copy-up");
        assert!(!bed.upper.exists(&early.name));
        // Opened for writing it is, and stays as it was.
        drop(early.open_rw());
        assert!(bed.upper.exists(&early.name));
        early.assert_current("after the copy-up");
    }
}

/// Has two files written to by this function, which takes note of what it
/// wrote, and looks at their old mappings.
fn by(bed: &Bed, write: impl Fn(&mut Early, &File)) {
    for mut early in Early::both(bed) {
        let file = early.open_rw();
        write(&mut early, &file);
        early.assert_current("at once");
        same_bytes("a read", &early.m.read(&early.name), &early.content);
        drop(file);
        early.assert_current("after closing");
        early.rewrite(9);
        early.assert_current("written again");
        same_bytes(
            "in lower",
            &bed.lower.read(&early.name),
            &pattern(1, LENGTH),
        );
    }
}

fn by_pwrite(bed: &Bed) {
    by(bed, |early, file| {
        for (seed, at, length) in [(2, 0, 1), (3, 4000, 200), (4, 0, LENGTH), (5, 8192, 4096)] {
            early.write(file, at, &pattern(seed, length));
            early.assert_current("between writes");
        }
    });
}

fn by_a_shared_mapping(bed: &Bed) {
    by(bed, |early, file| {
        let map = Map::shared_write(file, LENGTH);
        for at in [0, 4095, 10_000, LENGTH - 3] {
            map.set(at, b"new");
            early.wrote(at, b"new");
            early.assert_current("between writes");
        }
    });
}

fn by_another_mapping_of_a_forked_process(bed: &Bed) {
    by(bed, |early, file| {
        let map = Map::shared_write(file, LENGTH);
        crate::support::process::in_child(|| map.set(5000, b"by the child"));
        early.wrote(5000, b"by the child");
    });
}

fn by_truncation_and_extension(bed: &Bed) {
    by(bed, |early, file| {
        must("truncate", file.set_len(5000));
        early.content.truncate(5000);
        early.assert_current("truncated");
        must("extend", file.set_len(LENGTH as u64));
        early.content.resize(LENGTH, 0);
    });
}

fn by_punching_a_hole(bed: &Bed) {
    by(bed, |early, file| {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        must("fallocate", fallocate(file, flags, 4096, 8192));
        early.wrote(4096, &[0; 8192]);
        early.assert_current("one hole");
        must("fallocate", fallocate(file, flags, 13_000, 1000));
        early.wrote(13_000, &[0; 1000]);
    });
}

fn by_an_allocation(bed: &Bed) {
    by(bed, |early, file| {
        let flags = FallocateFlags::empty();
        must("fallocate", fallocate(file, flags, 0, LENGTH as u64));
        early.write(file, 100, b"written into it");
    });
}

/// The mapping is longer than the file at first.
fn by_appending(bed: &Bed) {
    for mut early in Early::both_of(bed, LENGTH, LENGTH + 10 * PAGE) {
        for seed in 2..8 {
            let piece = pattern(seed, 5000);
            early.m.append(&early.name, &piece);
            early.wrote(early.content.len(), &piece);
            early.assert_current("after an append");
        }
    }
}

fn by_opening_with_o_trunc(bed: &Bed) {
    for mut early in Early::both(bed) {
        let file = early.m.open(&early.name, OFlags::RDWR | OFlags::TRUNC);
        early.content.clear();
        early.write(&file, 0, &pattern(2, 9000));
        early.assert_current("written after the truncation");
        must("extend", file.set_len(LENGTH as u64));
        early.content.resize(LENGTH, 0);
        early.assert_current("extended");
    }
}

fn by_direct_writes(bed: &Bed) {
    let mut memory = vec![0; 3 * PAGE];
    let start = memory.as_ptr().align_offset(PAGE);
    let block = &mut memory[start..start + 2 * PAGE];
    block.copy_from_slice(&pattern(2, 2 * PAGE));
    for mut early in Early::both(bed) {
        let file = early.m.open(&early.name, OFlags::RDWR | OFlags::DIRECT);
        early.write(&file, PAGE, block);
        early.assert_current("after a direct write");
        early.write(&file, 0, block);
        early.assert_current("after another");
    }
}

fn by_copy_file_range(bed: &Bed) {
    let piece = pattern(2, 10_000);
    by(bed, |early, file| {
        early.m.file("source", &piece);
        let source = early.m.open_read("source");
        let (mut from, mut to) = (0, 3000);
        while from < 10_000 {
            let left = 10_000 - from as usize;
            let copied = copy_file_range(&source, Some(&mut from), file, Some(&mut to), left);
            assert_ne!(must("copy_file_range", copied), 0);
        }
        early.wrote(3000, &piece);
    });
}

fn by_splice(bed: &Bed) {
    let piece = pattern(2, 8192);
    by(bed, |early, file| {
        let (reader, writer) = must("pipe", pipe());
        must("fill the pipe", File::from(writer).write_all(&piece));
        let mut at = 5000;
        while at < 5000 + 8192 {
            let flags = SpliceFlags::empty();
            let moved = splice(&reader, None, file, Some(&mut at), 8192, flags);
            assert_ne!(must("splice", moved), 0);
        }
        early.wrote(5000, &piece);
    });
}

fn by_sendfile(bed: &Bed) {
    let piece = pattern(2, 9000);
    by(bed, |early, mut file| {
        early.m.file("source", &piece);
        let source = early.m.open_read("source");
        must("lseek", std::io::Seek::rewind(&mut file));
        let mut from = 0;
        while from < 9000 {
            let left = 9000 - from as usize;
            let sent = sendfile(file, &source, Some(&mut from), left);
            assert_ne!(must("sendfile", sent), 0);
        }
        early.wrote(0, &piece);
    });
}

fn by_io_uring(bed: &Bed) {
    let piece = pattern(2, 9000);
    by(bed, |early, file| {
        let mut ring = must("io_uring", io_uring::IoUring::new(2));
        let fd = io_uring::types::Fd(file.as_raw_fd());
        let request = io_uring::opcode::Write::new(fd, piece.as_ptr(), 9000)
            .offset(2000)
            .build();
        // SAFETY: the bytes and the file outlive the request, whose completion
        // is waited for.
        unsafe { ring.submission().push(&request) }.expect("room in the ring");
        must("io_uring_enter", ring.submit_and_wait(1));
        let result = ring.completion().next().expect("a completion").result();
        assert_eq!(result, 9000);
        early.wrote(2000, &piece);
    });
}

fn by_a_write_before_the_first_touch_only(bed: &Bed) {
    for mut early in Early::both(bed) {
        early.rewrite(2);
        // Nothing has been read since; the file is not open any more.
        must(
            "drop caches",
            std::fs::write("/proc/sys/vm/drop_caches", "3"),
        );
        early.assert_current("after caches were dropped");
    }
}

fn by_many_writes_to_one_page(bed: &Bed) {
    for mut early in Early::both(bed) {
        let file = early.open_rw();
        for number in 0..200_u8 {
            early.write(&file, 7000, &[number]);
            assert_eq!(early.map.byte(7000), number);
        }
        early.assert_current("at the end");
    }
}
