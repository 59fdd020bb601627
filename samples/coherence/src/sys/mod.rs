// SPDX-License-Identifier: GPL-2.0
//! System calls that the standard library lacks, behind safe functions.
//!
//! They are declared here, so that a plain `rustc` builds this program without any crate.

#![allow(unsafe_code)]

pub(crate) mod aio;
pub(crate) mod hold;
pub(crate) mod mapping;
pub(crate) mod query;
pub(crate) mod uring;

use std::{
    ffi::{c_int, c_long, c_ulong},
    fs::File,
    io::{self, IoSliceMut},
    os::fd::{AsRawFd, FromRawFd},
    ptr,
};

const O_CLOEXEC: c_int = 0o2000000;
const FICLONE: c_ulong = 0x4004_9409;

/// That the data will be needed, to posix_fadvise(2).
pub(crate) const POSIX_FADV_WILLNEED: c_int = 3;
/// That the pages in memory will not be needed.
pub(crate) const POSIX_FADV_DONTNEED: c_int = 4;
/// Fails, of preadv2(2), where the data is not in memory.
pub(crate) const RWF_NOWAIT: c_int = 8;
/// Past the page cache.
#[cfg(target_arch = "x86_64")]
pub(crate) const O_DIRECT: c_int = 0o40000;
/// Past the page cache.
#[cfg(target_arch = "aarch64")]
pub(crate) const O_DIRECT: c_int = 0o200000;

extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn pipe2(fds: *mut c_int, flags: c_int) -> c_int;
    #[link_name = "preadv2"]
    fn preadv2_raw(
        fd: c_int,
        iov: *mut IoSliceMut<'_>,
        iovcnt: c_int,
        offset: i64,
        flags: c_int,
    ) -> isize;
    #[link_name = "splice"]
    fn splice_raw(
        fd_in: c_int,
        off_in: *mut i64,
        fd_out: c_int,
        off_out: *mut i64,
        len: usize,
        flags: u32,
    ) -> isize;
    #[link_name = "sendfile64"]
    fn sendfile_raw(fd_out: c_int, fd_in: c_int, offset: *mut i64, len: usize) -> isize;
    #[link_name = "tee"]
    fn tee_raw(fd_in: c_int, fd_out: c_int, len: usize, flags: u32) -> isize;
    #[link_name = "copy_file_range"]
    fn copy_file_range_raw(
        fd_in: c_int,
        off_in: *mut i64,
        fd_out: c_int,
        off_out: *mut i64,
        len: usize,
        flags: u32,
    ) -> isize;
    #[link_name = "readahead"]
    fn readahead_raw(fd: c_int, offset: i64, len: usize) -> isize;
    fn posix_fadvise64(fd: c_int, offset: i64, len: i64, advice: c_int) -> c_int;
    fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int;
    fn process_vm_readv(
        pid: c_int,
        local: *const Iovec,
        local_count: c_ulong,
        remote: *const Iovec,
        remote_count: c_ulong,
        flags: c_ulong,
    ) -> isize;
}

/// `struct iovec`, of memory that may be that of another process.
#[repr(C)]
struct Iovec {
    address: usize,
    len: usize,
}

/// Turns a negative return value into `errno`.
fn checked(ret: isize) -> io::Result<usize> {
    usize::try_from(ret).map_err(|_| io::Error::last_os_error())
}

/// Makes a pipe: the end to read from, the end to write to.
pub(crate) fn pipe() -> io::Result<(File, File)> {
    let mut fds = [0; 2];
    // SAFETY: `fds` has room for the two descriptors.
    checked(unsafe { pipe2(fds.as_mut_ptr(), O_CLOEXEC) } as isize)?;
    // SAFETY: The call succeeded, so both are open, and nobody else owns them.
    Ok(unsafe { (File::from_raw_fd(fds[0]), File::from_raw_fd(fds[1])) })
}

/// preadv2(2) with one buffer.
pub(crate) fn preadv2(file: &File, buf: &mut [u8], at: u64, flags: c_int) -> io::Result<usize> {
    let mut iov = [IoSliceMut::new(buf)];
    // SAFETY: `IoSliceMut` is ABI compatible with `struct iovec`, and describes memory that this
    // function may write.
    checked(unsafe { preadv2_raw(file.as_raw_fd(), iov.as_mut_ptr(), 1, at as i64, flags) })
}

/// splice(2) from a place in a file into a pipe.
pub(crate) fn splice(file: &File, at: u64, pipe: &File, len: usize) -> io::Result<usize> {
    let mut at = at as i64;
    // SAFETY: `at` outlives the call, and a null offset is what a pipe takes.
    checked(unsafe {
        splice_raw(
            file.as_raw_fd(),
            &mut at,
            pipe.as_raw_fd(),
            ptr::null_mut(),
            len,
            0,
        )
    })
}

/// sendfile(2) from a place in a file.
pub(crate) fn sendfile(out: &impl AsRawFd, file: &File, at: u64, len: usize) -> io::Result<usize> {
    let mut at = at as i64;
    // SAFETY: `at` outlives the call.
    checked(unsafe { sendfile_raw(out.as_raw_fd(), file.as_raw_fd(), &mut at, len) })
}

/// tee(2) from a pipe into a pipe.
pub(crate) fn tee(source: &File, sink: &File, len: usize) -> io::Result<usize> {
    // SAFETY: The call touches no memory.
    checked(unsafe { tee_raw(source.as_raw_fd(), sink.as_raw_fd(), len, 0) })
}

/// copy_file_range(2) from a place in a file to the start of another.
pub(crate) fn copy_file_range(
    file: &File,
    at: u64,
    target: &File,
    len: usize,
) -> io::Result<usize> {
    let (mut at, mut target_at) = (at as i64, 0);
    // SAFETY: Both offsets outlive the call.
    checked(unsafe {
        copy_file_range_raw(
            file.as_raw_fd(),
            &mut at,
            target.as_raw_fd(),
            &mut target_at,
            len,
            0,
        )
    })
}

/// Makes a file share the blocks of another: the ioctl `FICLONE`.
pub(crate) fn clone(file: &File, target: &File) -> io::Result<()> {
    // SAFETY: The call touches no memory.
    checked(unsafe { ioctl(target.as_raw_fd(), FICLONE, file.as_raw_fd()) } as isize).map(drop)
}

/// readahead(2).
pub(crate) fn readahead(file: &File, at: u64, len: usize) -> io::Result<()> {
    // SAFETY: The call touches no memory.
    checked(unsafe { readahead_raw(file.as_raw_fd(), at as i64, len) }).map(drop)
}

/// posix_fadvise(2).
pub(crate) fn fadvise(file: &File, at: u64, len: usize, advice: c_int) -> io::Result<()> {
    // SAFETY: The call touches no memory.
    match unsafe { posix_fadvise64(file.as_raw_fd(), at as i64, len as i64, advice) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// process_vm_readv(2) with one buffer.
pub(crate) fn read_memory(process: i32, address: usize, buf: &mut [u8]) -> io::Result<usize> {
    let remote = Iovec {
        address,
        len: buf.len(),
    };
    let local = Iovec {
        address: buf.as_mut_ptr() as usize,
        len: buf.len(),
    };
    // SAFETY: The local memory is that of `buf`. Of the remote memory the kernel sees whether it is
    // there.
    checked(unsafe { process_vm_readv(process, &local, 1, &remote, 1, 0) })
}
