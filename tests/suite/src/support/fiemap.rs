// SPDX-License-Identifier: GPL-2.0

//! Whether a file shares its extents with another (`FS_IOC_FIEMAP`).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

const FS_IOC_FIEMAP: libc::Ioctl = 0xc020_660b;
const FIEMAP_FLAG_SYNC: u32 = 1;
const FIEMAP_EXTENT_SHARED: u32 = 0x2000;
const EXTENTS: usize = 64;

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Extent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

/// `struct fiemap` with room for extents.
#[repr(C)]
struct Map {
    start: u64,
    length: u64,
    flags: u32,
    mapped_extents: u32,
    extent_count: u32,
    reserved: u32,
    extents: [Extent; EXTENTS],
}

/// How many extents the file has, and how many of them it shares.
pub fn extents(file: &File) -> io::Result<(usize, usize)> {
    let mut map = Map {
        start: 0,
        length: u64::MAX,
        flags: FIEMAP_FLAG_SYNC,
        mapped_extents: 0,
        extent_count: EXTENTS as u32,
        reserved: 0,
        extents: [Extent::default(); EXTENTS],
    };
    // SAFETY: the kernel fills at most `extent_count` extents of `map`.
    if unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FIEMAP, &raw mut map) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mapped = &map.extents[..map.mapped_extents as usize];
    let shared = mapped
        .iter()
        .filter(|extent| extent.flags & FIEMAP_EXTENT_SHARED != 0)
        .count();
    Ok((mapped.len(), shared))
}
