// SPDX-License-Identifier: GPL-2.0

//! The many ways to read from a descriptor.

use std::fs::File;
use std::io::{self, IoSliceMut, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{copy_file_range, memfd_create, open, sendfile, MemfdFlags, Mode, OFlags};
use rustix::io::{preadv2, readv, ReadWriteFlags};
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};
use rustix::pipe::{pipe, splice, SpliceFlags};

use crate::support::aio;
use crate::support::dir::Dir;

/// Reads `length` bytes at an offset; less only at the end of the file. `dir`
/// is a writable directory of the same mount.
pub type Way = fn(file: &File, offset: u64, length: usize, dir: &Dir) -> io::Result<Vec<u8>>;

/// Repeats a call that may return less than asked for, until nothing comes.
fn repeat(
    length: usize,
    mut step: impl FnMut(usize, &mut [u8]) -> io::Result<usize>,
) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut done = 0;
    while done < length {
        match step(done, &mut bytes[done..])? {
            0 => break,
            got => done += got,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

/// `lseek` and `read`.
pub fn by_read(mut file: &File, offset: u64, length: usize, _: &Dir) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    repeat(length, |_, rest| file.read(rest))
}

/// `lseek` and `readv`, into two pieces.
pub fn by_readv(mut file: &File, offset: u64, length: usize, _: &Dir) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    repeat(length, |_, rest| {
        let (one, two) = rest.split_at_mut(rest.len() / 2);
        Ok(readv(
            file,
            &mut [IoSliceMut::new(one), IoSliceMut::new(two)],
        )?)
    })
}

/// `pread`.
pub fn by_pread(file: &File, offset: u64, length: usize, _: &Dir) -> io::Result<Vec<u8>> {
    repeat(length, |done, rest| {
        file.read_at(rest, offset + done as u64)
    })
}

/// `preadv2`.
pub fn by_preadv2(file: &File, offset: u64, length: usize, _: &Dir) -> io::Result<Vec<u8>> {
    repeat(length, |done, rest| {
        Ok(preadv2(
            file,
            &mut [IoSliceMut::new(rest)],
            offset + done as u64,
            ReadWriteFlags::empty(),
        )?)
    })
}

/// `splice` into a pipe.
pub fn by_splice(file: &File, offset: u64, length: usize, _: &Dir) -> io::Result<Vec<u8>> {
    let (reader, writer) = pipe()?;
    repeat(length, |done, rest| {
        let mut position = offset + done as u64;
        let got = splice(
            file,
            Some(&mut position),
            &writer,
            None,
            rest.len().min(16384),
            SpliceFlags::empty(),
        )?;
        File::from(reader.try_clone()?).read_exact(&mut rest[..got])?;
        Ok(got)
    })
}

/// `sendfile` into memory.
pub fn by_sendfile(file: &File, offset: u64, length: usize, _: &Dir) -> io::Result<Vec<u8>> {
    let memory = File::from(memfd_create("sendfile", MemfdFlags::CLOEXEC)?);
    repeat(length, |done, rest| {
        let mut position = offset + done as u64;
        let got = sendfile(&memory, file, Some(&mut position), rest.len())?;
        memory.read_exact_at(&mut rest[..got], done as u64)?;
        Ok(got)
    })
}

/// `copy_file_range` into a new file of the same mount.
pub fn by_copy_file_range(
    file: &File,
    offset: u64,
    length: usize,
    dir: &Dir,
) -> io::Result<Vec<u8>> {
    let mode = Mode::from_raw_mode(0o600);
    let copy = File::from(open(dir.path(), OFlags::TMPFILE | OFlags::RDWR, mode)?);
    repeat(length, |done, rest| {
        let (mut from, mut to) = (offset + done as u64, done as u64);
        let got = copy_file_range(file, Some(&mut from), &copy, Some(&mut to), rest.len())?;
        copy.read_exact_at(&mut rest[..got], done as u64)?;
        Ok(got)
    })
}

/// `IORING_OP_READ`.
pub fn by_io_uring(file: &File, offset: u64, length: usize, _: &Dir) -> io::Result<Vec<u8>> {
    let mut ring = io_uring::IoUring::new(2)?;
    let fd = io_uring::types::Fd(file.as_raw_fd());
    repeat(length, |done, rest| {
        let size = u32::try_from(rest.len()).map_err(io::Error::other)?;
        let request = io_uring::opcode::Read::new(fd, rest.as_mut_ptr(), size)
            .offset(offset + done as u64)
            .build();
        // SAFETY: the buffer and the file outlive the request, whose
        // completion is waited for.
        unsafe { ring.submission().push(&request) }.map_err(io::Error::other)?;
        ring.submit_and_wait(1)?;
        let entry = ring.completion().next();
        let result = entry
            .ok_or_else(|| io::Error::other("no completion"))?
            .result();
        usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
    })
}

/// Linux AIO.
pub fn by_aio(file: &File, offset: u64, length: usize, _: &Dir) -> io::Result<Vec<u8>> {
    repeat(length, |done, rest| {
        let some = aio::read_at(file, offset + done as u64, rest.len())?;
        rest[..some.len()].copy_from_slice(&some);
        Ok(some.len())
    })
}

/// A new shared mapping; not among [`WAYS`], which all read what the file has
/// now on any overlay.
pub fn by_mmap(file: &File, offset: u64, length: usize, _: &Dir) -> io::Result<Vec<u8>> {
    let size = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let start = usize::try_from(offset).map_err(io::Error::other)?.min(size);
    let end = (start + length).min(size);
    if start == end {
        return Ok(Vec::new());
    }
    // SAFETY: a fresh mapping of bytes that the file has, gone when this
    // function returns.
    unsafe {
        let map = mmap(
            std::ptr::null_mut(),
            end,
            ProtFlags::READ,
            MapFlags::SHARED,
            file,
            0,
        )?;
        let mut bytes = vec![0; end - start];
        std::ptr::copy_nonoverlapping(map.cast::<u8>().add(start), bytes.as_mut_ptr(), end - start);
        munmap(map, end)?;
        Ok(bytes)
    }
}

/// The ways that are system calls, with their names.
pub const WAYS: &[(&str, Way)] = &[
    ("read", by_read),
    ("readv", by_readv),
    ("pread", by_pread),
    ("preadv2", by_preadv2),
    ("splice", by_splice),
    ("sendfile", by_sendfile),
    ("copy_file_range", by_copy_file_range),
    ("io_uring", by_io_uring),
    ("aio", by_aio),
];
