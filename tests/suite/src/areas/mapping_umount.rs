// SPDX-License-Identifier: GPL-2.0

//! Unmounting after shared mappings that were there before the copy-up: they
//! hold the mount, and nothing holds it after them.

use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::mount::{mount_remount, unmount, MountFlags, UnmountFlags};

use crate::harness::bed::Bed;
use crate::support::board::Board;
use crate::support::early::{Early, LENGTH};
use crate::support::mapping::Map;
use crate::support::must::{must, refused, same_bytes};
use crate::support::process::{in_child, Child};

tests! {
    EVERYWHERE:
        directly_after_munmap,
        directly_after_the_end_of_a_process;
    TWICE:
        directly_after_the_copy_up,
        busy_until_then,
        detached_it_stays_current,
        lets_go_of_the_layers,
        a_thousand_times;
}

/// Unmounts at the first attempt, or at least as soon as what was given back
/// to the kernel is processed.
#[track_caller]
fn umount_now(bed: &Bed) {
    let deadline = Instant::now() + Duration::from_secs(1);
    loop {
        match unmount(bed.mnt.path(), UnmountFlags::empty()) {
            Err(Errno::BUSY) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1));
            }
            result => break must("umount", result),
        }
    }
    bed.unmounted();
}

fn directly_after_munmap(bed: &Bed) {
    for mut early in Early::both(bed) {
        early.rewrite(2);
        early.assert_current("after a write");
    }
    umount_now(bed);
}

fn directly_after_the_copy_up(bed: &Bed) {
    for early in Early::both(bed) {
        let (name, m) = (early.name.clone(), early.m.clone());
        // The mapping is gone before anything is written, or touched.
        let writer = early.open_rw();
        drop(early);
        drop(writer);
        m.write_at(&name, 0, b"written");
    }
    umount_now(bed);
}

fn directly_after_the_end_of_a_process(bed: &Bed) {
    bed.lower.file("low", [1; LENGTH]);
    let m = bed.mount();
    let board = Board::new();
    let child = Child::spawn(|| {
        let map = Map::shared_read(&m.open_read("low"), LENGTH);
        assert_eq!(map.byte(0), 1);
        board.set(0, 1);
        board.wait(1, 1);
        same_bytes("in the child", &map.bytes(), &[2; LENGTH]);
        // Not unmapped, but for the end of the process.
        std::mem::forget(map);
    });
    board.wait(0, 1);
    m.write_at("low", 0, &[2; LENGTH]);
    board.set(1, 1);
    child.join();
    umount_now(bed);
}

fn busy_until_then(bed: &Bed) {
    let mut early = Early::touched(bed);
    early.rewrite(2);
    let refuse = || refused(Errno::BUSY, unmount(bed.mnt.path(), UnmountFlags::empty()));
    refuse();
    early.assert_current("after a write");
    refuse();
    in_child(|| early.assert_current("in a child"));
    refuse();
    drop(early);
    umount_now(bed);
}

fn detached_it_stays_current(bed: &Bed) {
    let mut early = Early::touched(bed);
    let path = early.m.open(&early.name, rustix::fs::OFlags::PATH);
    must("detach", unmount(bed.mnt.path(), UnmountFlags::DETACH));
    bed.unmounted();
    let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&path));
    let writer = must(
        "open again",
        std::fs::OpenOptions::new().write(true).open(again),
    );
    early.write(&writer, 3000, b"on a detached mount");
    drop((writer, path));
    early.assert_current("only the mapping is left");
}

fn lets_go_of_the_layers(bed: &Bed) {
    let layers = bed.mount_tmpfs("layers-of-its-own", "");
    let (lower, upper, work) = (layers.sub("l"), layers.sub("u"), layers.sub("w"));
    lower.file("low", [1; LENGTH]);
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    let m = must("mount", bed.try_mount(&options));
    let map = Map::shared_read(&m.open_read("low"), LENGTH);
    assert_eq!(map.byte(0), 1);
    m.write_at("low", 0, &[2; LENGTH]);
    same_bytes("after a write", &map.bytes(), &[2; LENGTH]);
    drop(map);
    bed.umount();
    // A writable mount or an open file would refuse this.
    must(
        "remount the layers read-only",
        mount_remount(layers.path(), MountFlags::RDONLY, c""),
    );
    bed.umount();
}

/// Map, copy up, unmap; one of them leaks, or it does not.
fn a_thousand_times(bed: &Bed) {
    const FILES: usize = 200;

    for number in 0..FILES {
        bed.lower.file(&format!("low-{number}"), [1; 100]);
    }
    let m = bed.mount();
    for number in 0..FILES {
        let name = format!("low-{number}");
        let maps: Vec<_> = (0..5)
            .map(|_| Map::shared_read(&m.open_read(&name), 100))
            .collect();
        assert_eq!(maps[0].byte(0), 1);
        m.write_at(&name, 0, &[2; 100]);
        for map in &maps[..3] {
            assert_eq!(map.byte(99), 2);
        }
    }
    umount_now(bed);
}
