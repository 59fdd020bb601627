// SPDX-License-Identifier: GPL-2.0

//! Whatever copies a file up, a shared mapping made before stays what it was,
//! and shows what is written afterwards.

use std::fs::File;

use rustix::fs::{OFlags, Timespec, Timestamps};

use crate::harness::bed::Bed;
use crate::support::early::{Early, LENGTH};
use crate::support::must::must;

tests! {
    EVERYWHERE:
        by_opening,
        by_chmod,
        by_rename,
        by_link;
    TWICE:
        by_opening_to_write_only,
        by_opening_to_append,
        by_fchmod_of_the_descriptor_mapped_by,
        by_chown,
        by_utimensat,
        by_futimens_of_the_descriptor_mapped_by,
        by_setxattr,
        by_truncating_by_path,
        by_truncating_by_path_to_the_same_length,
        by_creating_it_again,
        by_linking_and_dropping_the_first_name;
}

/// Copies two files up by this function, which must change nothing in them.
fn by(bed: &Bed, copy_up: impl Fn(&mut Early)) {
    for mut early in Early::both(bed) {
        copy_up(&mut early);
        assert!(bed.upper.exists(&early.name), "was copied up");
        if early.name == "touched" {
            early.assert_current("after the copy-up");
        }
        early.rewrite(2);
        early.assert_current("after a write");
        early.rewrite(3);
        early.assert_current("after another");
    }
}

fn by_opening(bed: &Bed) {
    by(bed, |early| drop(early.open_rw()));
}

fn by_opening_to_write_only(bed: &Bed) {
    by(bed, |early| {
        drop(early.m.open(&early.name, OFlags::WRONLY));
    });
}

fn by_opening_to_append(bed: &Bed) {
    by(bed, |early| {
        let flags = OFlags::WRONLY | OFlags::APPEND;
        drop(early.m.open(&early.name, flags));
    });
}

fn by_chmod(bed: &Bed) {
    by(bed, |early| early.m.chmod(&early.name, 0o600));
}

fn by_fchmod_of_the_descriptor_mapped_by(bed: &Bed) {
    by(bed, |early| {
        let file = early.m.open_read(&early.name);
        early.map = crate::support::mapping::Map::shared_read(&file, LENGTH);
        let mode = rustix::fs::Mode::from_raw_mode(0o640);
        must("fchmod", rustix::fs::fchmod(&file, mode));
    });
}

fn by_chown(bed: &Bed) {
    by(bed, |early| early.m.chown(&early.name, 7, 8));
}

fn by_utimensat(bed: &Bed) {
    by(bed, |early| early.m.set_times(&early.name, (1, 2), (3, 4)));
}

fn by_futimens_of_the_descriptor_mapped_by(bed: &Bed) {
    by(bed, |early| {
        let file: File = early.m.open_read(&early.name);
        early.map = crate::support::mapping::Map::shared_read(&file, LENGTH);
        let time = Timespec {
            tv_sec: 1,
            tv_nsec: 2,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        must("futimens", rustix::fs::futimens(&file, &times));
    });
}

fn by_setxattr(bed: &Bed) {
    by(bed, |early| {
        early.m.set_xattr(&early.name, "user.key", b"value");
    });
}

fn by_link(bed: &Bed) {
    by(bed, |early| {
        early.m.link(&early.name, &format!("{}-link", early.name));
    });
}

/// Links the file, and from then on writes by the other name.
fn by_linking_and_dropping_the_first_name(bed: &Bed) {
    by(bed, |early| {
        let link = format!("{}-link", early.name);
        early.m.link(&early.name, &link);
        early.m.unlink(&early.name);
        early.m.rename(&link, &early.name);
    });
}

fn by_rename(bed: &Bed) {
    for mut early in Early::both(bed) {
        let new = format!("{}-renamed", early.name);
        early.m.rename(&early.name, &new);
        early.name = new;
        early.assert_current("after the rename");
        early.rewrite(2);
        early.assert_current("after a write");
    }
}

fn by_truncating_by_path(bed: &Bed) {
    by(bed, |early| {
        truncate(early, 10_000);
        early.content.truncate(10_000);
    });
}

fn by_truncating_by_path_to_the_same_length(bed: &Bed) {
    by(bed, |early| truncate(early, LENGTH));
}

fn truncate(early: &Early, length: usize) {
    let path = std::ffi::CString::new(
        early
            .m
            .at(&early.name)
            .into_os_string()
            .into_encoded_bytes(),
    )
    .expect("a path");
    // SAFETY: the path is a string.
    let result = unsafe { libc::truncate(path.as_ptr(), length as libc::off_t) };
    assert_eq!(result, 0, "truncate: {}", std::io::Error::last_os_error());
}

/// `creat` of the name that exists.
fn by_creating_it_again(bed: &Bed) {
    by(bed, |early| {
        early.m.file(&early.name, &early.content);
    });
}
