// SPDX-License-Identifier: GPL-2.0

//! Changing lower files for the first time.

use super::{Needs, Operation};
use crate::{bed::Bed, files::put, samples::Samples, Result};
use rustix::fs::{chmod, open, Mode, OFlags};
use std::ffi::CString;

pub const OPERATIONS: &[Operation] = &[
    Operation::new(
        "first-write-1k",
        "open, write and close a lower file of 1 KiB",
        |b, s| first_write(b, s, 21, KIB),
    ),
    Operation::new(
        "first-write-1m",
        "open, write and close a lower file of 1 MiB",
        |b, s| first_write(b, s, 7, 1024 * KIB),
    ),
    Operation::new(
        "first-write-64m",
        "open, write and close a lower file of 64 MiB",
        |b, s| first_write(b, s, 1, 64 * 1024 * KIB),
    ),
    Operation::new("chmod-lower", "chmod of a lower file of 64 KiB", |b, s| {
        chmod_lower(b, s, &[])
    }),
    Operation::new(
        "chmod-lower-metacopy",
        "the same with metacopy=on",
        |b, s| chmod_lower(b, s, &[("metacopy", "on")]),
    )
    .needs(Needs::Overlay),
];

const KIB: usize = 1024;

fn first_write(bed: &Bed, samples: &mut Samples, rounds: usize, size: usize) -> Result<()> {
    let rounds = samples.rounds(rounds);
    for i in rounds.clone() {
        put(&bed.lower(0), &format!("f{i}"), size)?;
    }
    bed.enter(&[])?;
    for i in rounds {
        let name = CString::new(format!("f{i}"))?;
        samples.time_busy(|| {
            let file = open(&*name, OFlags::WRONLY, Mode::empty())?;
            rustix::io::write(&file, b"new")?;
            Ok(())
        })?;
    }
    Ok(())
}

fn chmod_lower(bed: &Bed, samples: &mut Samples, options: &[(&str, &str)]) -> Result<()> {
    let rounds = samples.rounds(21);
    for i in rounds.clone() {
        put(&bed.lower(0), &format!("f{i}"), 64 * KIB)?;
    }
    bed.enter(options)?;
    for i in rounds {
        let name = CString::new(format!("f{i}"))?;
        samples.time_busy(|| Ok(chmod(&*name, Mode::RWXU)?))?;
    }
    Ok(())
}
