// SPDX-License-Identifier: GPL-2.0
//! System calls that give the file's data.

use super::{made, Way};
use crate::{
    content::{Content, STRETCH},
    sys::{self, uring::Ring},
    verdict::{current, Seen, Trouble},
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, IoSliceMut, Read, Seek, SeekFrom},
    os::unix::{
        fs::{FileExt, OpenOptionsExt},
        net::UnixStream,
    },
    path::Path,
    process,
};

/// Opens a descriptor for each of the ways that read what is in memory.
pub(super) fn open_all(path: &Path) -> io::Result<Vec<Way>> {
    let open = || File::open(path);
    Ok(vec![
        way("read", open()?, read),
        way("pread", open()?, |file, buf, at| file.read_at(buf, at)),
        way("readv", open()?, readv),
        way("preadv2", open()?, |file, buf, at| {
            sys::preadv2(file, buf, at, 0)
        }),
        optional("preadv2 RWF_NOWAIT", open(), read_at_once),
        way("splice", open()?, splice),
        way("tee", open()?, tee),
        way("sendfile", open()?, sendfile),
        uring("io_uring", open()?, false),
        uring("io_uring registered", open()?, true),
        optional("aio", open(), sys::aio::read),
    ])
}

/// Opens a descriptor for each of the ways that write what is in memory to the disk first, so
/// that the pages are not what they were before.
pub(super) fn open_all_that_sync(path: &Path) -> io::Result<Vec<Way>> {
    let open = || File::open(path);
    Ok(vec![
        copy_file_range(open()?, scratch_beside(path)),
        clone(open()?, scratch_beside(path)),
        direct(path),
        way("dropped and read again", open()?, read_afresh),
    ])
}

/// Compares the head first: a stale mapping has no page behind the old end to look at.
pub(crate) fn compare(
    content: &Content,
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> Seen {
    let mut buf = [0; STRETCH];
    let got = read(&mut buf, 0)?;
    current(buf[..got] == content.head)?;
    let Some(tail) = content.tail else {
        return Ok(());
    };
    let got = read(&mut buf, content.old_size)?;
    current(buf[..got] == tail)
}

/// Fills the buffer from the file at this offset as far as the file goes, and says how far.
type ReadFn = fn(&File, &mut [u8], u64) -> io::Result<usize>;

fn way(name: &'static str, file: File, read: ReadFn) -> Way {
    Way::new(name, move |content| {
        compare(content, |buf, at| read(&file, buf, at))
    })
}

fn optional(name: &'static str, mut file: io::Result<File>, read: ReadFn) -> Way {
    Way::optional(name, move |content| {
        let file = made(&mut file)?;
        compare(content, |buf, at| read(file, buf, at))
    })
}

/// Reads until the buffer is full or the source ends.
fn fill(mut source: impl Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match source.read(&mut buf[filled..])? {
            0 => break,
            got => filled += got,
        }
    }
    Ok(filled)
}

fn read(mut file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    file.seek(SeekFrom::Start(at))?;
    fill(file, buf)
}

fn readv(mut file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    file.seek(SeekFrom::Start(at))?;
    let (first, second) = buf.split_at_mut(STRETCH / 2);
    file.read_vectored(&mut [IoSliceMut::new(first), IoSliceMut::new(second)])
}

/// What is not in memory is read without the flag.
fn read_at_once(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    let got = match sys::preadv2(file, buf, at, sys::RWF_NOWAIT) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        result => result?,
    };
    Ok(got + sys::preadv2(file, &mut buf[got..], at + got as u64, 0)?)
}

fn splice(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    let (source, sink) = sys::pipe()?;
    let moved = sys::splice(file, at, &sink, buf.len())?;
    fill(source, &mut buf[..moved])
}

fn tee(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    let (source, sink) = sys::pipe()?;
    let (copy, copy_sink) = sys::pipe()?;
    let moved = sys::splice(file, at, &sink, buf.len())?;
    let doubled = sys::tee(&source, &copy_sink, moved)?;
    fill(copy, &mut buf[..doubled])
}

fn sendfile(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    let (source, sink) = UnixStream::pair()?;
    let moved = sys::sendfile(&sink, file, at, buf.len())?;
    fill(source, &mut buf[..moved])
}

/// Lets go of all pages in memory before, so far as they are not mapped.
fn read_afresh(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    file.sync_data()?;
    sys::fadvise(file, 0, 0, sys::POSIX_FADV_DONTNEED)?;
    sys::fadvise(file, at, buf.len(), sys::POSIX_FADV_WILLNEED)?;
    sys::readahead(file, at, buf.len())?;
    file.read_at(buf, at)
}

fn direct(path: &Path) -> Way {
    let open = |path: &Path| {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(sys::O_DIRECT).open(path)
    };
    let (mut file, path) = (open(path), path.to_owned());
    Way::optional("O_DIRECT", move |content| {
        let file = made(&mut file)?;
        // The filesystem that has the file now may have none.
        open(&path).map_err(Trouble::Missing)?;
        compare(content, |buf, at| read_direct(file, buf, at))
    })
}

fn read_direct(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    // As large as a sector gets.
    const BLOCK: usize = 4096;
    let mut memory = vec![0; 3 * BLOCK];
    let start = memory.as_ptr().align_offset(BLOCK);
    let blocks = &mut memory[start..start + 2 * BLOCK];
    let skip = at as usize % BLOCK;
    let got = file.read_at(blocks, at - skip as u64)?;
    let got = got.saturating_sub(skip).min(buf.len());
    buf[..got].copy_from_slice(&blocks[skip..skip + got]);
    Ok(got)
}

fn uring(name: &'static str, file: File, is_registered: bool) -> Way {
    let mut ring = Ring::new(file, is_registered);
    Way::optional(name, move |content| {
        let ring = made(&mut ring)?;
        compare(content, |buf, at| ring.read(buf, at))
    })
}

/// Makes a file without a name in the directory of another, to copy to.
fn scratch_beside(path: &Path) -> io::Result<File> {
    let path = path.with_file_name(format!(".coherence.{}", process::id()));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

fn copy_file_range(file: File, mut scratch: io::Result<File>) -> Way {
    Way::optional("copy_file_range", move |content| {
        let scratch = made(&mut scratch)?;
        compare(content, |buf, at| {
            let copied = sys::copy_file_range(&file, at, scratch, buf.len())?;
            scratch.read_at(&mut buf[..copied], 0)
        })
    })
}

fn clone(file: File, mut scratch: io::Result<File>) -> Way {
    Way::optional("FICLONE", move |content| {
        let scratch = made(&mut scratch)?;
        compare(content, |buf, at| {
            sys::clone(&file, scratch)?;
            scratch.read_at(buf, at)
        })
    })
}
