// SPDX-License-Identifier: GPL-2.0

//! Numbers that several processes share, to tell each other how far they are.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::Timespec;
use rustix::mm::{mmap_anonymous, MapFlags, ProtFlags};
use rustix::thread::futex;

use crate::support::mapping::PAGE;
use crate::support::must::must;

/// How long one side waits for another before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Numbers, all 0 at first. A child that is forked has the same ones; they
/// stay until the process ends.
#[derive(Clone, Copy)]
pub struct Board(&'static [AtomicU32; PAGE / 4]);

impl Board {
    /// Makes the numbers.
    #[track_caller]
    pub fn new() -> Self {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping that is never unmapped, of zeros, which are
        // numbers.
        unsafe {
            let memory = mmap_anonymous(std::ptr::null_mut(), PAGE, prot, MapFlags::SHARED);
            Self(&*must("mmap", memory).cast())
        }
    }

    /// What a number is now.
    pub fn get(self, index: usize) -> u32 {
        self.0[index].load(Ordering::SeqCst)
    }

    /// Sets a number.
    pub fn set(self, index: usize, value: u32) {
        self.0[index].store(value, Ordering::SeqCst);
        self.wake(index);
    }

    /// Adds one to a number.
    pub fn count(self, index: usize) {
        self.0[index].fetch_add(1, Ordering::SeqCst);
        self.wake(index);
    }

    fn wake(self, index: usize) {
        let everybody = i32::MAX as u32;
        let _ = futex::wake(&self.0[index], futex::Flags::empty(), everybody);
    }

    /// Waits until a number is at least this.
    #[track_caller]
    pub fn wait(self, index: usize, value: u32) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.get(index);
            if now >= value {
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "number {index} is still {now} instead of {value}"
            );
            let left = Timespec::try_from(left).expect("a short time");
            // It returns when the number has changed, and at other times.
            let _ = futex::wait(&self.0[index], futex::Flags::empty(), now, Some(&left));
        }
    }
}
