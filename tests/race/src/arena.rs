// SPDX-License-Identifier: GPL-2.0

//! Memory that all processes share: what was announced, and counts.

use crate::FILES;
use std::{
    io,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

struct Shared {
    announced: [AtomicU64; FILES],
    finished: AtomicBool,
    reads: AtomicU64,
    faults: AtomicU64,
    stale: AtomicU64,
}

/// The memory.
pub struct Arena(*const Shared);

// SAFETY: All fields are atomic.
unsafe impl Send for Arena {}
// SAFETY: As above.
unsafe impl Sync for Arena {}

impl Arena {
    pub fn new() -> io::Result<Self> {
        // SAFETY: A new mapping; all-zero memory is a valid `Shared`.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Shared>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(memory.cast()))
    }

    fn get(&self) -> &Shared {
        // SAFETY: Never unmapped.
        unsafe { &*self.0 }
    }

    /// Nothing is announced.
    pub fn begin(&self) {
        for number in &self.get().announced {
            number.store(0, Ordering::SeqCst);
        }
        self.get().finished.store(false, Ordering::SeqCst);
    }

    /// The writers are done.
    pub fn finish(&self) {
        self.get().finished.store(true, Ordering::SeqCst);
    }

    pub fn is_finished(&self) -> bool {
        self.get().finished.load(Ordering::SeqCst)
    }

    /// `number` is in all pages of the file.
    pub fn announce(&self, file: usize, number: u64) {
        self.get().announced[file].store(number, Ordering::SeqCst);
    }

    pub fn announced(&self, file: usize) -> u64 {
        self.get().announced[file].load(Ordering::SeqCst)
    }

    /// A page was read.
    pub fn count_read(&self, stale: bool) {
        self.get().reads.fetch_add(1, Ordering::Relaxed);
        if stale {
            self.get().stale.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Pages were unmapped, or mapped anew.
    pub fn count_fault(&self) {
        self.get().faults.fetch_add(1, Ordering::Relaxed);
    }

    pub fn reads(&self) -> u64 {
        self.get().reads.load(Ordering::Relaxed)
    }

    pub fn faults(&self) -> u64 {
        self.get().faults.load(Ordering::Relaxed)
    }

    pub fn stale(&self) -> u64 {
        self.get().stale.load(Ordering::SeqCst)
    }
}
