// SPDX-License-Identifier: GPL-2.0

//! Processes with shared mappings that do not let others in: they stand still,
//! or change their memory all the time. No copy-up waits for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::mm::{mmap_anonymous, mprotect, munmap, MapFlags, MprotectFlags, ProtFlags};

use crate::harness::bed::Bed;
use crate::support::board::Board;
use crate::support::early::{Early, LENGTH};
use crate::support::mapping::Map;
use crate::support::must::must;
use crate::support::process::Child;

tests! {
    EVERYWHERE: a_stopped_process;
    TWICE:
        many_stopped_processes,
        a_process_that_changes_its_memory,
        a_process_that_reads_its_maps,
        a_process_that_is_killed,
        a_process_that_waits_for_the_writer;
}

/// How long the copy-up of a small file may take, on slow machines too.
const LIMIT: Duration = Duration::from_secs(5);
/// Number on the board: how many are ready.
const READY: usize = 0;
/// Number on the board: how far the writer is.
const WRITER: usize = 1;

/// Copies the file up and writes it, in time.
#[track_caller]
fn rewrite_in_time(early: &mut Early, seed: u64) {
    let start = Instant::now();
    early.rewrite(seed);
    let took = start.elapsed();
    assert!(took < LIMIT, "the copy-up took {took:?}");
}

fn assert_at_end(map: &Map) {
    let want = crate::support::content::pattern(2, LENGTH);
    crate::support::must::same_bytes("after the copy-up", &map.bytes(), &want);
}

fn a_stopped_process(bed: &Bed) {
    for mut early in Early::both(bed) {
        let board = Board::new();
        let child = Child::spawn(|| {
            if early.name == "touched" {
                early.assert_current("in the child");
            }
            board.count(READY);
            board.wait(WRITER, 1);
            assert_at_end(&early.map);
        });
        board.wait(READY, 1);
        child.stop();
        rewrite_in_time(&mut early, 2);
        early.assert_current("here");
        board.set(WRITER, 1);
        child.resume();
        child.join();
    }
}

fn many_stopped_processes(bed: &Bed) {
    let mut early = Early::touched(bed);
    let board = Board::new();
    let children: Vec<_> = (0..20)
        .map(|_| {
            Child::spawn(|| {
                early.assert_current("in a child");
                board.count(READY);
                board.wait(WRITER, 1);
                assert_at_end(&early.map);
            })
        })
        .collect();
    board.wait(READY, 20);
    for child in &children {
        child.stop();
    }
    rewrite_in_time(&mut early, 2);
    board.set(WRITER, 1);
    for child in children {
        child.resume();
        child.join();
    }
    early.assert_current("here");
}

fn a_process_that_is_killed(bed: &Bed) {
    let mut early = Early::touched(bed);
    let board = Board::new();
    let child = Child::spawn(|| {
        early.assert_current("in the child");
        board.count(READY);
        board.wait(WRITER, 1);
    });
    board.wait(READY, 1);
    child.stop();
    rewrite_in_time(&mut early, 2);
    child.kill();
    assert_eq!(child.wait_for_signal(), Some(libc::SIGKILL));
    early.assert_current("here");
    rewrite_in_time(&mut early, 3);
    early.assert_current("written again");
}

/// Has a child with two more threads do this all the time.
fn while_a_process_does(bed: &Bed, step: impl Fn() + Sync) {
    for mut early in Early::both(bed) {
        let board = Board::new();
        let child = Child::spawn(|| {
            let end = AtomicBool::new(false);
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        step();
                        board.count(READY);
                        while !end.load(Ordering::Relaxed) {
                            step();
                        }
                    });
                }
                board.wait(WRITER, 1);
                let checked = crate::harness::verdict::catch(|| assert_at_end(&early.map));
                end.store(true, Ordering::Relaxed);
                if let Err(why) = checked {
                    panic!("{why}");
                }
            });
            assert_at_end(&early.map);
        });
        board.wait(READY, 2);
        rewrite_in_time(&mut early, 2);
        board.set(WRITER, 1);
        early.assert_current("here");
        child.join();
    }
}

fn a_process_that_changes_its_memory(bed: &Bed) {
    const SIZE: usize = 1 << 20;

    while_a_process_does(bed, || {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::POPULATE;
        // SAFETY: memory that nothing else knows of.
        unsafe {
            let memory = must(
                "mmap",
                mmap_anonymous(std::ptr::null_mut(), SIZE, prot, flags),
            );
            must("mprotect", mprotect(memory, SIZE, MprotectFlags::READ));
            must("munmap", munmap(memory, SIZE));
        }
    });
}

fn a_process_that_reads_its_maps(bed: &Bed) {
    while_a_process_does(bed, || {
        must("maps", std::fs::read("/proc/self/maps"));
        must("smaps", std::fs::read("/proc/self/smaps"));
    });
}

/// It sleeps in a page fault's place: reading a pipe into other memory.
fn a_process_that_waits_for_the_writer(bed: &Bed) {
    for mut early in Early::both(bed) {
        let (reader, writer) = must("pipe", rustix::pipe::pipe());
        let board = Board::new();
        let child = Child::spawn(|| {
            board.count(READY);
            // Stays in the kernel until the writer has written.
            must("read", rustix::io::read(&reader, &mut [0_u8; 1]));
            assert_at_end(&early.map);
        });
        board.wait(READY, 1);
        rewrite_in_time(&mut early, 2);
        must("write", rustix::io::write(&writer, b"x"));
        child.join();
    }
}
