// SPDX-License-Identifier: GPL-2.0

//! Doing an operation in a tree: data.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
    ptr,
};

use rustix::{
    fs::{FallocateFlags, FileType, Mode, OFlags},
    io::Errno,
    mm::{MapFlags, MsyncFlags, ProtFlags},
};

use crate::{
    op::{Op, Outcome, Target},
    show,
    tree::Tree,
};

/// A file by its path, opened for one operation, or what is open in a slot.
enum Opened<'a> {
    New(OwnedFd),
    Slot(BorrowedFd<'a>),
}

impl AsFd for Opened<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::New(fd) => fd.as_fd(),
            Self::Slot(fd) => *fd,
        }
    }
}

fn open(path: PathBuf, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(
        path,
        flags | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn opened<'a>(tree: &'a Tree, target: &Target, flags: OFlags) -> Result<Opened<'a>, Errno> {
    match target {
        Target::Path(path) => open(tree.at(path), flags).map(Opened::New),
        Target::Slot(slot) => tree.slots[*slot]
            .as_ref()
            .map(|fd| Opened::Slot(fd.as_fd()))
            .ok_or(Errno::BADF),
    }
}

/// Bytes that tell where they belong.
fn pattern(length: usize, fill: u8) -> Vec<u8> {
    (0..length)
        .map(|at| fill ^ (at as u8).wrapping_mul(31) ^ (at >> 8) as u8)
        .collect()
}

fn seen(bytes: &[u8]) -> String {
    format!("{} bytes, {:016x}", bytes.len(), show::hash(bytes))
}

/// Does one operation.
pub fn operation(tree: &mut Tree, op: &Op) -> Outcome {
    match op {
        Op::Write {
            target,
            offset,
            length,
            fill,
        } => {
            let fd = opened(tree, target, OFlags::WRONLY)?;
            let written = rustix::io::pwrite(fd, &pattern(*length, *fill), *offset)?;
            Ok(format!("{written} bytes"))
        }
        Op::Append { path, length, fill } => {
            let fd = open(tree.at(path), OFlags::WRONLY | OFlags::APPEND)?;
            let written = rustix::io::write(fd, &pattern(*length, *fill))?;
            Ok(format!("{written} bytes"))
        }
        Op::Read {
            target,
            offset,
            length,
        } => {
            let fd = opened(tree, target, OFlags::RDONLY)?;
            let mut buffer = vec![0; *length];
            let length = rustix::io::pread(fd, &mut buffer, *offset)?;
            Ok(seen(&buffer[..length]))
        }
        Op::MapWrite {
            path,
            offset,
            length,
            fill,
        } => map_write(tree, path, *offset, *length, *fill),
        Op::MapRead(path) => {
            let fd = open(tree.at(path), OFlags::RDONLY)?;
            mapped(&fd, ProtFlags::READ, |bytes| seen(bytes))
        }
        Op::Truncate { target, length } => {
            let fd = opened(tree, target, OFlags::WRONLY)?;
            rustix::fs::ftruncate(fd, *length)?;
            Ok(String::new())
        }
        Op::Allocate {
            target,
            mode,
            offset,
            length,
        } => {
            let fd = opened(tree, target, OFlags::WRONLY)?;
            let mode = FallocateFlags::from_bits_retain(*mode);
            rustix::fs::fallocate(fd, mode, *offset, *length)?;
            Ok(String::new())
        }
        Op::CopyRange {
            from,
            to,
            from_offset,
            to_offset,
            length,
        } => {
            let from = open(tree.at(from), OFlags::RDONLY)?;
            let to = open(tree.at(to), OFlags::WRONLY)?;
            let (mut from_offset, mut to_offset) = (*from_offset, *to_offset);
            let copied = rustix::fs::copy_file_range(
                from,
                Some(&mut from_offset),
                to,
                Some(&mut to_offset),
                *length,
            )?;
            Ok(format!("{copied} bytes"))
        }
        Op::Clone { from, to } => {
            let from = open(tree.at(from), OFlags::RDONLY)?;
            let to = open(tree.at(to), OFlags::WRONLY)?;
            rustix::fs::ioctl_ficlone(to, from)?;
            Ok(String::new())
        }
        Op::Sync(slot) => {
            let fd = tree.slots[*slot].as_ref().ok_or(Errno::BADF)?;
            rustix::fs::fsync(fd)?;
            Ok(String::new())
        }
        _ => Err(Errno::NOSYS),
    }
}

fn map_write(tree: &Tree, path: &str, offset: usize, length: usize, fill: u8) -> Outcome {
    let fd = open(tree.at(path), OFlags::RDWR)?;
    mapped(&fd, ProtFlags::READ | ProtFlags::WRITE, |bytes| {
        let offset = offset.min(bytes.len());
        let length = length.min(bytes.len() - offset);
        bytes[offset..offset + length].copy_from_slice(&pattern(length, fill));
        format!("{length} bytes")
    })
}

/// Maps a regular file as long as it is, and passes its bytes. Those of a mapping for
/// reading must not be written.
fn mapped(fd: &OwnedFd, rights: ProtFlags, f: impl FnOnce(&mut [u8]) -> String) -> Outcome {
    let stat = rustix::fs::fstat(fd)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_size == 0 {
        return Ok(String::from("nothing to map"));
    }
    let length = stat.st_size as usize;
    // SAFETY: A new mapping, anywhere, of a file that has this length and that
    // nobody else changes meanwhile.
    let at = unsafe { rustix::mm::mmap(ptr::null_mut(), length, rights, MapFlags::SHARED, fd, 0) }?;
    // SAFETY: The mapping is ours, has this length, and lives until below.
    let seen = f(unsafe { std::slice::from_raw_parts_mut(at.cast(), length) });
    if rights.contains(ProtFlags::WRITE) {
        // SAFETY: The mapping is ours.
        unsafe { rustix::mm::msync(at, length, MsyncFlags::ASYNC) }?;
    }
    // SAFETY: The mapping is ours, and nothing refers to it any more.
    unsafe { rustix::mm::munmap(at, length) }?;
    Ok(seen)
}
