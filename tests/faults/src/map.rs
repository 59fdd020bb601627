// SPDX-License-Identifier: GPL-2.0

//! A shared mapping of a file.

use std::ffi::c_void;
use std::fs::File;

use rustix::io::Errno;
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};

/// Mapped as long as this lives.
pub struct Map {
    address: *mut c_void,
    length: usize,
}

impl Map {
    /// Maps the start of a file to read.
    pub fn new(file: &File, length: usize) -> Result<Self, Errno> {
        let null = std::ptr::null_mut();
        // SAFETY: a new mapping, where the kernel chooses.
        let address = unsafe { mmap(null, length, ProtFlags::READ, MapFlags::SHARED, file, 0) }?;
        Ok(Self { address, length })
    }

    /// Reads a byte, by a page fault if it is not there.
    pub fn byte(&self, at: usize) -> u8 {
        assert!(at < self.length);
        // SAFETY: within the mapping; others may write to it, but not this process.
        unsafe { self.address.cast::<u8>().add(at).read_volatile() }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: nobody has a reference into it.
        let _ = unsafe { munmap(self.address, self.length) };
    }
}
