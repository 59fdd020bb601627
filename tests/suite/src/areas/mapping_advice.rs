// SPDX-License-Identifier: GPL-2.0

//! Advice about shared mappings made before the copy-up, and what keeps their
//! pages in memory.

use std::io;
use std::time::{Duration, Instant};

use rustix::mm::{MapFlags, ProtFlags};

use crate::harness::bed::Bed;
use crate::support::early::{Early, LENGTH};
use crate::support::mapping::{Map, PAGE};
use crate::support::maps::smaps;
use crate::support::must::must;

tests! {
    EVERYWHERE:
        drop_pages,
        read_ahead,
        populate,
        locked_pages_stay;
    TWICE:
        random_and_sequential,
        cold,
        page_out,
        collapse,
        do_not_fork,
        populated_when_mapped,
        locked_when_mapped,
        locked_after_the_copy_up,
        all_memory_locked,
        sync,
        resident_pages;
}

/// Since Linux 6.1.
const MADV_COLLAPSE: i32 = 25;

/// Gives advice before the copy-up, between copy-up and write, and after that.
fn advise(bed: &Bed, advice: i32, allowed: impl Fn(&io::Result<()>) -> bool) {
    for mut early in Early::both(bed) {
        let advise = |map: &Map, when: &str| {
            let result = map.advise(advice);
            assert!(allowed(&result), "{when}: {result:?}");
        };
        advise(&early.map, "before the copy-up");
        let second = Map::shared_read(&early.m.open_read(&early.name), LENGTH);
        let file = early.open_rw();
        advise(&early.map, "after the copy-up");
        early.assert_current("before the write");
        advise(&early.map, "after the copy-up and a touch");
        for seed in 2..5 {
            let bytes = crate::support::content::pattern(seed, LENGTH);
            early.write(&file, 0, &bytes);
            early.assert_current("after a write");
            advise(&early.map, "after a write");
            early.assert_current("after a write and advice");
        }
        // The first that is done to this mapping after the copy-up.
        advise(&second, "on the second mapping");
        early.assert_shown_by(&second, "the second mapping");
    }
}

fn drop_pages(bed: &Bed) {
    advise(bed, libc::MADV_DONTNEED, Result::is_ok);
}

fn read_ahead(bed: &Bed) {
    advise(bed, libc::MADV_WILLNEED, Result::is_ok);
}

fn populate(bed: &Bed) {
    advise(bed, libc::MADV_POPULATE_READ, Result::is_ok);
}

fn random_and_sequential(bed: &Bed) {
    let [mut one, mut two] = Early::both(bed);
    for (early, advice) in [
        (&mut one, libc::MADV_RANDOM),
        (&mut two, libc::MADV_SEQUENTIAL),
    ] {
        must("madvise", early.map.advise(advice));
        early.rewrite(2);
        early.assert_current("after a write");
        must("madvise", early.map.advise(libc::MADV_NORMAL));
        early.assert_current("after other advice");
    }
}

fn cold(bed: &Bed) {
    advise(bed, libc::MADV_COLD, Result::is_ok);
}

fn page_out(bed: &Bed) {
    advise(bed, libc::MADV_PAGEOUT, Result::is_ok);
}

/// Kernels without huge pages refuse it, and so do filesystems.
fn collapse(bed: &Bed) {
    advise(bed, MADV_COLLAPSE, |_| true);
}

fn do_not_fork(bed: &Bed) {
    let mut early = Early::touched(bed);
    must("madvise", early.map.advise(libc::MADV_DONTFORK));
    early.rewrite(2);
    crate::support::process::in_child(|| {
        let lines = crate::support::maps::lines_of(&early.map);
        assert!(lines.is_empty(), "{lines:?}");
    });
    early.assert_current("after a write");
    must("madvise", early.map.advise(libc::MADV_DOFORK));
    crate::support::process::in_child(|| early.assert_current("in a child"));
}

/// Maps a file with this flag more.
fn mapped_with(early: &Early, flag: MapFlags) -> Map {
    let file = early.m.open_read(&early.name);
    let flags = MapFlags::SHARED | flag;
    must("mmap", Map::new(&file, LENGTH, ProtFlags::READ, flags))
}

fn populated_when_mapped(bed: &Bed) {
    for mut early in Early::both(bed) {
        let map = mapped_with(&early, MapFlags::POPULATE);
        assert_eq!(smaps(&map, "Rss"), 20);
        early.rewrite(2);
        early.assert_shown_by(&map, "after a write");
    }
}

fn lock(map: &Map) {
    // SAFETY: this changes nothing that a program sees.
    let result = unsafe { libc::mlock(map.address(), map.length()) };
    assert_eq!(result, 0, "mlock: {}", io::Error::last_os_error());
}

/// Fails unless all pages come into memory without being touched.
#[track_caller]
fn assert_comes_back(map: &Map) {
    let deadline = Instant::now() + Duration::from_secs(2);
    while smaps(map, "Rss") < 5 * PAGE / 1024 {
        assert!(
            Instant::now() < deadline,
            "only {} KiB of it are in memory",
            smaps(map, "Rss")
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(smaps(map, "Locked"), 5 * PAGE / 1024);
}

fn assert_locked_and_current(mut early: Early, map: Option<Map>) {
    if let Some(map) = map {
        early.map = map;
    }
    assert_comes_back(&early.map);
    early.rewrite(2);
    assert_comes_back(&early.map);
    early.assert_current("after a write");
    early.rewrite(3);
    early.assert_current("after another");
    assert_comes_back(&early.map);
}

fn locked_pages_stay(bed: &Bed) {
    for early in Early::both(bed) {
        lock(&early.map);
        assert_locked_and_current(early, None);
    }
}

fn locked_when_mapped(bed: &Bed) {
    for early in Early::both(bed) {
        let map = mapped_with(&early, MapFlags::LOCKED);
        assert_locked_and_current(early, Some(map));
    }
}

fn locked_after_the_copy_up(bed: &Bed) {
    for early in Early::both(bed) {
        drop(early.open_rw());
        lock(&early.map);
        assert_locked_and_current(early, None);
    }
}

fn all_memory_locked(bed: &Bed) {
    for early in Early::both(bed) {
        // SAFETY: this changes nothing that a program sees.
        let result = unsafe { libc::mlockall(libc::MCL_CURRENT) };
        assert_eq!(result, 0, "mlockall: {}", io::Error::last_os_error());
        assert_locked_and_current(early, None);
        // SAFETY: as above.
        unsafe { libc::munlockall() };
    }
}

fn sync(bed: &Bed) {
    for mut early in Early::both(bed) {
        early.map.sync();
        early.rewrite(2);
        early.map.sync();
        early.assert_current("after msync");
        let flags = rustix::mm::MsyncFlags::SYNC | rustix::mm::MsyncFlags::INVALIDATE;
        // SAFETY: the mapping is ours.
        let result = unsafe { rustix::mm::msync(early.map.address(), LENGTH, flags) };
        must("msync", result);
        early.assert_current("after another msync");
    }
}

fn resident_pages(bed: &Bed) {
    for mut early in Early::both(bed) {
        let resident = |early: &Early| {
            let mut pages = [0_u8; 5];
            let (at, to) = (early.map.address(), pages.as_mut_ptr());
            // SAFETY: one byte for each page of the mapping.
            let result = unsafe { libc::mincore(at, LENGTH, to) };
            assert_eq!(result, 0, "mincore: {}", io::Error::last_os_error());
            pages.iter().filter(|&&page| page & 1 != 0).count()
        };
        resident(&early);
        early.rewrite(2);
        early.assert_current("after a write");
        assert_eq!(resident(&early), 5);
    }
}
