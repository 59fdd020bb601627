// SPDX-License-Identifier: GPL-2.0

//! Shared mappings made before the copy-up, in many processes.

use crate::harness::bed::Bed;
use crate::support::board::Board;
use crate::support::early::{Early, LENGTH};
use crate::support::mapping::Map;
use crate::support::must::{must, same_bytes};
use crate::support::process::{in_child, Child};

tests! {
    EVERYWHERE:
        forked_before_the_copy_up,
        a_hundred_processes;
    TWICE:
        forked_after_the_copy_up,
        forked_between_writes,
        forked_by_a_child_whose_parent_is_gone,
        copied_up_by_a_child,
        of_a_thread,
        with_the_mapping_only,
        after_another_process_let_go,
        of_another_user;
}

/// Number on the board: how far the writer is.
const WRITER: usize = 0;
/// Number on the board: how many others are ready.
const READY: usize = 1;

fn forked_before_the_copy_up(bed: &Bed) {
    for mut early in Early::both(bed) {
        let board = Board::new();
        let mut want = early.content.clone();
        want[5000..5003].copy_from_slice(b"new");
        let children: Vec<_> = (0..3)
            .map(|_| {
                Child::spawn(|| {
                    board.count(READY);
                    board.wait(WRITER, 1);
                    same_bytes("in a child", &early.map.bytes(), &want);
                })
            })
            .collect();
        board.wait(READY, 3);
        let writer = early.open_rw();
        early.write(&writer, 5000, b"new");
        board.set(WRITER, 1);
        early.assert_current("in the parent");
        for child in children {
            child.join();
        }
    }
}

fn forked_after_the_copy_up(bed: &Bed) {
    for mut early in Early::both(bed) {
        drop(early.open_rw());
        // The parent has not touched the mapping since.
        in_child(|| early.assert_current("in a child"));
        early.rewrite(2);
        in_child(|| early.assert_current("in a child, after a write"));
        early.assert_current("in the parent");
    }
}

fn forked_between_writes(bed: &Bed) {
    for mut early in Early::both(bed) {
        let writer = early.open_rw();
        for seed in 2..6 {
            let piece = crate::support::content::pattern(seed, LENGTH);
            early.write(&writer, 0, &piece);
            in_child(|| {
                early.assert_current("in a child");
                in_child(|| early.assert_current("in its child"));
            });
        }
    }
}

fn forked_by_a_child_whose_parent_is_gone(bed: &Bed) {
    let mut early = Early::touched(bed);
    let board = Board::new();
    let mut want = early.content.clone();
    want[..3].copy_from_slice(b"new");
    let child = Child::spawn(|| {
        // Its end shows on the board: nobody waits for it.
        std::mem::forget(Child::spawn(|| {
            board.wait(WRITER, 1);
            let current = early.map.bytes() == want;
            board.set(READY, if current { 1 } else { 2 });
        }));
    });
    child.join();
    let writer = early.open_rw();
    early.write(&writer, 0, b"new");
    board.set(WRITER, 1);
    board.wait(READY, 1);
    assert_eq!(board.get(READY), 1, "the grandchild sees something else");
    early.assert_current("in the first process");
}

fn copied_up_by_a_child(bed: &Bed) {
    for mut early in Early::both(bed) {
        in_child(|| early.m.write_at(&early.name, 9000, b"by the child"));
        early.wrote(9000, b"by the child");
        early.assert_current("in the parent");
        early.rewrite(2);
        in_child(|| early.assert_current("in a child"));
    }
}

fn of_a_thread(bed: &Bed) {
    for mut early in Early::both(bed) {
        let board = Board::new();
        let mut want = early.content.clone();
        want[5000..5003].copy_from_slice(b"new");
        let map = std::mem::replace(
            &mut early.map,
            Map::shared_read(&early.m.open_read(&early.name), LENGTH),
        );
        std::thread::scope(|scope| {
            scope.spawn(|| {
                board.count(READY);
                board.wait(WRITER, 1);
                same_bytes("in a thread", &map.bytes(), &want);
            });
            board.wait(READY, 1);
            let writer = early.open_rw();
            early.write(&writer, 5000, b"new");
            board.set(WRITER, 1);
            early.assert_current("in the first thread");
        });
        early.assert_shown_by(&map, "after the thread");
    }
}

/// A child with nothing but the mapping, not even the working directory.
fn with_the_mapping_only(bed: &Bed) {
    bed.lower.file("low", vec![1; LENGTH]);
    let m = bed.mount();
    let board = Board::new();
    let child = Child::spawn(|| {
        let map = Map::shared_read(&m.open_read("low"), LENGTH);
        same_bytes("before", &map.bytes(), &[1; LENGTH]);
        // All but the pipe that a failure is told by, which is not known here.
        for fd in 0..3 {
            // SAFETY: nothing in this process uses these any more.
            unsafe { libc::close(fd) };
        }
        must("unshare", unsafe_unshare());
        must("chroot", rustix::process::chroot("/proc"));
        must("chdir", rustix::process::chdir("/"));
        board.count(READY);
        board.wait(WRITER, 1);
        let after = map.bytes();
        board.count(READY);
        board.wait(WRITER, 2);
        same_bytes("after", &after, &[2; LENGTH]);
        same_bytes("without a name", &map.bytes(), &[3; LENGTH]);
    });
    board.wait(READY, 1);
    let writer = m.open_rw("low");
    let write = |bytes: &[u8]| {
        must(
            "pwrite",
            std::os::unix::fs::FileExt::write_all_at(&writer, bytes, 0),
        );
    };
    write(&[2; LENGTH]);
    board.set(WRITER, 1);
    board.wait(READY, 2);
    m.unlink("low");
    write(&[3; LENGTH]);
    board.set(WRITER, 2);
    child.join();
}

fn unsafe_unshare() -> Result<(), rustix::io::Errno> {
    // SAFETY: the child has one thread, and keeps its descriptors.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FS) }
}

fn after_another_process_let_go(bed: &Bed) {
    for mut early in Early::both(bed) {
        let board = Board::new();
        let child = Child::spawn(|| {
            // A mapping of its own; the inherited one ends with the process.
            let map = Map::shared_read(&early.m.open_read(&early.name), LENGTH);
            early.assert_shown_by(&map, "in a child");
            board.set(READY, 1);
            board.wait(WRITER, 1);
        });
        board.wait(READY, 1);
        early.rewrite(2);
        board.set(WRITER, 1);
        child.join();
        early.assert_current("after the child has ended");
        early.rewrite(3);
        early.assert_current("written again");
    }
}

fn of_another_user(bed: &Bed) {
    bed.lower.file("low", vec![1; LENGTH]);
    let m = bed.mount();
    let board = Board::new();
    let child = Child::spawn(|| {
        crate::support::process::become_user(1000, 1000);
        let map = Map::shared_read(&m.open_read("low"), LENGTH);
        same_bytes("before", &map.bytes(), &[1; LENGTH]);
        board.count(READY);
        board.wait(WRITER, 1);
        // Nobody but root may open the file any more.
        assert!(std::fs::read(m.at("low")).is_err());
        same_bytes("after", &map.bytes(), &[2; LENGTH]);
    });
    board.wait(READY, 1);
    m.chmod("low", 0o600);
    m.write_at("low", 0, &[2; LENGTH]);
    board.set(WRITER, 1);
    child.join();
}

fn a_hundred_processes(bed: &Bed) {
    const PROCESSES: u32 = 100;

    bed.lower.file("low", vec![1; LENGTH]);
    let m = bed.mount();
    let board = Board::new();
    let children: Vec<_> = (0..PROCESSES)
        .map(|number| {
            Child::spawn(|| {
                let map = Map::shared_read(&m.open_read("low"), LENGTH);
                // Some have all pages, some have one, some have none.
                match number % 3 {
                    0 => same_bytes("before", &map.bytes(), &[1; LENGTH]),
                    1 => assert_eq!(map.byte(9000), 1),
                    _ => {}
                }
                board.count(READY);
                board.wait(WRITER, 1);
                same_bytes("after", &map.bytes(), &[2; LENGTH]);
            })
        })
        .collect();
    board.wait(READY, PROCESSES);
    m.write_at("low", 0, &[2; LENGTH]);
    board.set(WRITER, 1);
    for child in children {
        child.join();
    }
}
