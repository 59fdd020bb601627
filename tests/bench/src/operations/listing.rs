// SPDX-License-Identifier: GPL-2.0

//! Reading merged directories.

use super::Operation;
use crate::{bed::Bed, files::put, samples::Samples, Result};
use rustix::fs::{open, seek, Mode, OFlags, RawDir, SeekFrom};
use std::{mem::MaybeUninit, os::fd::OwnedFd};

pub const OPERATIONS: &[Operation] = &[
    Operation::new(
        "readdir-1k-first",
        "list 1,000 merged entries after mount",
        |b, s| first(b, s, 1000),
    ),
    Operation::new(
        "readdir-1k-rewound",
        "list them again by the same descriptor",
        |b, s| rewound(b, s, 1000),
    ),
    Operation::new(
        "readdir-1k-reopened",
        "list them again by a new descriptor",
        |b, s| reopened(b, s, 1000),
    ),
    Operation::new(
        "readdir-1k-created",
        "list them again after one was created",
        |b, s| created(b, s, 1000),
    ),
    Operation::new(
        "readdir-10k-first",
        "list 10,000 merged entries after mount",
        |b, s| first(b, s, 10_000),
    ),
    Operation::new(
        "readdir-10k-rewound",
        "list them again by the same descriptor",
        |b, s| rewound(b, s, 10_000),
    ),
    Operation::new(
        "readdir-10k-reopened",
        "list them again by a new descriptor",
        |b, s| reopened(b, s, 10_000),
    ),
    Operation::new(
        "readdir-10k-created",
        "list them again after one was created",
        |b, s| created(b, s, 10_000),
    ),
];

const ROUNDS: usize = 5;

/// A directory of which one half is upper and the other lower.
fn fill(bed: &Bed, entries: usize) -> Result<()> {
    for i in 0..entries {
        let layer = if i % 2 == 0 {
            bed.lower(0)
        } else {
            bed.upper()
        };
        put(&layer, &format!("d/entry-{i}"), 0)?;
    }
    Ok(())
}

fn open_dir() -> Result<OwnedFd> {
    Ok(open(
        c"d",
        OFlags::RDONLY | OFlags::DIRECTORY,
        Mode::empty(),
    )?)
}

/// Reads to the end; there must be at least so many entries.
fn list(dir: &OwnedFd, least: usize) -> Result<()> {
    let mut buffer = [MaybeUninit::uninit(); 32 * 1024];
    let mut entries = RawDir::new(dir, &mut buffer);
    let mut count = 0;
    while let Some(entry) = entries.next() {
        entry?;
        count += 1;
    }
    match count >= least {
        true => Ok(()),
        false => Err(format!("{count} entries instead of {least}").into()),
    }
}

fn first(bed: &Bed, samples: &mut Samples, entries: usize) -> Result<()> {
    fill(bed, entries)?;
    bed.enter(&[])?;
    for _ in samples.rounds(ROUNDS) {
        bed.enter_anew()?;
        samples.time(|| list(&open_dir()?, entries))?;
    }
    Ok(())
}

fn rewound(bed: &Bed, samples: &mut Samples, entries: usize) -> Result<()> {
    fill(bed, entries)?;
    bed.enter(&[])?;
    let dir = open_dir()?;
    list(&dir, entries)?;
    for _ in samples.rounds(ROUNDS) {
        samples.time(|| {
            seek(&dir, SeekFrom::Start(0))?;
            list(&dir, entries)
        })?;
    }
    Ok(())
}

fn reopened(bed: &Bed, samples: &mut Samples, entries: usize) -> Result<()> {
    fill(bed, entries)?;
    bed.enter(&[])?;
    list(&open_dir()?, entries)?;
    for _ in samples.rounds(ROUNDS) {
        samples.time(|| list(&open_dir()?, entries))?;
    }
    Ok(())
}

fn created(bed: &Bed, samples: &mut Samples, entries: usize) -> Result<()> {
    fill(bed, entries)?;
    bed.enter(&[])?;
    list(&open_dir()?, entries)?;
    for i in samples.rounds(ROUNDS) {
        put("".as_ref(), &format!("d/new-{i}"), 0)?;
        samples.time(|| list(&open_dir()?, entries + i))?;
    }
    Ok(())
}
