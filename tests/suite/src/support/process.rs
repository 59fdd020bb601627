// SPDX-License-Identifier: GPL-2.0

//! Child processes that take part in a test.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::pipe::{pipe_with, PipeFlags};
use rustix::process::{waitpid, Pid, Signal, WaitOptions};

use crate::harness::verdict;
use crate::support::must::must;

/// A user who owns nothing that a test does not give to it.
pub const USER: u32 = 1000;

/// Another such user.
pub const OTHER_USER: u32 = 1001;

/// A running child.
pub struct Child {
    pid: Pid,
    report: OwnedFd,
}

impl Child {
    /// Runs `f` in a child process; a panic there fails [`Child::join`] here.
    #[track_caller]
    pub fn spawn(f: impl FnOnce()) -> Self {
        let (report, reporter) = must("pipe", pipe_with(PipeFlags::CLOEXEC));
        // SAFETY: tests fork before they start threads.
        let pid = match unsafe { libc::fork() } {
            0 => {
                drop(report);
                let status = match verdict::catch(f) {
                    Ok(()) => 0,
                    Err(why) => {
                        let _ = rustix::io::write(&reporter, why.as_bytes());
                        1
                    }
                };
                // SAFETY: ends this process without running exit handlers.
                unsafe { libc::_exit(status) }
            }
            pid => Pid::from_raw(pid).filter(|_| pid > 0).expect("fork"),
        };
        Self { pid, report }
    }

    /// Kills the child, unless it has ended.
    #[track_caller]
    pub fn kill(&self) {
        must(
            "kill",
            rustix::process::kill_process(self.pid, Signal::KILL),
        );
    }

    /// The process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Stops the child, and waits until it stands still.
    #[track_caller]
    pub fn stop(&self) {
        must(
            "stop",
            rustix::process::kill_process(self.pid, Signal::STOP),
        );
        let (_, status) = must("waitpid", waitpid(Some(self.pid), WaitOptions::UNTRACED))
            .expect("the child vanished");
        assert!(status.stopped(), "{status:?}");
    }

    /// Lets a stopped child go on.
    #[track_caller]
    pub fn resume(&self) {
        must(
            "continue",
            rustix::process::kill_process(self.pid, Signal::CONT),
        );
    }

    /// The signal that ended the child, or nothing if it ended by itself.
    #[track_caller]
    pub fn wait_for_signal(self) -> Option<i32> {
        let (_, status) = must("waitpid", waitpid(Some(self.pid), WaitOptions::empty()))
            .expect("the child vanished");
        status.terminating_signal()
    }

    /// Waits for the end, and fails if the child failed.
    #[track_caller]
    pub fn join(self) {
        match self.wait() {
            Some(Ok(())) => {}
            Some(Err(why)) => panic!("in a child: {why}"),
            None => panic!("a child was killed by a signal"),
        }
    }

    /// The result, or nothing if a signal ended the child.
    #[track_caller]
    pub fn wait(self) -> Option<Result<(), String>> {
        let (_, status) = must("waitpid", waitpid(Some(self.pid), WaitOptions::empty()))
            .expect("the child vanished");
        match status.exit_status()? {
            0 => Some(Ok(())),
            _ => {
                let mut why = String::new();
                let _ = File::from(self.report).read_to_string(&mut why);
                Some(Err(why))
            }
        }
    }
}

/// Runs `f` in a child process and waits for it.
#[track_caller]
pub fn in_child(f: impl FnOnce()) {
    Child::spawn(f).join();
}

/// Runs `f` as another user, without any capability.
#[track_caller]
pub fn as_user(uid: u32, f: impl FnOnce()) {
    in_child(|| {
        become_user(uid, uid);
        f();
    });
}

/// Gives this process another identity, and no supplementary groups.
#[track_caller]
pub fn become_user(uid: u32, gid: u32) {
    // SAFETY: these calls take no memory but an empty list.
    let done = unsafe {
        libc::setgroups(0, std::ptr::null()) == 0
            && libc::setresgid(gid, gid, gid) == 0
            && libc::setresuid(uid, uid, uid) == 0
    };
    assert!(
        done,
        "become user {uid}: {}",
        std::io::Error::last_os_error()
    );
}
