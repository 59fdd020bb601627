// SPDX-License-Identifier: GPL-2.0

//! What is counted with.
//!
//! Under QEMU's instruction counting the time stamp counter is the number of
//! instructions that the only CPU has executed, plus the time that it idled.

use std::{
    io,
    os::unix::thread::JoinHandleExt,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// The time stamp counter.
pub fn now() -> u64 {
    // SAFETY: Every x86-64 has it, and the kernel does not forbid it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// What frees memory after a grace period, and workers, are done by then.
const SETTLE: Duration = Duration::from_millis(50);

/// A thread that runs when nothing else does, so that what it takes is what the machine idled.
pub struct Idler {
    clock: libc::clockid_t,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    run: AtomicBool,
    end: AtomicBool,
}

impl Idler {
    /// Makes it, at rest.
    pub fn new() -> io::Result<Self> {
        let state = Arc::new(State::default());
        let seen = state.clone();
        let thread = thread::Builder::new().spawn(move || {
            let priority = libc::sched_param { sched_priority: 0 };
            // SAFETY: Changes the calling thread only.
            unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &priority) };
            while !seen.end.load(Ordering::Relaxed) {
                match seen.run.load(Ordering::Relaxed) {
                    true => core::hint::spin_loop(),
                    false => thread::park(),
                }
            }
        })?;
        let mut clock = 0;
        // SAFETY: The thread is not joined before it is dropped.
        match unsafe { libc::pthread_getcpuclockid(thread.as_pthread_t(), &mut clock) } {
            0 => Ok(Self {
                clock,
                state,
                thread: Some(thread),
            }),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Waits until what was left to later is done, and runs from then on.
    pub fn run(&self) {
        thread::sleep(SETTLE);
        self.state.run.store(true, Ordering::Relaxed);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    /// Does not run from here on.
    pub fn rest(&self) {
        self.state.run.store(false, Ordering::Relaxed);
    }

    /// How long the machine has idled while this ran.
    pub fn idled(&self) -> u64 {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: The clock is that of a thread that lives.
        unsafe { libc::clock_gettime(self.clock, &mut time) };
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
}

impl Drop for Idler {
    fn drop(&mut self) {
        self.state.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
