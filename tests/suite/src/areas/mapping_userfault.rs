// SPDX-License-Identifier: GPL-2.0

//! `userfaultfd` on shared mappings made before the copy-up: refused, or of no
//! harm.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::harness::bed::Bed;
use crate::support::early::{Early, LENGTH};
use crate::support::mapping::{Map, PAGE};

tests! {
    TWICE:
        for_missing_pages,
        for_write_protection,
        for_minor_faults,
        registered_after_the_copy_up;
}

const MISSING: u64 = 1;
const WRITE_PROTECTION: u64 = 2;
const MINOR: u64 = 4;

/// `UFFDIO_API` and its version.
const API: libc::c_ulong = 0xc018_aa3f;
const API_VERSION: u64 = 0xaa;
/// `UFFDIO_REGISTER`.
const REGISTER: libc::c_ulong = 0xc020_aa00;

/// Asks to be told of faults in a mapping. The registration ends with the
/// descriptor.
fn register(map: &Map, mode: u64) -> io::Result<OwnedFd> {
    let checked = |result: libc::c_long| match result {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    };
    let flags = libc::c_long::from(libc::O_CLOEXEC | libc::O_NONBLOCK);
    // SAFETY: the structures are as linux/userfaultfd.h has them, and the
    // kernel writes no more than these.
    unsafe {
        let fd = checked(libc::syscall(libc::SYS_userfaultfd, flags))?;
        let fd = OwnedFd::from_raw_fd(fd as i32);
        let mut api = [API_VERSION, 0, 0];
        checked(libc::ioctl(fd.as_raw_fd(), API, api.as_mut_ptr()).into())?;
        let length = map.length().next_multiple_of(PAGE) as u64;
        let mut what = [map.address() as u64, length, mode, 0];
        checked(libc::ioctl(fd.as_raw_fd(), REGISTER, what.as_mut_ptr()).into())?;
        Ok(fd)
    }
}

/// Faults would wait for a handler that is not there, so the mapping is only
/// read when nothing is registered any more.
fn registered_before(bed: &Bed, mode: u64) {
    for mut early in Early::both(bed) {
        let registered = register(&early.map, mode);
        early.rewrite(2);
        if registered.is_err() {
            early.assert_current("refused");
        }
        drop(registered);
        early.assert_current("after a write");
        early.rewrite(3);
        early.assert_current("after another");
    }
}

fn for_missing_pages(bed: &Bed) {
    registered_before(bed, MISSING);
}

fn for_write_protection(bed: &Bed) {
    registered_before(bed, WRITE_PROTECTION);
}

fn for_minor_faults(bed: &Bed) {
    registered_before(bed, MINOR);
}

fn registered_after_the_copy_up(bed: &Bed) {
    for mut early in Early::both(bed) {
        let second = Map::shared_read(&early.m.open_read(&early.name), LENGTH);
        drop(early.open_rw());
        for mode in [MISSING, WRITE_PROTECTION, MINOR] {
            drop(register(&early.map, mode));
        }
        early.rewrite(2);
        early.assert_current("after a write");
        for mode in [MISSING, WRITE_PROTECTION, MINOR] {
            drop(register(&second, mode));
        }
        early.assert_shown_by(&second, "the second mapping");
    }
}
