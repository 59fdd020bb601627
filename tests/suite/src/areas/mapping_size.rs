// SPDX-License-Identifier: GPL-2.0

//! Shared mappings made before the copy-up, of files that shrink and grow.

use rustix::fs::{fallocate, FallocateFlags};

use crate::harness::bed::Bed;
use crate::support::early::{Early, LENGTH};
use crate::support::mapping::{Map, PAGE};
use crate::support::must::{must, refused};
use crate::support::process::Child;

tests! {
    EVERYWHERE:
        beyond_the_new_end_is_a_bus_error,
        truncated_and_extended_shows_zeros,
        a_hole_shows_zeros;
    TWICE:
        beyond_the_end_before_the_copy_up,
        truncated_to_nothing,
        a_file_that_grows_into_the_mapping,
        in_the_last_page,
        a_system_call_beyond_the_end_fails;
}

/// Fails unless reading there ends a process by SIGBUS.
#[track_caller]
fn assert_bus_error(map: &Map, at: usize) {
    let child = Child::spawn(|| {
        std::hint::black_box(map.byte(at));
    });
    assert_eq!(child.wait_for_signal(), Some(libc::SIGBUS), "at {at}");
}

fn truncate(early: &mut Early, length: usize) {
    must("truncate", early.open_rw().set_len(length as u64));
    early.content.resize(length, 0);
}

fn beyond_the_new_end_is_a_bus_error(bed: &Bed) {
    for mut early in Early::both(bed) {
        truncate(&mut early, 2 * PAGE + 100);
        for at in [3 * PAGE, 4 * PAGE, LENGTH - 1] {
            assert_bus_error(&early.map, at);
        }
        early.assert_current("within the file");
        early.rewrite(2);
        early.assert_current("within the file, after a write");
        assert_bus_error(&early.map, 3 * PAGE);
    }
}

fn beyond_the_end_before_the_copy_up(bed: &Bed) {
    for mut early in Early::both_of(bed, LENGTH, 2 * LENGTH) {
        assert_bus_error(&early.map, 5 * PAGE);
        drop(early.open_rw());
        assert_bus_error(&early.map, 5 * PAGE);
        early.assert_current("within the file");
        truncate(&mut early, 6 * PAGE);
        early.assert_current("extended");
        assert_bus_error(&early.map, 6 * PAGE);
    }
}

fn truncated_and_extended_shows_zeros(bed: &Bed) {
    for mut early in Early::both(bed) {
        for length in [PAGE + 100, LENGTH, 50, 3 * PAGE, LENGTH] {
            truncate(&mut early, length);
            early.assert_current("with another length");
        }
        early.rewrite(2);
        early.assert_current("written again");
    }
}

fn truncated_to_nothing(bed: &Bed) {
    for mut early in Early::both(bed) {
        truncate(&mut early, 0);
        assert_bus_error(&early.map, 0);
        assert_bus_error(&early.map, LENGTH - 1);
        truncate(&mut early, LENGTH);
        early.assert_current("zeros");
        early.rewrite(2);
        early.assert_current("written again");
    }
}

fn a_hole_shows_zeros(bed: &Bed) {
    for mut early in Early::both(bed) {
        early.rewrite(2);
        early.assert_current("before");
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let file = early.open_rw();
        for (at, length) in [(PAGE, PAGE), (100, 50), (0, LENGTH)] {
            must(
                "fallocate",
                fallocate(&file, flags, at as u64, length as u64),
            );
            early.wrote(at, &vec![0; length]);
            early.assert_current("with a hole");
        }
    }
}

fn a_file_that_grows_into_the_mapping(bed: &Bed) {
    for mut early in Early::both_of(bed, 100, LENGTH) {
        let file = early.open_rw();
        early.assert_current("one page");
        assert_bus_error(&early.map, PAGE);
        while early.content.len() < LENGTH {
            let end = early.content.len();
            early.write(&file, end, &vec![2; 1500.min(LENGTH - end)]);
            early.assert_current("grown");
        }
    }
}

/// What is behind the end in the last page is zeros.
fn in_the_last_page(bed: &Bed) {
    for mut early in Early::both_of(bed, LENGTH, 5 * PAGE) {
        early.rewrite(2);
        early.assert_current("rewritten");
        truncate(&mut early, LENGTH - 1000);
        early.assert_current("shorter");
        truncate(&mut early, LENGTH + 100);
        early.assert_current("longer");
    }
}

fn a_system_call_beyond_the_end_fails(bed: &Bed) {
    for mut early in Early::both(bed) {
        truncate(&mut early, PAGE);
        let (_reader, writer) = must("pipe", rustix::pipe::pipe());
        let fd = std::os::fd::AsRawFd::as_raw_fd(&writer);
        let write = |at: usize| {
            // SAFETY: the kernel reads 8 bytes of the mapping, if there are.
            match unsafe { libc::write(fd, early.map.pointer(at).cast(), 8) } {
                -1 => Err(std::io::Error::last_os_error()),
                length => Ok(length),
            }
        };
        assert_eq!(must("write", write(0)), 8);
        refused(rustix::io::Errno::FAULT, write(2 * PAGE));
    }
}
