// SPDX-License-Identifier: GPL-2.0

//! What is measured.

use crate::bed::Bed;
use std::{
    error::Error,
    fs::{File, OpenOptions},
    io,
    os::fd::AsRawFd,
    ptr::null_mut,
    time::Instant,
};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

const PAGE: usize = 4096;
/// Bytes of a file that is copied up.
const SMALL: usize = 64 * 1024;

/// An operation.
#[derive(Clone, Copy)]
pub enum Operation {
    /// Mapping, reading so many pages, and unmapping.
    MapReadUnmap(usize),
    /// Opening for writing, with so many shared mappings of the file.
    CopyUp(u64),
}

impl Operation {
    pub const ALL: [Self; 6] = [
        Self::MapReadUnmap(1),
        Self::MapReadUnmap(256),
        Self::CopyUp(0),
        Self::CopyUp(1),
        Self::CopyUp(100),
        Self::CopyUp(10_000),
    ];

    pub fn name(self) -> String {
        match self {
            Self::MapReadUnmap(pages) => format!("mmap, read {pages} pages, munmap"),
            Self::CopyUp(0) => "copy-up without mappings".into(),
            Self::CopyUp(mappings) => format!("copy-up with {mappings} shared mappings"),
        }
    }

    /// Whether the bare filesystem has it.
    pub fn exists_bare(self) -> bool {
        matches!(self, Self::MapReadUnmap(_))
    }

    /// Whether it must not cost more than on C overlayfs: C switches nothing.
    pub fn has_limit(self) -> bool {
        !matches!(self, Self::CopyUp(1..))
    }

    fn rounds(self) -> usize {
        match self {
            Self::CopyUp(10_000) => 5,
            _ => 41,
        }
    }
}

/// The median of several rounds, in nanoseconds or instructions.
pub fn median(operation: Operation, bed: &Bed) -> Result<u64> {
    let mut all = Vec::new();
    for round in 0..operation.rounds() {
        all.push(match operation {
            Operation::MapReadUnmap(pages) => map_read_unmap(bed, pages)?,
            Operation::CopyUp(mappings) => copy_up(bed, mappings, round)?,
        });
    }
    all.sort_unstable();
    Ok(all[all.len() / 2])
}

fn timed<T>(f: impl FnOnce() -> io::Result<T>) -> Result<u64> {
    let start = Instant::now();
    f()?;
    Ok(u64::try_from(start.elapsed().as_nanos())?)
}

fn map_read_unmap(bed: &Bed, pages: usize) -> Result<u64> {
    let file = File::open(bed.file("mapped", pages * PAGE)?)?;
    // The pages are in the cache from here on.
    read(map(&file, pages)?, pages)?;
    timed(|| read(map(&file, pages)?, pages))
}

fn copy_up(bed: &Bed, mappings: u64, round: usize) -> Result<u64> {
    let path = bed.file(&format!("copied-{mappings}-{round}"), SMALL)?;
    let file = File::open(&path)?;
    let mut mapped = Vec::new();
    for _ in 0..mappings {
        let address = map(&file, 1)?;
        // SAFETY: Mapped.
        unsafe { address.read_volatile() };
        mapped.push(address);
    }
    let spent = timed(|| OpenOptions::new().write(true).open(&path))?;
    for address in mapped {
        unmap(address, 1)?;
    }
    Ok(spent)
}

fn map(file: &File, pages: usize) -> io::Result<*mut u8> {
    // SAFETY: A new mapping.
    let address = unsafe {
        libc::mmap(
            null_mut(),
            pages * PAGE,
            libc::PROT_READ,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(address.cast())
}

fn unmap(address: *mut u8, pages: usize) -> io::Result<()> {
    // SAFETY: Mapped by `map`, and not used any more.
    match unsafe { libc::munmap(address.cast(), pages * PAGE) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Reads a byte of each page, and unmaps.
fn read(address: *mut u8, pages: usize) -> io::Result<()> {
    for page in 0..pages {
        // SAFETY: Mapped.
        unsafe { address.add(page * PAGE).read_volatile() };
    }
    unmap(address, pages)
}
