// SPDX-License-Identifier: GPL-2.0

//! Data of cached files.

use super::Operation;
use crate::{bed::Bed, files::put, samples::Samples, Result};
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};
use std::{fs::File, os::unix::fs::FileExt, path::PathBuf, ptr::null_mut};

pub const OPERATIONS: &[Operation] = &[
    Operation::new(
        "pread-4k",
        "pread of 4 KiB of a lower file",
        |bed, samples| pread(bed, samples, 4 * KIB),
    ),
    Operation::new(
        "pread-64k",
        "pread of 64 KiB of a lower file",
        |bed, samples| pread(bed, samples, 64 * KIB),
    ),
    Operation::new(
        "pwrite-4k",
        "pwrite of 4 KiB over an upper file",
        |bed, samples| pwrite(bed, samples, 4 * KIB),
    ),
    Operation::new(
        "pwrite-64k",
        "pwrite of 64 KiB over an upper file",
        |bed, samples| pwrite(bed, samples, 64 * KIB),
    ),
    Operation::new(
        "mmap-read",
        "map 1 MiB of a lower file, read each page, unmap",
        |bed, samples| mapped(bed, samples, bed.lower(0), false),
    ),
    Operation::new(
        "mmap-write",
        "map 1 MiB of an upper file, write each page, unmap",
        |bed, samples| mapped(bed, samples, bed.upper(), true),
    ),
];

const KIB: usize = 1024;
const ROUNDS: usize = 41;

fn pread(bed: &Bed, samples: &mut Samples, size: usize) -> Result<()> {
    put(&bed.lower(0), "f", size)?;
    bed.enter(&[])?;
    let file = File::open("f")?;
    let mut data = vec![0; size];
    file.read_exact_at(&mut data, 0)?;
    for _ in samples.rounds(ROUNDS) {
        samples.time(|| Ok(file.read_exact_at(&mut data, 0)?))?;
    }
    Ok(())
}

fn pwrite(bed: &Bed, samples: &mut Samples, size: usize) -> Result<()> {
    put(&bed.upper(), "f", size)?;
    bed.enter(&[])?;
    let file = File::options().write(true).open("f")?;
    let data = vec![1; size];
    file.write_all_at(&data, 0)?;
    for _ in samples.rounds(ROUNDS) {
        samples.time(|| Ok(file.write_all_at(&data, 0)?))?;
    }
    Ok(())
}

fn mapped(bed: &Bed, samples: &mut Samples, layer: PathBuf, write: bool) -> Result<()> {
    const SIZE: usize = 1024 * KIB;
    put(&layer, "f", SIZE)?;
    bed.enter(&[])?;
    let file = File::options().read(true).write(write).open("f")?;
    let protection = match write {
        true => ProtFlags::READ | ProtFlags::WRITE,
        false => ProtFlags::READ,
    };
    let once = || -> Result<()> {
        // SAFETY: A new mapping, of which the bytes are touched that it has, until it is unmapped.
        unsafe {
            let at = mmap(null_mut(), SIZE, protection, MapFlags::SHARED, &file, 0)?.cast::<u8>();
            for page in (0..SIZE).step_by(4 * KIB) {
                match write {
                    true => at.add(page).write_volatile(1),
                    false => drop(at.add(page).read_volatile()),
                }
            }
            Ok(munmap(at.cast(), SIZE)?)
        }
    };
    once()?;
    for _ in samples.rounds(ROUNDS) {
        samples.time(once)?;
    }
    Ok(())
}
