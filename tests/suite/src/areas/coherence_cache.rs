// SPDX-License-Identifier: GPL-2.0

//! Advice about the cache, questions about it, and `ioctl`, through a
//! descriptor from before the copy-up.

use std::fs::File;
use std::num::NonZeroU64;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{fadvise, ioctl_getflags, Advice};

use crate::harness::bed::Bed;
use crate::support::cachestat::cachestat;
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::must::{must, same_bytes};

tests! {
    EVERYWHERE: advice_is_about_the_current_file;
    DISKS:
        readahead_fills_the_current_cache,
        dropped_pages_are_not_counted,
        syncing_writes_the_current_file,
        flags_are_those_of_the_copy;
    TWICE: ioctls_tell_of_the_current_file;
}

const LENGTH: usize = 256 << 10;
const PAGES: u64 = 64;

/// A lower file, a descriptor from before, and the content since the copy-up.
fn changed(bed: &Bed) -> (Dir, File, Vec<u8>) {
    bed.lower.file("low", pattern(1, LENGTH / 2));
    must("fsync", bed.lower.open_rw("low").sync_all());
    let m = bed.mount();
    let early = m.open_read("low");
    must("read", early.read_exact_at(&mut [0; 5000], 0));
    let content = pattern(2, LENGTH);
    m.write_at("low", 0, &content);
    (m, early, content)
}

#[track_caller]
fn read_all(file: &File, content: &[u8]) {
    let mut bytes = vec![0; content.len()];
    must("read", file.read_exact_at(&mut bytes, 0));
    same_bytes("the early descriptor", &bytes, content);
}

fn dropped_pages_are_not_counted(bed: &Bed) {
    let (_m, early, content) = changed(bed);
    must("fsync", early.sync_all());
    must("fadvise", fadvise(&early, 0, None, Advice::DontNeed));
    let upper = bed.upper.open_read("low");
    assert_eq!(cachestat(&upper).cached, 0);
    assert_eq!(cachestat(&early).cached, 0);
    read_all(&early, &content);
    assert_eq!(cachestat(&upper).cached, PAGES);
}

fn advice_is_about_the_current_file(bed: &Bed) {
    let (_m, early, content) = changed(bed);
    for advice in [
        Advice::Random,
        Advice::Sequential,
        Advice::WillNeed,
        Advice::NoReuse,
        Advice::DontNeed,
        Advice::Normal,
    ] {
        must(
            format_args!("fadvise {advice:?}"),
            fadvise(&early, 0, NonZeroU64::new(LENGTH as u64), advice),
        );
        read_all(&early, &content);
    }
    // SAFETY: the call takes no memory.
    let result = unsafe { libc::readahead(early.as_raw_fd(), 0, LENGTH) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    read_all(&early, &content);
}

fn readahead_fills_the_current_cache(bed: &Bed) {
    let (_m, early, content) = changed(bed);
    let upper = bed.upper.open_read("low");
    for fill in ["readahead", "fadvise"] {
        must("fsync", upper.sync_all());
        must("fadvise", fadvise(&upper, 0, None, Advice::DontNeed));
        assert_eq!(cachestat(&upper).cached, 0);
        if fill == "readahead" {
            // SAFETY: the call takes no memory.
            assert_eq!(unsafe { libc::readahead(early.as_raw_fd(), 0, LENGTH) }, 0);
        } else {
            must("fadvise", fadvise(&early, 0, None, Advice::WillNeed));
        }
        assert!(cachestat(&upper).cached > 0, "{fill}");
        read_all(&early, &content);
    }
}

fn syncing_writes_the_current_file(bed: &Bed) {
    let (m, early, content) = changed(bed);
    for round in 0..2 {
        m.write_at("low", 0, &content);
        if round == 0 {
            must("fsync", early.sync_all());
        } else {
            must("fdatasync", early.sync_data());
        }
        assert_eq!(cachestat(&bed.upper.open_read("low")).dirty, 0);
    }
    read_all(&early, &content);
}

fn int_ioctl(file: &File, request: libc::Ioctl) -> Result<i32, Option<i32>> {
    let mut value = 0_i32;
    // SAFETY: the kernel writes an `int`.
    match unsafe { libc::ioctl(file.as_raw_fd(), request, &raw mut value) } {
        0 => Ok(value),
        _ => Err(std::io::Error::last_os_error().raw_os_error()),
    }
}

fn ioctls_tell_of_the_current_file(bed: &Bed) {
    const FIGETBSZ: libc::Ioctl = 2;
    const FIONREAD: libc::Ioctl = 0x541b;

    bed.lower.file("low", "content");
    let m = bed.mount();
    let early = m.open_read("low");
    // An overlay need not have a block size.
    let block = int_ioctl(&early, FIGETBSZ);
    assert_eq!(int_ioctl(&early, FIONREAD), Ok(7));
    m.append("low", b", more");
    assert_eq!(int_ioctl(&early, FIGETBSZ), block);
    assert_eq!(int_ioctl(&m.open_read("low"), FIGETBSZ), block);
    assert_eq!(int_ioctl(&early, FIONREAD), Ok(13));
    assert_eq!(int_ioctl(&m.open_read("low"), FIONREAD), Ok(13));
}

fn flags_are_those_of_the_copy(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let early = m.open_read("low");
    let before = must("FS_IOC_GETFLAGS", ioctl_getflags(&early));
    let wanted = before | rustix::fs::IFlags::NODUMP;
    let late = m.open_read("low");
    must("FS_IOC_SETFLAGS", rustix::fs::ioctl_setflags(&late, wanted));
    assert!(bed.upper.exists("low"));
    let flags = must("FS_IOC_GETFLAGS", ioctl_getflags(&early));
    assert!(flags.contains(rustix::fs::IFlags::NODUMP), "{flags:?}");
}
