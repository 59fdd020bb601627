// SPDX-License-Identifier: GPL-2.0

//! Makes one allocation of a task fail: `fail-nth` of the kernel's fault injection.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

const FAILSLAB: &str = "/sys/kernel/debug/failslab";

/// How an operation ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With success.
    Done,
    /// With an error.
    Failed(Errno),
    /// By a signal that its process got.
    Killed(i32),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Failed(errno) => errno.fmt(f),
            Self::Killed(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

impl From<Result<(), Errno>> for Outcome {
    fn from(result: Result<(), Errno>) -> Self {
        result.map_or_else(Self::Failed, |()| Self::Done)
    }
}

/// Allocations of all kinds can be made to fail while this lives.
pub struct Injector;

impl Injector {
    /// Sets the kernel up for it.
    pub fn new() -> Result<Self, String> {
        let injector = Self;
        for (name, value) in [("verbose", "0"), ("ignore-gfp-wait", "N")] {
            let path = format!("{FAILSLAB}/{name}");
            fs::write(&path, value).map_err(|error| {
                format!("{path}: {error}: the kernel needs CONFIG_FAILSLAB, and debugfs mounted")
            })?;
        }
        Ok(injector)
    }

    /// Calls `f`, in which the nth allocation fails, or none if that is zero. Tells whether
    /// there was one.
    pub fn here(
        &self,
        nth: usize,
        f: impl FnOnce() -> Result<(), Errno>,
    ) -> io::Result<(Outcome, bool)> {
        let mut armed = File::options()
            .read(true)
            .write(true)
            .open("/proc/thread-self/fail-nth")?;
        let text = nth.to_string();
        armed.write_all(text.as_bytes())?;
        let result = f();
        let mut left = [0; 16];
        let length = armed.read_at(&mut left, 0)?;
        armed.write_all_at(b"0", 0)?;
        Ok((result.into(), nth > 0 && is_zero(&left[..length])))
    }

    /// As [`Self::here`], in a process of its own; its end belongs to the operation.
    pub fn in_child(
        &self,
        nth: usize,
        f: impl FnOnce() -> Result<(), Errno>,
    ) -> io::Result<(Outcome, bool)> {
        // SAFETY: there are no other threads.
        let child = unsafe { libc::fork() };
        match child {
            0 => {
                let armed = fs::write("/proc/thread-self/fail-nth", nth.to_string());
                let code = match armed {
                    Ok(()) => f().err().map_or(0, Errno::raw_os_error),
                    Err(_) => libc::ENOSYS,
                };
                // SAFETY: nothing is to be cleaned up: all of it is the parent's.
                unsafe { libc::_exit(code) }
            }
            child if child > 0 => reap(nth, child),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        let _ = fs::write(format!("{FAILSLAB}/ignore-gfp-wait"), "Y");
    }
}

fn is_zero(text: &[u8]) -> bool {
    text.trim_ascii() == b"0"
}

/// Waits for a process, and asks what is left of its count before it is gone.
fn reap(nth: usize, child: libc::pid_t) -> io::Result<(Outcome, bool)> {
    // SAFETY: all zeros is a value of it, and the kernel writes one.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let id = child.unsigned_abs();
    // SAFETY: the kernel writes `info`.
    let waited = unsafe {
        libc::waitid(
            libc::P_PID,
            id,
            &raw mut info,
            libc::WEXITED | libc::WNOWAIT,
        )
    };
    if waited != 0 {
        return Err(io::Error::last_os_error());
    }
    let left = fs::read(format!("/proc/{child}/fail-nth"))?;
    let mut status = 0;
    // SAFETY: the kernel writes `status`.
    if unsafe { libc::waitpid(child, &raw mut status, 0) } != child {
        return Err(io::Error::last_os_error());
    }
    let outcome = if libc::WIFSIGNALED(status) {
        Outcome::Killed(libc::WTERMSIG(status))
    } else {
        match libc::WEXITSTATUS(status) {
            0 => Outcome::Done,
            errno => Outcome::Failed(Errno::from_raw_os_error(errno)),
        }
    };
    Ok((outcome, nth > 0 && is_zero(&left)))
}
