// SPDX-License-Identifier: GPL-2.0

//! Futexes in shared mappings made before the copy-up.

use std::io;
use std::time::{Duration, Instant};

use crate::harness::bed::Bed;
use crate::support::board::{Board, PATIENCE};
use crate::support::early::{Early, LENGTH};
use crate::support::mapping::Map;
use crate::support::must::must;
use crate::support::process::Child;

tests! {
    EVERYWHERE: wakes_another_process;
    TWICE:
        compares_with_what_is_written,
        wakes_by_a_mapping_made_afterwards,
        wakes_without_the_copy_up;
}

/// Where the word is.
const AT: usize = 8192;

/// Waits while the word has this value, at most for this time.
fn wait(map: &Map, value: u32, limit: Duration) -> io::Result<()> {
    let limit = libc::timespec {
        tv_sec: limit.as_secs() as libc::time_t,
        tv_nsec: limit.subsec_nanos().into(),
    };
    let word = map.pointer(AT);
    // SAFETY: the kernel reads the word and the time.
    let result = unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT, value, &limit) };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Wakes one who waits, and tells how many there were.
fn wake(map: &Map) -> usize {
    let word = map.pointer(AT);
    // SAFETY: the kernel takes no more than the address.
    let result = unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, 1) };
    usize::try_from(result).unwrap_or_else(|_| panic!("futex: {}", io::Error::last_os_error()))
}

/// Repeats until somebody waited.
#[track_caller]
fn wake_somebody(map: &Map) {
    let deadline = Instant::now() + PATIENCE / 2;
    while wake(map) == 0 {
        assert!(Instant::now() < deadline, "nobody waits there");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Has a child wait in the old mapping while the word is 7, and wakes it by
/// the mapping that `waker` chooses.
fn between_two(bed: &Bed, copied_up: bool, waker: impl Fn(&Early) -> Option<Map>) {
    for mut early in Early::both(bed) {
        let board = Board::new();
        let old = u32::from_ne_bytes(early.content[AT..AT + 4].try_into().expect("a word"));
        let value = if copied_up { 7 } else { old };
        let child = Child::spawn(|| {
            board.set(0, 1);
            board.wait(1, 1);
            assert_eq!(early.map.part(AT, 4), value.to_ne_bytes());
            must("wait", wait(&early.map, value, PATIENCE));
        });
        board.wait(0, 1);
        if copied_up {
            let writer = early.open_rw();
            early.write(&writer, AT, &7_u32.to_ne_bytes());
        }
        assert_eq!(early.map.part(AT, 4), value.to_ne_bytes());
        let other = waker(&early);
        let map = other.as_ref().unwrap_or(&early.map);
        assert_eq!(map.part(AT, 4), value.to_ne_bytes());
        board.set(1, 1);
        wake_somebody(map);
        child.join();
    }
}

fn wakes_another_process(bed: &Bed) {
    between_two(bed, true, |_| None);
}

fn wakes_by_a_mapping_made_afterwards(bed: &Bed) {
    between_two(bed, true, |early| {
        Some(Map::shared_read(&early.m.open_read(&early.name), LENGTH))
    });
}

fn wakes_without_the_copy_up(bed: &Bed) {
    between_two(bed, false, |_| None);
}

fn compares_with_what_is_written(bed: &Bed) {
    for mut early in Early::both(bed) {
        let writer = early.open_rw();
        for value in 1..20_u32 {
            early.write(&writer, AT, &value.to_ne_bytes());
            let waited = |value| {
                let result = wait(&early.map, value, Duration::from_millis(1));
                result.err().and_then(|error| error.raw_os_error())
            };
            assert_eq!(waited(value - 1), Some(libc::EAGAIN));
            assert_eq!(waited(value), Some(libc::ETIMEDOUT));
        }
    }
}
