// SPDX-License-Identifier: GPL-2.0
//! What the kernel tells about a file.

use super::{checked, ioctl, syscall};
use std::{
    ffi::{c_int, c_long, c_ulong},
    fmt,
    fs::File,
    io,
    mem::size_of,
    os::fd::AsRawFd,
};

const SEEK_DATA: c_int = 3;
const SEEK_HOLE: c_int = 4;
const ENXIO: i32 = 6;
const SYS_CACHESTAT: c_long = 451;
const FS_IOC_FIEMAP: c_ulong = 0xc020_660b;
const FIEMAP_FLAG_SYNC: u32 = 1;

extern "C" {
    fn lseek64(fd: c_int, offset: i64, whence: c_int) -> i64;
}

/// Where there is data from this offset on; `None` if there is none.
pub(crate) fn seek_data(file: &File, at: u64) -> io::Result<Option<u64>> {
    seek(file, at, SEEK_DATA)
}

/// Where there is a hole from this offset on; `None` if the offset is behind the end.
pub(crate) fn seek_hole(file: &File, at: u64) -> io::Result<Option<u64>> {
    seek(file, at, SEEK_HOLE)
}

fn seek(file: &File, at: u64, whence: c_int) -> io::Result<Option<u64>> {
    // SAFETY: The call touches no memory.
    match checked(unsafe { lseek64(file.as_raw_fd(), at as i64, whence) } as isize) {
        Ok(found) => Ok(Some(found as u64)),
        Err(error) if error.raw_os_error() == Some(ENXIO) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts a device number together as in `st_dev`.
pub(crate) fn device(major: u64, minor: u64) -> u64 {
    (major & 0xfff) << 8 | (major & !0xfff) << 32 | minor & 0xff | (minor & !0xff) << 12
}

/// How many pages of a file there are.
#[derive(Clone, Copy, Default, PartialEq)]
pub(crate) struct Pages {
    /// In memory.
    pub(crate) cached: u64,
    /// Of these, changed and not on the disk yet.
    pub(crate) unwritten: u64,
}

impl fmt::Display for Pages {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} pages, {} unwritten", self.cached, self.unwritten)
    }
}

/// cachestat(2) of all of a file.
pub(crate) fn pages(file: &File) -> io::Result<Pages> {
    /// `struct cachestat`.
    #[repr(C)]
    #[derive(Default)]
    struct Answer {
        cached: u64,
        dirty: u64,
        in_writeback: u64,
        evicted: u64,
        recently_evicted: u64,
    }
    // From the start to the end, whatever that is: `struct cachestat_range`.
    let range = [0u64; 2];
    let mut answer = Answer::default();
    // SAFETY: `range` is what the call reads, `answer` what it fills.
    checked(unsafe {
        syscall(
            SYS_CACHESTAT,
            file.as_raw_fd(),
            range.as_ptr(),
            &mut answer,
            0u32,
        )
    } as isize)?;
    Ok(Pages {
        cached: answer.cached,
        unwritten: answer.dirty + answer.in_writeback,
    })
}

/// `struct fiemap_extent`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Extent {
    logical: u64,
    physical: u64,
    len: u64,
    reserved: [u64; 2],
    flags: u32,
    more_reserved: [u32; 3],
}

/// The first extents in a part of a file, after it was written to the disk.
pub(crate) fn extents(file: &File, at: u64, len: u64) -> io::Result<Vec<Extent>> {
    const ROOM: usize = 4;
    /// `struct fiemap`, with room behind it.
    #[repr(C)]
    #[derive(Default)]
    struct Map {
        start: u64,
        len: u64,
        flags: u32,
        mapped: u32,
        room: u32,
        reserved: u32,
        extents: [Extent; ROOM],
    }
    const { assert!(size_of::<Map>() == 32 + ROOM * 56) };
    let mut map = Map {
        start: at,
        len,
        flags: FIEMAP_FLAG_SYNC,
        room: ROOM as u32,
        ..Map::default()
    };
    // SAFETY: The call fills `map`, which says how long it is.
    checked(unsafe { ioctl(file.as_raw_fd(), FS_IOC_FIEMAP, &mut map) } as isize)?;
    Ok(map.extents[..ROOM.min(map.mapped as usize)].to_vec())
}
