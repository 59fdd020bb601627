// SPDX-License-Identifier: GPL-2.0

//! Reads mappings.

use crate::{arena::Arena, file_name, fork, wait, FILES, PAGE, PAGES};
use std::{
    fs::File,
    io,
    os::fd::AsRawFd,
    path::Path,
    ptr::null_mut,
    sync::Mutex,
    thread, //
};

const LENGTH: usize = PAGES * PAGE;

/// A small generator of random numbers, xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// The address of a mapping of a whole file.
#[derive(Clone, Copy)]
struct Mapping(*mut u8);

// SAFETY: The memory is only read.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(file: &File) -> io::Result<Self> {
        // SAFETY: A new mapping.
        let address = unsafe {
            libc::mmap(
                null_mut(),
                LENGTH,
                libc::PROT_READ,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(address.cast()))
    }

    fn read(self, page: usize) -> u64 {
        // SAFETY: Mapped, as long as its lock is held, and aligned.
        unsafe { self.0.add(page * PAGE).cast::<u64>().read_volatile() }
    }

    fn page(self, page: usize) -> *mut libc::c_void {
        // SAFETY: Within the mapping.
        unsafe { self.0.add(page * PAGE).cast() }
    }

    fn unmap(self) {
        // SAFETY: Nobody else uses it: its lock is held.
        unsafe { libc::munmap(self.0.cast(), LENGTH) };
    }
}

/// A file, and a mapping of it that a thread may replace.
struct Mapped {
    file: File,
    mapping: Mutex<Mapping>,
}

/// Maps all files and reads until the writers are done, with several threads.
pub fn run(arena: &Arena, merged: &Path, threads: usize, seed: u64) -> io::Result<()> {
    let mut files = Vec::new();
    for index in 0..FILES {
        let file = File::open(merged.join(file_name(index)))?;
        let mapping = Mutex::new(Mapping::new(&file)?);
        files.push(Mapped { file, mapping });
    }
    let files = &files;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|number| {
                let random = Random(seed * 0x9e37_79b9 + number as u64 + 1);
                scope.spawn(move || work(arena, files, random))
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or(Err(io::ErrorKind::Other.into())))
    })
}

fn work(arena: &Arena, files: &[Mapped], mut random: Random) -> io::Result<()> {
    while !arena.is_finished() {
        let index = random.below(FILES);
        let Ok(mut mapping) = files[index].mapping.lock() else {
            return Err(io::ErrorKind::Other.into());
        };
        provoke(arena, &mut random, &files[index].file, &mut mapping)?;
        for _ in 0..8 {
            check(arena, index, *mapping, random.below(PAGES));
        }
        if random.below(400) == 0 {
            let (copy, page) = (*mapping, random.below(PAGES));
            let child = fork(|| {
                check(arena, index, copy, page);
                Ok(())
            })?;
            wait(child)?;
        }
    }
    Ok(())
}

/// Reads a page, which must not be older than what was announced before.
fn check(arena: &Arena, index: usize, mapping: Mapping, page: usize) {
    let announced = arena.announced(index);
    let seen = mapping.read(page);
    if seen < announced && arena.stale() < 10 {
        eprintln!("file {index}, page {page}: {seen}, after {announced} was announced");
    }
    arena.count_read(seen < announced);
}

/// Has pages faulted in anew, in one of several ways.
fn provoke(
    arena: &Arena,
    random: &mut Random,
    file: &File,
    mapping: &mut Mapping,
) -> io::Result<()> {
    let page = random.below(PAGES);
    arena.count_fault();
    // SAFETY: The mapping is locked by this thread, and what is done to it leaves it readable
    // everywhere afterwards.
    unsafe {
        match random.below(16) {
            0 => {
                mapping.unmap();
                *mapping = Mapping::new(file)?;
            }
            1 => {
                // Two pieces, and one again.
                libc::mprotect(mapping.page(page), PAGE, libc::PROT_NONE);
                libc::mprotect(mapping.page(page), PAGE, libc::PROT_READ);
            }
            2 => {
                let moved = libc::mremap(
                    mapping.page(0),
                    LENGTH,
                    LENGTH,
                    libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP,
                );
                if moved != libc::MAP_FAILED {
                    mapping.unmap();
                    *mapping = Mapping(moved.cast());
                }
            }
            3 => {
                libc::madvise(mapping.page(0), LENGTH, libc::MADV_POPULATE_READ);
            }
            4 => {
                libc::mlock(mapping.page(page), PAGE);
                libc::munlock(mapping.page(page), PAGE);
            }
            5 => {
                libc::madvise(mapping.page(0), LENGTH, libc::MADV_PAGEOUT);
            }
            6..=9 => {
                libc::madvise(mapping.page(page), PAGE, libc::MADV_DONTNEED);
            }
            _ => {
                libc::madvise(mapping.page(0), LENGTH, libc::MADV_DONTNEED);
            }
        }
    }
    Ok(())
}
