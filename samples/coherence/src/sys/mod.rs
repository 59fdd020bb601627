// SPDX-License-Identifier: GPL-2.0
//! System calls that the standard library lacks, behind safe functions.
//!
//! They are declared here, so that a plain `rustc` builds this program without any crate.

#![allow(unsafe_code)]

pub(crate) mod aio;
pub(crate) mod uring;

use std::{
    ffi::{c_int, c_long, c_void},
    fs::File,
    io::{self, IoSliceMut},
    os::fd::{AsRawFd, FromRawFd},
    ptr,
};

const O_CLOEXEC: c_int = 0o2000000;
const PROT_READ: c_int = 1;
const PROT_WRITE: c_int = 2;
const MAP_SHARED: c_int = 1;

extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn pipe2(fds: *mut c_int, flags: c_int) -> c_int;
    fn preadv2(
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
    #[link_name = "mmap64"]
    fn mmap(
        address: *mut c_void,
        len: usize,
        protection: c_int,
        flags: c_int,
        fd: c_int,
        offset: i64,
    ) -> *mut c_void;
    fn munmap(address: *mut c_void, len: usize) -> c_int;
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
pub(crate) fn preadv2_one(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    let mut iov = [IoSliceMut::new(buf)];
    // SAFETY: `IoSliceMut` is ABI compatible with `struct iovec`, and describes memory that this
    // function may write.
    checked(unsafe { preadv2(file.as_raw_fd(), iov.as_mut_ptr(), 1, at as i64, 0) })
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

/// A shared mapping of the start of a file.
///
/// # Invariants
///
/// `address` is the address of `len` mapped, readable bytes that this object owns.
pub(crate) struct Mapping {
    address: *mut u8,
    len: usize,
}

impl Mapping {
    /// Maps a file to be read.
    pub(crate) fn new(file: &File, len: usize) -> io::Result<Self> {
        Self::with(file, len, PROT_READ, 0)
    }

    fn with(file: &impl AsRawFd, len: usize, protection: c_int, at: i64) -> io::Result<Self> {
        // SAFETY: The kernel chooses an address where nothing is mapped.
        let address = unsafe {
            mmap(
                ptr::null_mut(),
                len,
                protection,
                MAP_SHARED,
                file.as_raw_fd(),
                at,
            )
        };
        if address as isize == -1 {
            return Err(io::Error::last_os_error());
        }
        // INVARIANT: The mapping is new, and has just been made with this length.
        Ok(Self {
            address: address.cast(),
            len,
        })
    }

    /// Copies from the mapping what is there now.
    pub(crate) fn copy_to(&self, at: usize, buf: &mut [u8]) {
        assert!(at.checked_add(buf.len()).is_some_and(|end| end <= self.len));
        for (offset, byte) in buf.iter_mut().enumerate() {
            // SAFETY: In bounds by the assertion and the type invariants.  Volatile, because
            // others write to the file.
            *byte = unsafe { self.address.add(at + offset).read_volatile() };
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: By the type invariants this object owns the mapping, and no reference to its
        // memory is ever handed out.
        unsafe { munmap(self.address.cast(), self.len) };
    }
}
