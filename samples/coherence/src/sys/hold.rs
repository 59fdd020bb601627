// SPDX-License-Identifier: GPL-2.0
//! Locks, leases and watches.

use super::checked;
use std::{
    ffi::{c_char, c_int, c_void, CString},
    fs::File,
    io::{self, ErrorKind, Read},
    os::{
        fd::{AsRawFd, FromRawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    ptr,
};

/// Fails instead of waiting.
pub(crate) const O_NONBLOCK: c_int = 0o4000;
const O_CLOEXEC: c_int = super::O_CLOEXEC;
const F_GETLK: c_int = 5;
const F_SETLK: c_int = 6;
const F_SETLEASE: c_int = 1024;
const F_RDLCK: i16 = 0;
const F_WRLCK: i16 = 1;
const F_UNLCK: i16 = 2;
const LOCK_EX: c_int = 2;
const LOCK_NB: c_int = 4;
const IN_MODIFY: u32 = 2;
const SIGIO: c_int = 29;
const SIG_IGN: *mut c_void = ptr::without_provenance_mut(1);

extern "C" {
    fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    fn flock(fd: c_int, operation: c_int) -> c_int;
    fn inotify_init1(flags: c_int) -> c_int;
    fn inotify_add_watch(fd: c_int, path: *const c_char, mask: u32) -> c_int;
    fn signal(number: c_int, handler: *mut c_void) -> *mut c_void;
}

/// `struct flock` of a 64-bit machine.
#[repr(C)]
#[derive(Default)]
struct Lock {
    kind: i16,
    whence: i16,
    start: i64,
    len: i64,
    owner: c_int,
}

/// A lock of all of the file.
fn posix_lock(file: &File, command: c_int, kind: i16) -> io::Result<Lock> {
    let mut lock = Lock {
        kind,
        ..Lock::default()
    };
    // SAFETY: `lock` is what the commands used here read and fill.
    checked(unsafe { fcntl(file.as_raw_fd(), command, &mut lock) } as isize)?;
    Ok(lock)
}

/// Takes a POSIX lock for reading, of all of the file.
pub(crate) fn posix_lock_shared(file: &File) -> io::Result<()> {
    posix_lock(file, F_SETLK, F_RDLCK).map(drop)
}

/// The process whose POSIX lock keeps this one from locking the file for writing.
pub(crate) fn posix_lock_owner(file: &File) -> io::Result<Option<i32>> {
    let lock = posix_lock(file, F_GETLK, F_WRLCK)?;
    Ok((lock.kind != F_UNLCK).then_some(lock.owner))
}

/// Takes a lock by flock(2), if nobody else has one.
pub(crate) fn flock_exclusive(file: &File) -> io::Result<()> {
    // SAFETY: The call touches no memory.
    checked(unsafe { flock(file.as_raw_fd(), LOCK_EX | LOCK_NB) } as isize).map(drop)
}

/// Takes a lease that is broken when the file is opened for writing.
pub(crate) fn take_read_lease(file: &File) -> io::Result<()> {
    // SAFETY: Nothing else in this program waits for the signal, which says that a lease is broken.
    unsafe { signal(SIGIO, SIG_IGN) };
    // SAFETY: The call touches no memory.
    checked(unsafe { fcntl(file.as_raw_fd(), F_SETLEASE, c_int::from(F_RDLCK)) } as isize).map(drop)
}

/// Gives the lease back.
pub(crate) fn release_lease(file: &File) -> io::Result<()> {
    // SAFETY: The call touches no memory.
    checked(unsafe { fcntl(file.as_raw_fd(), F_SETLEASE, c_int::from(F_UNLCK)) } as isize).map(drop)
}

/// Sets a watch for writes to a file.
pub(crate) fn watch_modifications(path: &Path) -> io::Result<File> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: The call touches no memory.
    let fd = checked(unsafe { inotify_init1(O_NONBLOCK | O_CLOEXEC) } as isize)?;
    // SAFETY: The call succeeded, so this is a descriptor that nobody else owns.
    let watch = unsafe { File::from_raw_fd(fd as c_int) };
    // SAFETY: `path` is a string that ends in a zero.
    checked(unsafe { inotify_add_watch(watch.as_raw_fd(), path.as_ptr(), IN_MODIFY) } as isize)?;
    Ok(watch)
}

/// Whether there were events since this was last asked.
pub(crate) fn has_events(watch: &mut File) -> io::Result<bool> {
    let mut events = [0; 1024];
    let mut any = false;
    loop {
        match watch.read(&mut events) {
            Ok(_) => any = true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(any),
            Err(error) => return Err(error),
        }
    }
}
