// SPDX-License-Identifier: GPL-2.0

//! Syncing an overlay writes what was written through it, whichever way, and leaves alone
//! what else is dirty in upper's filesystem.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{ftruncate, linkat, statvfs, syncfs, AtFlags, OFlags, CWD};
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};

use crate::harness::bed::Bed;
use crate::support::block::BlockDevice;
use crate::support::cachestat::cachestat;
use crate::support::dir::Dir;
use crate::support::done::Done;
use crate::support::index::drop_caches;
use crate::support::must::must;

tests! {
    DISKS:
        by_write,
        by_a_file_that_stays_open,
        by_a_mapping,
        by_truncation,
        by_a_file_without_a_name,
        of_files_that_were_forgotten,
        of_many_files,
        a_removed_file_frees_its_space,
        a_replaced_file_frees_its_space,
        by_umount,
        by_remounting_read_only,
        the_disk_is_flushed_after_others_had_it,
        all_that_was_written_while_it_syncs;
}

const LENGTH: usize = 300_000;

/// The overlay, and a file beside the layers that is dirty.
struct Mounts<'a> {
    bed: &'a Bed,
    m: Dir,
    beside: File,
}

impl<'a> Mounts<'a> {
    fn new(bed: &'a Bed) -> Self {
        bed.lower.file("low", vec![1; LENGTH]);
        bed.upper.file("up", vec![1; LENGTH]);
        drop_caches();
        let m = bed.mount();
        let aside = bed.aside("beside");
        aside.file("file", vec![7; LENGTH]);
        let beside = aside.open_read("file");
        Self { bed, m, beside }
    }

    #[track_caller]
    fn sync(&self) {
        must("syncfs", syncfs(self.m.open_read("")));
        self.assert_beside();
    }

    #[track_caller]
    fn assert_beside(&self) {
        let beside = cachestat(&self.beside);
        assert!(beside.dirty > 0, "what is beside was written: {beside:?}");
    }

    #[track_caller]
    fn assert_clean(&self, name: &str) {
        assert_clean(&self.bed.upper.open_read(name));
    }
}

#[track_caller]
fn assert_clean(file: &File) {
    let stat = cachestat(file);
    assert_eq!((stat.dirty, stat.writeback), (0, 0), "{stat:?}");
}

#[track_caller]
fn assert_dirty(file: &File) {
    assert!(cachestat(file).dirty > 0);
}

fn by_write(bed: &Bed) {
    let mounts = Mounts::new(bed);
    for name in ["low", "up", "new"] {
        mounts.m.file("new", "");
        mounts.m.append(name, &[2; LENGTH]);
        assert_dirty(&bed.upper.open_read(name));
        mounts.sync();
        mounts.assert_clean(name);
    }
}

fn by_a_file_that_stays_open(bed: &Bed) {
    let mounts = Mounts::new(bed);
    let mut file = mounts.m.create("new", 0o644);
    for _ in 0..3 {
        must("write", file.write_all(&[3; LENGTH]));
        assert_dirty(&bed.upper.open_read("new"));
        mounts.sync();
        mounts.assert_clean("new");
        mounts.sync();
    }
    drop(file);
    mounts.sync();
    mounts.m.append("new", &[4; LENGTH]);
    mounts.sync();
    mounts.assert_clean("new");
}

fn by_a_mapping(bed: &Bed) {
    let mounts = Mounts::new(bed);
    let file = mounts.m.open_rw("low");
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping of a file that nobody truncates, written as bytes.
    unsafe {
        let map = must(
            "mmap",
            mmap(
                std::ptr::null_mut(),
                LENGTH,
                prot,
                MapFlags::SHARED,
                &file,
                0,
            ),
        );
        drop(file);
        for round in 0..3 {
            mounts.sync();
            map.cast::<u8>().add(5000).write_volatile(round);
            assert_dirty(&bed.upper.open_read("low"));
            mounts.sync();
            mounts.assert_clean("low");
        }
        map.cast::<u8>().write_volatile(9);
        must("munmap", munmap(map, LENGTH));
    }
    mounts.sync();
    mounts.assert_clean("low");
}

fn by_truncation(bed: &Bed) {
    let mounts = Mounts::new(bed);
    must("truncate", ftruncate(mounts.m.open_rw("up"), 5000));
    mounts.sync();
    mounts.assert_clean("up");
    let path =
        std::ffi::CString::new(mounts.m.at("low").to_string_lossy().as_bytes()).expect("path");
    // SAFETY: the path is a string.
    assert_eq!(unsafe { libc::truncate(path.as_ptr(), 777) }, 0);
    mounts.sync();
    mounts.assert_clean("low");
}

fn by_a_file_without_a_name(bed: &Bed) {
    let mounts = Mounts::new(bed);
    let mut file = mounts.m.open_temporary("");
    must("write", file.write_all(&[3; LENGTH]));
    mounts.sync();
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = AtFlags::SYMLINK_FOLLOW;
    must("link", linkat(CWD, path, CWD, mounts.m.at("new"), flags));
    mounts.assert_clean("new");
    must("write", file.write_all(&[3; LENGTH]));
    assert_dirty(&bed.upper.open_read("new"));
    mounts.sync();
    mounts.assert_clean("new");
}

/// Writes 24 MiB, has `remove` remove it, and fails unless all of it is free again at once.
#[track_caller]
fn assert_frees(bed: &Bed, remove: fn(&Dir)) {
    const SIZE: usize = 24 << 20;

    let m = bed.mount();
    m.file("small", "small");
    must("syncfs", syncfs(m.open_read("")));
    let free = || {
        let stat = must("statvfs", statvfs(bed.upper.path()));
        usize::try_from(stat.f_bfree * stat.f_frsize).expect("a small disk")
    };
    let before = free();
    m.file("large", vec![6; SIZE]);
    remove(&m);
    // It may take a moment until what was begun to be written has been.
    let end = Instant::now() + Duration::from_secs(3);
    while free() + SIZE / 2 < before {
        assert!(Instant::now() < end, "{} of {before} are free", free());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn a_removed_file_frees_its_space(bed: &Bed) {
    assert_frees(bed, |m| m.unlink("large"));
}

fn a_replaced_file_frees_its_space(bed: &Bed) {
    assert_frees(bed, |m| m.rename("small", "large"));
}

fn of_files_that_were_forgotten(bed: &Bed) {
    let mounts = Mounts::new(bed);
    for round in 0..3 {
        mounts.m.append("low", &[round; LENGTH]);
        must("drop", std::fs::write("/proc/sys/vm/drop_caches", "2"));
        assert_dirty(&bed.upper.open_read("low"));
        mounts.sync();
        mounts.assert_clean("low");
    }
}

fn of_many_files(bed: &Bed) {
    const FILES: usize = 100;

    let mounts = Mounts::new(bed);
    for round in 0..2 {
        for number in 0..FILES {
            mounts.m.file(&format!("{round}-{number}"), "content");
        }
        // Not as in other tests: btrfs makes room for so many by writing what is dirty.
        must("syncfs", syncfs(mounts.m.open_read("")));
        for number in 0..FILES {
            mounts.assert_clean(&format!("{round}-{number}"));
        }
    }
}

fn by_umount(bed: &Bed) {
    let mounts = Mounts::new(bed);
    mounts.m.append("low", &[2; LENGTH]);
    bed.umount();
    mounts.assert_clean("low");
    mounts.assert_beside();
}

fn by_remounting_read_only(bed: &Bed) {
    let mounts = Mounts::new(bed);
    mounts.m.append("low", &[2; LENGTH]);
    let flags = rustix::mount::MountFlags::RDONLY;
    must(
        "remount",
        rustix::mount::mount_remount(mounts.m.path(), flags, ""),
    );
    mounts.assert_clean("low");
    mounts.assert_beside();
}

/// What is overwritten changes nothing but data, once the time has been committed because
/// of somebody else: there is no commit, and the disk has to be told to write its cache.
fn the_disk_is_flushed_after_others_had_it(bed: &Bed) {
    let mounts = Mounts::new(bed);
    let up = mounts.m.open_rw("up");
    let other = mounts.m.create("other", 0o644);
    must("syncfs", syncfs(mounts.m.open_read("")));
    let device = BlockDevice::of(bed.upper.path());
    for round in 0..3 {
        must("write", up.write_all_at(&[round; LENGTH], 0));
        must("write", other.write_all_at(b"other", 0));
        must("fsync", other.sync_all());
        assert_dirty(&bed.upper.open_read("up"));
        let before = device.flushes();
        must("syncfs", syncfs(mounts.m.open_read("")));
        mounts.assert_clean("up");
        assert!(device.flushes() > before, "nothing was flushed");
    }
}

fn all_that_was_written_while_it_syncs(bed: &Bed) {
    const ROUNDS: u32 = 40;

    let mounts = Mounts::new(bed);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                must("syncfs", syncfs(mounts.m.open_read("").as_fd()));
            }
        });
        let _done = Done(&done);
        for round in 0..ROUNDS {
            let name = format!("{}", round % 4);
            let flags = OFlags::CREATE | OFlags::RDWR | OFlags::APPEND;
            let mut file = mounts.m.open(&name, flags);
            must("write", file.write_all(&[1; 10_000]));
            must("syncfs", syncfs(mounts.m.open_read("").as_fd()));
            mounts.assert_clean(&name);
        }
    });
    mounts.assert_beside();
}
