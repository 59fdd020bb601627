// SPDX-License-Identifier: GPL-2.0

//! Memory mappings of files.

use std::ffi::c_void;
use std::fs::File;
use std::io;

use rustix::io::Errno;
use rustix::mm::{
    mmap, mmap_anonymous, mprotect, mremap, mremap_fixed, msync, munmap, MapFlags, MprotectFlags,
    MremapFlags, MsyncFlags, ProtFlags,
};

use crate::support::must::must;

/// The size of a page, on all machines that the tests run on.
pub const PAGE: usize = 4096;

/// A mapping, gone when this is dropped.
pub struct Map {
    address: *mut u8,
    length: usize,
}

// SAFETY: the memory is the process's, not the thread's.
unsafe impl Send for Map {}
// SAFETY: all access is volatile, byte by byte.
unsafe impl Sync for Map {}

impl Map {
    /// Maps a file from its start.
    pub fn new(
        file: &File,
        length: usize,
        prot: ProtFlags,
        flags: MapFlags,
    ) -> Result<Self, Errno> {
        Self::at(file, 0, length, prot, flags)
    }

    /// Maps a file from an offset.
    pub fn at(
        file: &File,
        offset: usize,
        length: usize,
        prot: ProtFlags,
        flags: MapFlags,
    ) -> Result<Self, Errno> {
        let null = std::ptr::null_mut();
        // SAFETY: a new mapping, where the kernel chooses.
        let address = unsafe { mmap(null, length, prot, flags, file, offset as u64) }?;
        Ok(Self {
            address: address.cast(),
            length,
        })
    }

    /// A shared mapping to read.
    #[track_caller]
    pub fn shared_read(file: &File, length: usize) -> Self {
        Self::shared_read_at(file, 0, length)
    }

    /// A shared mapping to read, from an offset.
    #[track_caller]
    pub fn shared_read_at(file: &File, offset: usize, length: usize) -> Self {
        must(
            "mmap",
            Self::at(file, offset, length, ProtFlags::READ, MapFlags::SHARED),
        )
    }

    /// A shared mapping to read and write.
    #[track_caller]
    pub fn shared_write(file: &File, length: usize) -> Self {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        must("mmap", Self::new(file, length, prot, MapFlags::SHARED))
    }

    /// A private mapping to read and write.
    #[track_caller]
    pub fn private(file: &File, length: usize) -> Self {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        must("mmap", Self::new(file, length, prot, MapFlags::PRIVATE))
    }

    /// Where it is.
    pub fn address(&self) -> *mut c_void {
        self.address.cast()
    }

    /// Where a byte of it is.
    pub fn pointer(&self, at: usize) -> *const u8 {
        assert!(at < self.length);
        self.address.wrapping_add(at)
    }

    /// How many bytes it was asked to have.
    pub fn length(&self) -> usize {
        self.length
    }

    /// One byte, read now.
    pub fn byte(&self, at: usize) -> u8 {
        // SAFETY: inside the mapping, which has the file's bytes there.
        unsafe { self.pointer(at).read_volatile() }
    }

    /// All bytes, read now.
    pub fn bytes(&self) -> Vec<u8> {
        self.part(0, self.length)
    }

    /// Some bytes, read now.
    pub fn part(&self, at: usize, length: usize) -> Vec<u8> {
        (at..at + length).map(|at| self.byte(at)).collect()
    }

    /// Writes into the mapping.
    pub fn set(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.length);
        for (index, &byte) in bytes.iter().enumerate() {
            // SAFETY: inside the mapping, which is writable.
            unsafe { self.address.add(at + index).write_volatile(byte) };
        }
    }

    /// `msync`, waiting.
    #[track_caller]
    pub fn sync(&self) {
        // SAFETY: the mapping is ours.
        must("msync", unsafe {
            msync(self.address(), self.length, MsyncFlags::SYNC)
        });
    }

    /// `madvise` with one of libc's numbers.
    pub fn advise(&self, advice: i32) -> io::Result<()> {
        // SAFETY: of the advice, only kinds that keep what a file says are
        // used.
        match unsafe { libc::madvise(self.address(), self.length, advice) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// `mprotect` of a part.
    pub fn try_protect(&self, at: usize, length: usize, prot: MprotectFlags) -> Result<(), Errno> {
        assert!(at + length <= self.length.next_multiple_of(PAGE));
        // SAFETY: the memory is the mapping's.
        unsafe { mprotect(self.address.add(at).cast(), length, prot) }
    }

    /// `mprotect` of a part.
    #[track_caller]
    pub fn protect(&self, at: usize, length: usize, prot: MprotectFlags) {
        must("mprotect", self.try_protect(at, length, prot));
    }

    /// `munmap` of a part, which must not be read after that.
    #[track_caller]
    pub fn unmap_part(&self, at: usize, length: usize) {
        assert!(at + length <= self.length.next_multiple_of(PAGE));
        // SAFETY: the memory is the mapping's, and the test keeps off it.
        must("munmap", unsafe {
            munmap(self.address.add(at).cast(), length)
        });
    }

    /// `mremap` to another length, wherever that fits.
    #[track_caller]
    pub fn resized(self, length: usize) -> Self {
        // SAFETY: the memory is ours, and nothing else knows where it is.
        let address = must("mremap", unsafe {
            mremap(self.address(), self.length, length, MremapFlags::MAYMOVE)
        });
        std::mem::forget(self);
        Self {
            address: address.cast(),
            length,
        }
    }

    /// `mremap` to another place.
    #[track_caller]
    pub fn moved(self) -> Self {
        // SAFETY: a new mapping takes room, which the old one then replaces;
        // nothing else knows of either.
        let address = must("mremap", unsafe {
            let room = mmap_anonymous(
                std::ptr::null_mut(),
                self.length,
                ProtFlags::empty(),
                MapFlags::PRIVATE,
            );
            let flags = MremapFlags::MAYMOVE;
            room.and_then(|room| {
                mremap_fixed(self.address(), self.length, self.length, flags, room)
            })
        });
        assert_ne!(address, self.address());
        let length = self.length;
        std::mem::forget(self);
        Self {
            address: address.cast(),
            length,
        }
    }

    /// Another mapping of the same, by `mremap` with the old length 0.
    #[track_caller]
    pub fn twin(&self) -> Self {
        // SAFETY: this makes a new mapping and leaves the old one.
        let address = must("mremap", unsafe {
            mremap(self.address(), 0, self.length, MremapFlags::MAYMOVE)
        });
        Self {
            address: address.cast(),
            length: self.length,
        }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing refers to it any more.
        let _ = unsafe { munmap(self.address(), self.length) };
    }
}
