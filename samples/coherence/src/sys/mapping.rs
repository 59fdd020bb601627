// SPDX-License-Identifier: GPL-2.0
//! Shared mappings.

use super::checked;
use std::{
    ffi::{c_int, c_void},
    fs::File,
    io,
    os::fd::AsRawFd,
    ptr,
};

pub(super) const PROT_READ: c_int = 1;
pub(super) const PROT_WRITE: c_int = 2;
const MAP_SHARED: c_int = 1;

extern "C" {
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
    fn write(fd: c_int, buf: *const c_void, len: usize) -> isize;
}

/// A shared mapping of the start of a file.
///
/// # Invariants
///
/// `address` is the address of `len` mapped, readable bytes that this object owns.
pub(crate) struct Mapping {
    pub(super) address: *mut u8,
    len: usize,
}

impl Mapping {
    /// Maps a file to be read.
    pub(crate) fn new(file: &File, len: usize) -> io::Result<Self> {
        Self::with(file, len, PROT_READ, 0)
    }

    pub(super) fn with(
        file: &impl AsRawFd,
        len: usize,
        protection: c_int,
        at: i64,
    ) -> io::Result<Self> {
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

    /// Where it is.
    pub(crate) fn address(&self) -> usize {
        self.address as usize
    }

    /// Has the kernel read all of it, by write(2) to a pipe.
    pub(crate) fn write_to(&self, pipe: &File) -> io::Result<usize> {
        // SAFETY: The type invariants; the kernel does not mind who writes to the file meanwhile.
        checked(unsafe { write(pipe.as_raw_fd(), self.address.cast(), self.len) })
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
