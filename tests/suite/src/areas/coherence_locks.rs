// SPDX-License-Identifier: GPL-2.0

//! Locks and leases that were taken before the copy-up hold after it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use rustix::fs::{flock, FlockOperation, OFlags};
use rustix::io::Errno;
use rustix::pipe::pipe;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused};
use crate::support::process::{in_child, Child};

tests! {
    EVERYWHERE: posix_locks, open_file_description_locks, flock_locks;
    TWICE:
        posix_locks_end_with_any_descriptor,
        posix_locks_are_shown_where_the_holder_is,
        a_waiter_gets_the_lock,
        locks_last_until_the_last_descriptor,
        locks_of_old_and_new_descriptors_conflict,
        a_read_lease_is_broken,
        a_write_lease_is_broken,
        a_lease_is_refused_to_a_file_open_for_writing;
}

/// A lower file and a descriptor from before.
fn early(bed: &Bed) -> (Dir, File) {
    bed.lower.file("low", "old content");
    let m = bed.mount();
    let early = m.open_read("low");
    (m, early)
}

/// `fcntl` with a `struct flock` of bytes `start` to `end`.
fn lock(file: &File, command: i32, kind: i32, (start, end): (i64, i64)) -> io::Result<libc::flock> {
    let mut lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: end - start,
        l_pid: 0,
    };
    // SAFETY: the kernel reads and writes `lock`.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) } {
        0 => Ok(lock),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What stands against a lock: its type and its holder.
#[track_caller]
fn conflict(file: &File, command: i32, kind: i32, range: (i64, i64)) -> (i32, i32) {
    let found = must("F_GETLK", lock(file, command, kind, range));
    (i32::from(found.l_type), found.l_pid)
}

fn own_pid() -> i32 {
    std::process::id() as i32
}

fn posix_locks(bed: &Bed) {
    let (m, early) = early(bed);
    must(
        "F_SETLK",
        lock(&early, libc::F_SETLK, libc::F_RDLCK, (2, 5)),
    );
    let holder = own_pid();
    let assert_held = || {
        in_child(|| {
            let new = m.open_rw("low");
            let found = conflict(&new, libc::F_GETLK, libc::F_WRLCK, (0, 100));
            assert_eq!(found, (libc::F_RDLCK, holder));
            refused(
                Errno::AGAIN,
                lock(&new, libc::F_SETLK, libc::F_WRLCK, (4, 6)),
            );
            must("shared", lock(&new, libc::F_SETLK, libc::F_RDLCK, (0, 9)));
            must("beside", lock(&new, libc::F_SETLK, libc::F_WRLCK, (5, 9)));
        });
    };
    // The child's descriptor copies the file up.
    assert_held();
    assert!(bed.upper.exists("low"));
    in_child(|| m.append("low", b", more"));
    assert_held();
    drop(early);
    in_child(|| {
        let new = m.open_rw("low");
        must("free", lock(&new, libc::F_SETLK, libc::F_WRLCK, (0, 100)));
    });
}

fn open_file_description_locks(bed: &Bed) {
    let (m, early) = early(bed);
    must(
        "F_OFD_SETLK",
        lock(&early, libc::F_OFD_SETLK, libc::F_RDLCK, (2, 5)),
    );
    let new = m.open_rw("low");
    m.append("low", b", more");
    let found = conflict(&new, libc::F_OFD_GETLK, libc::F_WRLCK, (0, 100));
    assert_eq!(found, (libc::F_RDLCK, -1));
    refused(
        Errno::AGAIN,
        lock(&new, libc::F_OFD_SETLK, libc::F_WRLCK, (4, 6)),
    );
    // Those of one kind bind those of the other.
    refused(
        Errno::AGAIN,
        lock(&new, libc::F_SETLK, libc::F_WRLCK, (4, 6)),
    );
    let twin = must("dup", early.try_clone());
    drop(early);
    refused(
        Errno::AGAIN,
        lock(&new, libc::F_OFD_SETLK, libc::F_WRLCK, (4, 6)),
    );
    drop(twin);
    must(
        "free",
        lock(&new, libc::F_OFD_SETLK, libc::F_WRLCK, (0, 100)),
    );
    let late = m.open_read("low");
    let found = conflict(&late, libc::F_OFD_GETLK, libc::F_RDLCK, (0, 100));
    assert_eq!(found.0, libc::F_WRLCK);
}

fn flock_locks(bed: &Bed) {
    let (m, early) = early(bed);
    must("flock", flock(&early, FlockOperation::LockExclusive));
    m.append("low", b", more");
    let new = m.open_rw("low");
    for wanted in [
        FlockOperation::NonBlockingLockShared,
        FlockOperation::NonBlockingLockExclusive,
    ] {
        refused(Errno::WOULDBLOCK, flock(&new, wanted));
    }
    must("to shared", flock(&early, FlockOperation::LockShared));
    must("shared", flock(&new, FlockOperation::NonBlockingLockShared));
    must("unlock", flock(&new, FlockOperation::Unlock));
    drop(early);
    must(
        "free",
        flock(&new, FlockOperation::NonBlockingLockExclusive),
    );
}

fn posix_locks_end_with_any_descriptor(bed: &Bed) {
    let (m, early) = early(bed);
    must(
        "F_SETLK",
        lock(&early, libc::F_SETLK, libc::F_RDLCK, (0, 0)),
    );
    // As POSIX has it, whichever descriptor of the file is closed.
    drop(m.open_rw("low"));
    in_child(|| {
        let new = m.open_rw("low");
        must("free", lock(&new, libc::F_SETLK, libc::F_WRLCK, (0, 0)));
    });
}

fn posix_locks_are_shown_where_the_holder_is(bed: &Bed) {
    let (m, early) = early(bed);
    must(
        "F_SETLK",
        lock(&early, libc::F_SETLK, libc::F_RDLCK, (2, 5)),
    );
    m.chmod("low", 0o600);
    let ino = m.stat("low").st_ino;
    let info = format!("/proc/self/fdinfo/{}", early.as_raw_fd());
    let info = must("read fdinfo", std::fs::read_to_string(info));
    let line = info.lines().find(|line| line.starts_with("lock:"));
    let line = line.unwrap_or_else(|| panic!("no lock in {info}"));
    assert!(
        line.contains("POSIX") && line.contains(&format!(":{ino} 2 4")),
        "{line}"
    );
}

fn a_waiter_gets_the_lock(bed: &Bed) {
    let (m, early) = early(bed);
    must("flock", flock(&early, FlockOperation::LockExclusive));
    let (ready, tell_ready) = must("pipe", pipe());
    let holder = own_pid();
    let waiter = Child::spawn(|| {
        let mine = m.open_read("low");
        must("tell", rustix::io::write(&tell_ready, b"x"));
        must("flock", flock(&mine, FlockOperation::LockExclusive));
        assert_eq!(m.text("low"), "old content, more", "of {holder}");
    });
    must("hear", rustix::io::read(&ready, &mut [0; 1]));
    std::thread::sleep(std::time::Duration::from_millis(20));
    m.append("low", b", more");
    must("unlock", flock(&early, FlockOperation::Unlock));
    waiter.join();
}

fn locks_last_until_the_last_descriptor(bed: &Bed) {
    let (m, early) = early(bed);
    must("flock", flock(&early, FlockOperation::LockExclusive));
    let (go, tell_go) = must("pipe", pipe());
    let mut tell_go = Some(tell_go);
    // A child has the same open file.
    let child = Child::spawn(|| {
        drop(tell_go.take());
        let _ = rustix::io::read(&go, &mut [0; 1]);
    });
    drop(early);
    m.append("low", b", more");
    let new = m.open_rw("low");
    let try_lock = || flock(&new, FlockOperation::NonBlockingLockExclusive);
    refused(Errno::WOULDBLOCK, try_lock());
    drop(tell_go.take());
    child.join();
    must("free", try_lock());
}

fn locks_of_old_and_new_descriptors_conflict(bed: &Bed) {
    let (m, early) = early(bed);
    let new = m.open_rw("low");
    must("flock", flock(&new, FlockOperation::LockExclusive));
    refused(
        Errno::WOULDBLOCK,
        flock(&early, FlockOperation::NonBlockingLockShared),
    );
    must(
        "F_OFD_SETLK",
        lock(&new, libc::F_OFD_SETLK, libc::F_WRLCK, (0, 4)),
    );
    let found = conflict(&early, libc::F_OFD_GETLK, libc::F_RDLCK, (0, 0));
    assert_eq!(found.0, libc::F_WRLCK);
}

fn set_lease(file: &File, kind: i32) -> io::Result<()> {
    // SAFETY: the call takes no memory.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn lease(file: &File) -> i32 {
    // SAFETY: the call takes no memory.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLEASE) }
}

fn ignore_lease_signals() {
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
}

/// Fails unless an open with these flags has to wait for the lease, which is
/// broken down to `left`.
#[track_caller]
fn assert_breaks(m: &Dir, leased: &File, flags: OFlags, left: i32) {
    let flags = flags | OFlags::NONBLOCK;
    let open = || rustix::fs::open(m.at("low"), flags, rustix::fs::Mode::empty());
    refused(Errno::WOULDBLOCK, open());
    assert_eq!(lease(leased), left);
    must("F_SETLEASE", set_lease(leased, left));
    must("open", open());
}

fn a_read_lease_is_broken(bed: &Bed) {
    ignore_lease_signals();
    let (m, early) = early(bed);
    must("F_SETLEASE", set_lease(&early, libc::F_RDLCK));
    drop(m.open_read("low"));
    assert_eq!(lease(&early), libc::F_RDLCK);
    assert_breaks(&m, &early, OFlags::WRONLY, libc::F_UNLCK);

    // And once more, of the descriptor that is from before the copy-up.
    m.append("low", b", more");
    must("F_SETLEASE", set_lease(&early, libc::F_RDLCK));
    assert_breaks(&m, &early, OFlags::RDWR, libc::F_UNLCK);
}

fn a_write_lease_is_broken(bed: &Bed) {
    ignore_lease_signals();
    let (m, early) = early(bed);
    must("F_SETLEASE", set_lease(&early, libc::F_WRLCK));
    assert_breaks(&m, &early, OFlags::RDONLY, libc::F_RDLCK);
    assert_eq!(lease(&early), libc::F_RDLCK);
    assert_breaks(&m, &early, OFlags::WRONLY, libc::F_UNLCK);
    assert_eq!(lease(&early), libc::F_UNLCK);
}

fn a_lease_is_refused_to_a_file_open_for_writing(bed: &Bed) {
    let (m, early) = early(bed);
    let writer = m.open_rw("low");
    refused(Errno::AGAIN, set_lease(&early, libc::F_RDLCK));
    drop(writer);
    must("F_SETLEASE", set_lease(&early, libc::F_RDLCK));
}
