// SPDX-License-Identifier: GPL-2.0

//! Whole trees, in the way that programs of the shell treat them.

use super::Operation;
use crate::{bed::Bed, files::put, samples::Samples, Result};
use rustix::fs::{
    chownat, openat, statat, unlinkat, AtFlags, FileType, Mode, OFlags, RawDir, Uid, CWD,
};
use std::{
    env,
    ffi::{CStr, CString},
    fs,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    process::Command,
};

pub const OPERATIONS: &[Operation] = &[
    Operation::new(
        "walk-cold",
        "list and stat a tree of 10,000 files after mount",
        walk_cold,
    ),
    Operation::new("walk-hot", "the same once more", walk_hot),
    Operation::new(
        "chown-r",
        "chown -R of a lower tree of 1,000 files",
        |bed, samples| on_trees(bed, samples, chown_all),
    ),
    Operation::new(
        "rm-rf",
        "rm -rf of a lower tree of 1,000 files",
        |bed, samples| on_trees(bed, samples, remove_all),
    ),
    Operation::new("untar", "tar -x of a part of the kernel's sources", untar),
];

/// Directories of a tree that is changed.
pub const DIRS: usize = 10;

/// A directory of directories of 100 files.
pub fn plant(layer: &Path, name: &str, dirs: usize) -> Result<()> {
    for dir in 0..dirs {
        for file in 0..100 {
            put(layer, &format!("{name}/dir-{dir}/file-{file}"), 64)?;
        }
    }
    Ok(())
}

/// Calls `visit` for what is below a directory, after what is below that.
pub fn walk(
    at: BorrowedFd<'_>,
    name: &CStr,
    visit: &mut dyn FnMut(BorrowedFd<'_>, &CStr, bool) -> Result<()>,
) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let dir = openat(at, name, flags, Mode::empty())?;
    let mut entries = Vec::new();
    let mut buffer = [MaybeUninit::uninit(); 32 * 1024];
    let mut raw = RawDir::new(&dir, &mut buffer);
    while let Some(entry) = raw.next() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            let is_dir = entry.file_type() == FileType::Directory;
            entries.push((entry.file_name().to_owned(), is_dir));
        }
    }
    for (name, is_dir) in entries {
        if is_dir {
            walk(dir.as_fd(), &name, visit)?;
        }
        visit(dir.as_fd(), &name, is_dir)?;
    }
    Ok(())
}

fn stat_all(name: &CStr) -> Result<()> {
    walk(CWD, name, &mut |dir, name, _| {
        statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(())
    })
}

fn chown_all(name: &CStr) -> Result<()> {
    let owner = Some(Uid::from_raw(1000));
    walk(CWD, name, &mut |dir, name, _| {
        statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(chownat(dir, name, owner, None, AtFlags::SYMLINK_NOFOLLOW)?)
    })
}

fn remove_all(name: &CStr) -> Result<()> {
    walk(CWD, name, &mut |dir, name, is_dir| {
        let flags = match is_dir {
            true => AtFlags::REMOVEDIR,
            false => AtFlags::empty(),
        };
        Ok(unlinkat(dir, name, flags)?)
    })?;
    Ok(unlinkat(CWD, name, AtFlags::REMOVEDIR)?)
}

fn walk_cold(bed: &Bed, samples: &mut Samples) -> Result<()> {
    plant(&bed.lower(0), "tree", 100)?;
    bed.enter(&[])?;
    for _ in samples.rounds(3) {
        bed.enter_anew()?;
        samples.time(|| stat_all(c"tree"))?;
    }
    Ok(())
}

fn walk_hot(bed: &Bed, samples: &mut Samples) -> Result<()> {
    plant(&bed.lower(0), "tree", 100)?;
    bed.enter(&[])?;
    stat_all(c"tree")?;
    for _ in samples.rounds(3) {
        samples.time(|| stat_all(c"tree"))?;
    }
    Ok(())
}

/// Gives a tree of its own to each round.
fn on_trees(bed: &Bed, samples: &mut Samples, operate: fn(&CStr) -> Result<()>) -> Result<()> {
    let rounds = samples.rounds(3);
    for i in rounds.clone() {
        plant(&bed.lower(0), &format!("tree-{i}"), DIRS)?;
    }
    bed.enter(&[])?;
    for i in rounds {
        let name = CString::new(format!("tree-{i}"))?;
        samples.time_busy(|| operate(&name))?;
    }
    Ok(())
}

/// The archive is copied to where it is read from memory.
fn untar(bed: &Bed, samples: &mut Samples) -> Result<()> {
    let archive = env::var_os("ROVL_BENCH_ARCHIVE").ok_or("ROVL_BENCH_ARCHIVE names no archive")?;
    let copy = bed.aside().join("archive.tar");
    fs::copy(archive, &copy)?;
    bed.enter(&[])?;
    for i in samples.rounds(3) {
        let to = format!("tree-{i}");
        fs::create_dir(&to)?;
        let mut tar = Command::new("tar");
        tar.arg("-xf").arg(&copy).args(["-C", &to]);
        let done = samples.time_busy(|| Ok(tar.status()?))?;
        if !done.success() {
            return Err("tar failed".into());
        }
    }
    Ok(())
}
