// SPDX-License-Identifier: GPL-2.0
//! The ways of reading through a descriptor.

use crate::{
    sys::{self, Mapping},
    Content, STRETCH,
};
use std::{
    fs::{self, File},
    io::{self, ErrorKind, IoSliceMut, Read, Seek, SeekFrom},
    os::unix::{
        fs::{FileExt, MetadataExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

/// What one way of reading showed.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It saw what the file held.
    Coherent,
    /// It saw something else.
    Stale,
    /// The kernel or a sandbox does not offer this way.
    Unavailable(io::Error),
    /// The call failed.
    Failed(io::Error),
}

impl Verdict {
    /// Whether this speaks against the filesystem.
    pub(crate) fn is_bad(&self) -> bool {
        matches!(self, Self::Stale | Self::Failed(_))
    }

    /// Takes a later verdict on the same way into account.
    pub(crate) fn worsen(&mut self, later: Self) {
        if !self.is_bad() {
            *self = later;
        }
    }

    /// Whether the bytes that were read are those that were written.
    fn of(matches: io::Result<bool>) -> Self {
        match matches {
            Ok(true) => Self::Coherent,
            Ok(false) => Self::Stale,
            Err(error) => Self::Failed(error),
        }
    }
}

/// Fills the buffer from the file at this offset as far as the file goes, and says how far.
type ReadFn = fn(&File, &mut [u8], u64) -> io::Result<usize>;

/// What is asked of a descriptor.
enum Ask {
    Data(ReadFn),
    Attributes,
    End,
}

/// A descriptor that was opened read-only before the copy-up, and a way of using it.
pub(crate) struct Way {
    name: &'static str,
    file: File,
    path: PathBuf,
    ask: Ask,
}

/// Opens a descriptor for each way.
pub(crate) fn open_all(path: &Path) -> io::Result<Vec<Way>> {
    [
        ("read", Ask::Data(read)),
        ("pread", Ask::Data(|file, buf, at| file.read_at(buf, at))),
        ("readv", Ask::Data(readv)),
        ("preadv2", Ask::Data(sys::preadv2_one)),
        ("splice", Ask::Data(splice)),
        ("sendfile", Ask::Data(sendfile)),
        ("io_uring", Ask::Data(sys::uring::read)),
        ("aio", Ask::Data(sys::aio::read)),
        ("mmap made after", Ask::Data(mmap)),
        ("lseek", Ask::End),
        ("fstat", Ask::Attributes),
    ]
    .into_iter()
    .map(|(name, ask)| {
        Ok(Way {
            name,
            file: File::open(path)?,
            path: path.to_owned(),
            ask,
        })
    })
    .collect()
}

impl Way {
    /// What the report calls it.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether this way shows the file to hold `content`.
    pub(crate) fn compare(&mut self, content: &Content) -> Verdict {
        match self.ask {
            Ask::Data(read) => match compare_data(content, |buf, at| read(&self.file, buf, at)) {
                // Containers often forbid these two, and a kernel may lack them.
                Err(error)
                    if matches!(self.name, "io_uring" | "aio")
                        && matches!(
                            error.kind(),
                            ErrorKind::Unsupported | ErrorKind::PermissionDenied
                        ) =>
                {
                    Verdict::Unavailable(error)
                }
                other => Verdict::of(other),
            },
            Ask::Attributes => Verdict::of(compare_attributes(&self.file, &self.path, content)),
            Ask::End => Verdict::of(
                self.file
                    .seek(SeekFrom::End(0))
                    .map(|end| end == content.size()),
            ),
        }
    }
}

/// Compares the head first: a stale mapping has no page behind the old end to look at.
pub(crate) fn compare_data(
    content: &Content,
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<bool> {
    let mut buf = [0; STRETCH];
    let got = read(&mut buf, 0)?;
    if buf[..got] != content.head {
        return Ok(false);
    }
    let Some(tail) = content.tail else {
        return Ok(true);
    };
    let got = read(&mut buf, content.old_size)?;
    Ok(buf[..got] == tail)
}

fn compare_attributes(file: &File, path: &Path, content: &Content) -> io::Result<bool> {
    let (by_file, by_path) = (file.metadata()?, fs::metadata(path)?);
    Ok(by_file.size() == content.size()
        && by_file.dev() == by_path.dev()
        && by_file.ino() == by_path.ino()
        && by_file.size() == by_path.size()
        && by_file.blocks() == by_path.blocks()
        && by_file.modified()? == by_path.modified()?)
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

fn splice(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    let (source, sink) = sys::pipe()?;
    let moved = sys::splice(file, at, &sink, buf.len())?;
    fill(source, &mut buf[..moved])
}

fn sendfile(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    let (source, sink) = UnixStream::pair()?;
    let moved = sys::sendfile(&sink, file, at, buf.len())?;
    fill(source, &mut buf[..moved])
}

fn mmap(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    let mapping = Mapping::new(file, at as usize + buf.len())?;
    mapping.copy_to(at as usize, buf);
    Ok(buf.len())
}

/// A shared mapping of the file's head, made before the copy-up.
pub(crate) struct MappedBefore(Mapping);

impl MappedBefore {
    /// Opens the file read-only and maps it.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        Mapping::new(&File::open(path)?, STRETCH).map(Self)
    }

    /// Whether the mapping shows the file's head to be that of `content`.
    pub(crate) fn compare(&self, content: &Content) -> Verdict {
        let mut head = [0; STRETCH];
        self.0.copy_to(0, &mut head);
        Verdict::of(Ok(head == content.head))
    }
}
