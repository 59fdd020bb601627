// SPDX-License-Identifier: GPL-2.0

//! User namespaces: what those do who have rights in one alone.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::FileType;
use rustix::pipe::pipe;
use rustix::process::{pidfd_getfd, pidfd_open, PidfdFlags, PidfdGetfdFlags};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;
use crate::support::process::{become_user, Child};

/// Which numbers there are: inside, outside, how many.
pub type Ranges<'a> = &'a [(u32, u32, u32)];

/// The number that root of a namespace has outside of it.
pub const BASE: u32 = 100_000;

/// As a container has it: users and groups from 0 on.
pub const CONTAINER: Ranges<'static> = &[(0, BASE, 65_536)];

/// What a number that there is none for is shown as.
pub const NOBODY: u32 = 65_534;

/// Runs `f` in a child of ours that is in a user namespace of its own, which has
/// these numbers when `f` begins.
#[track_caller]
fn spawn(ranges: Ranges<'_>, uid: u32, flags: UnshareFlags, f: impl FnOnce()) -> Child {
    let (ready, is_ready) = must("pipe", pipe());
    let (start, may_start) = must("pipe", pipe());
    let child = Child::spawn(|| {
        // SAFETY: this process does not use it, and would never see the end of the other one.
        unsafe { rustix::io::close(may_start.as_raw_fd()) };
        become_user(uid, uid);
        // SAFETY: nothing is shared with other threads: there are none.
        must("unshare", unsafe {
            rustix::thread::unshare_unsafe(flags | UnshareFlags::NEWUSER)
        });
        let_maps_be_written();
        must("write", rustix::io::write(&is_ready, b"."));
        must("read", rustix::io::read(&start, &mut [0_u8; 1]));
        f();
    });
    drop(is_ready);
    // Nothing comes if the child failed, which whoever waits for it is told.
    must("read", rustix::io::read(&ready, &mut [0_u8; 1]));
    let map: String = ranges
        .iter()
        .map(|(inside, outside, count)| format!("{inside} {outside} {count}\n"))
        .collect();
    for file in ["uid_map", "gid_map"] {
        let path = format!("/proc/{}/{file}", child.pid().as_raw_nonzero());
        must(file, std::fs::write(path, &map));
    }
    must("write", rustix::io::write(&may_start, b"."));
    child
}

/// What belongs to a process whose user has changed is root's, and nobody's in a
/// namespace.
fn let_maps_be_written() {
    // SAFETY: takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) };
}

/// A user namespace in which nobody is.
#[track_caller]
pub fn namespace(ranges: Ranges<'_>) -> File {
    let child = spawn(ranges, 0, UnshareFlags::empty(), || loop {
        std::thread::park();
    });
    let path = format!("/proc/{}/ns/user", child.pid().as_raw_nonzero());
    let namespace = must("open", File::open(path));
    child.kill();
    child.wait_for_signal();
    namespace
}

/// Runs `f` as root of a new user namespace, made by a user without any rights, and
/// in a mount namespace that belongs to it. Mounts that `f` leaves go with it.
#[track_caller]
pub fn inside(ranges: Ranges<'_>, f: impl FnOnce()) {
    start(ranges, f).join();
}

/// The same, without waiting.
#[track_caller]
pub fn start(ranges: Ranges<'_>, f: impl FnOnce()) -> Child {
    let root = ranges
        .iter()
        .find(|(inside, ..)| *inside == 0)
        .map_or(0, |&(_, outside, _)| outside);
    spawn(ranges, root, UnshareFlags::NEWNS, || {
        become_user(0, 0);
        f();
    })
}

/// A descriptor that a process in a new user namespace has opened.
#[track_caller]
pub fn descriptor_of(ranges: Ranges<'_>, open: impl FnOnce() -> OwnedFd) -> OwnedFd {
    let (ready, is_ready) = must("pipe", pipe());
    let (finish, may_finish) = must("pipe", pipe());
    let child = start(ranges, || {
        let opened = open();
        let number = opened.as_raw_fd().to_ne_bytes();
        must("write", rustix::io::write(&is_ready, &number));
        must("read", rustix::io::read(&finish, &mut [0_u8; 1]));
    });
    drop(is_ready);
    let mut number = [0_u8; 4];
    if must("read", rustix::io::read(&ready, &mut number)) != number.len() {
        child.join();
        panic!("nothing was opened");
    }
    let process = must("pidfd_open", pidfd_open(child.pid(), PidfdFlags::empty()));
    let number = i32::from_ne_bytes(number);
    let opened = pidfd_getfd(&process, number, PidfdGetfdFlags::empty());
    must("write", rustix::io::write(&may_finish, b"."));
    child.join();
    must("pidfd_getfd", opened)
}

/// Runs `f` as a user who becomes root of a new user namespace with no help: there
/// are no other numbers than the user's.
#[track_caller]
pub fn inside_alone(uid: u32, f: impl FnOnce()) {
    crate::support::process::in_child(|| {
        become_user(uid, uid);
        let_maps_be_written();
        // SAFETY: nothing is shared with other threads: there are none.
        must("unshare", unsafe {
            rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)
        });
        must("setgroups", std::fs::write("/proc/self/setgroups", "deny"));
        for file in ["uid_map", "gid_map"] {
            let path = format!("/proc/self/{file}");
            must(file, std::fs::write(path, format!("0 {uid} 1\n")));
        }
        f();
    });
}

/// Gives the layers, and all that is in them, to a namespace whose root has the
/// number `root` outside: what belongs to user 5 belongs to user 5 there.
#[track_caller]
pub fn give_layers(bed: &Bed, root: u32) {
    for dir in [&bed.lower, &bed.upper] {
        let parent = Dir::new(dir.path().parent().expect("a parent"));
        parent.chmod("", 0o755);
        for name in parent.names("") {
            give(&parent.join(&name), "", root);
        }
    }
}

/// Gives what is at `path`, and all that is in it.
#[track_caller]
pub fn give(dir: &Dir, path: &str, root: u32) {
    let stat = dir.stat(path);
    if stat.st_uid < root {
        let mode = stat.st_mode & 0o7777;
        dir.chown(path, stat.st_uid + root, stat.st_gid + root);
        if dir.kind(path) != FileType::Symlink {
            dir.chmod(path, mode);
        }
    }
    if dir.kind(path) == FileType::Directory {
        for below in dir.paths_in(path) {
            give(dir, &below, root);
        }
    }
}

/// Gives capabilities up, for good.
#[track_caller]
pub fn drop_capabilities(dropped: CapabilitySet) {
    let now = must("capget", rustix::thread::capabilities(None));
    let sets = CapabilitySets {
        effective: now.effective.difference(dropped),
        permitted: now.permitted.difference(dropped),
        inheritable: now.inheritable.difference(dropped),
    };
    must("capset", rustix::thread::set_capabilities(None, sets));
}
