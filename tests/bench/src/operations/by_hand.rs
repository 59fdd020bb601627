// SPDX-License-Identifier: GPL-2.0

//! Copy-up as a program would do it, on the filesystem of the layers: what no overlay can
//! take much less than. Nothing is made durable.

use super::{
    trees::{self, DIRS},
    Needs, Operation,
};
use crate::{bed::Bed, files::put, samples::Samples, Result};
use rustix::fs::{
    copy_file_range, fchown, fsetxattr, fstat, futimens, linkat, openat, AtFlags, Mode, OFlags,
    Timespec, Timestamps, Uid, XattrFlags, CWD,
};
use std::{
    ffi::{CStr, CString},
    fs::{self, File},
    os::fd::{BorrowedFd, OwnedFd},
};

pub const OPERATIONS: &[Operation] = &[
    Operation::new(
        "by-hand-1k",
        "what first-write-1k makes, by system calls",
        |b, s| first_write(b, s, 21, KIB),
    )
    .needs(Needs::Bare),
    Operation::new(
        "by-hand-64m",
        "what first-write-64m makes, by system calls",
        |b, s| first_write(b, s, 1, 64 * 1024 * KIB),
    )
    .needs(Needs::Bare),
    Operation::new(
        "by-hand-chown-r",
        "what chown-r makes, by system calls",
        chown_all,
    )
    .needs(Needs::Bare),
];

const KIB: usize = 1024;

/// As long as one is on ext4.
const ORIGIN: [u8; 29] = [0; 29];

/// Copies a file to `name` in `to`, complete before it has the name.
fn copy(from: BorrowedFd<'_>, name: &CStr, to: &OwnedFd, owner: Option<Uid>) -> Result<OwnedFd> {
    let source = openat(from, name, OFlags::RDONLY | OFlags::NOATIME, Mode::empty())?;
    let stat = fstat(&source)?;
    let flags = OFlags::TMPFILE | OFlags::WRONLY;
    let copy = openat(to, c".", flags, Mode::from_raw_mode(stat.st_mode))?;
    let mut left = usize::try_from(stat.st_size)?;
    while left > 0 {
        left -= match copy_file_range(&source, None, &copy, None, left)? {
            0 => return Err("a file became shorter".into()),
            copied => copied,
        };
    }
    fsetxattr(
        &copy,
        "trusted.overlay.origin",
        &ORIGIN,
        XattrFlags::empty(),
    )?;
    if owner.is_some() {
        fchown(&copy, owner, None)?;
    }
    let time = |tv_sec, tv_nsec: u64| Timespec {
        tv_sec,
        tv_nsec: tv_nsec as _,
    };
    futimens(
        &copy,
        &Timestamps {
            last_access: time(stat.st_atime, stat.st_atime_nsec),
            last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
        },
    )?;
    linkat(&copy, c"", to, name, AtFlags::EMPTY_PATH)?;
    Ok(copy)
}

/// Makes a directory beside that of the files.
fn target(bed: &Bed, name: &str) -> Result<OwnedFd> {
    let path = bed.aside().join("copies").join(name);
    fs::create_dir_all(&path)?;
    Ok(File::open(path)?.into())
}

fn first_write(bed: &Bed, samples: &mut Samples, rounds: usize, size: usize) -> Result<()> {
    let rounds = samples.rounds(rounds);
    for i in rounds.clone() {
        put(&bed.lower(0), &format!("f{i}"), size)?;
    }
    let to = target(bed, "")?;
    bed.enter(&[])?;
    for i in rounds {
        let name = CString::new(format!("f{i}"))?;
        samples.time_busy(|| {
            let copy = copy(CWD, &name, &to, None)?;
            rustix::io::pwrite(&copy, b"new", 0)?;
            Ok(())
        })?;
    }
    Ok(())
}

/// The directories of the copies are there before.
fn chown_all(bed: &Bed, samples: &mut Samples) -> Result<()> {
    let rounds = samples.rounds(3);
    for i in rounds.clone() {
        trees::plant(&bed.lower(0), &format!("tree-{i}"), DIRS)?;
    }
    bed.enter(&[])?;
    for i in rounds {
        let mut dirs = Vec::new();
        for dir in 0..DIRS {
            let name = format!("tree-{i}/dir-{dir}");
            dirs.push((CString::new(name.as_str())?, target(bed, &name)?));
        }
        let owner = Some(Uid::from_raw(1000));
        samples.time_busy(|| {
            for (name, to) in &dirs {
                trees::walk(CWD, name, &mut |from, name, _| {
                    copy(from, name, to, owner)?;
                    Ok(())
                })?;
            }
            Ok(())
        })?;
    }
    Ok(())
}
