// SPDX-License-Identifier: GPL-2.0

//! `cachestat`: what of a file is in the page cache.

use std::fs::File;
use std::os::fd::AsRawFd;

/// What of a file is in the page cache, in pages.
#[repr(C)]
#[derive(Default, Debug)]
pub struct CacheStat {
    /// In the cache.
    pub cached: u64,
    /// To be written.
    pub dirty: u64,
    /// Being written.
    pub writeback: u64,
    /// Evicted.
    pub evicted: u64,
    /// Evicted lately.
    pub recently_evicted: u64,
}

/// `cachestat` of the whole file.
#[track_caller]
pub fn cachestat(file: &File) -> CacheStat {
    const SYS_CACHESTAT: libc::c_long = 451;

    let (range, mut stat) = ([0_u64, 0], CacheStat::default());
    // SAFETY: the kernel reads `range` and writes `stat`.
    let result = unsafe {
        libc::syscall(
            SYS_CACHESTAT,
            file.as_raw_fd(),
            range.as_ptr(),
            &raw mut stat,
            0,
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    stat
}
