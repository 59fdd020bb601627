// SPDX-License-Identifier: GPL-2.0

//! Opening files, and running programs.

use super::Operation;
use crate::{bed::Bed, files::put, samples::Samples, Result};
use rustix::fs::{open, Mode, OFlags};
use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Stdio},
};

pub const OPERATIONS: &[Operation] = &[
    Operation::new(
        "open-lower",
        "open and close a lower file, read-only",
        |bed, samples| open_close(bed, samples, bed.lower(0), OFlags::RDONLY),
    ),
    Operation::new(
        "open-upper",
        "open and close an upper file, read-only",
        |bed, samples| open_close(bed, samples, bed.upper(), OFlags::RDONLY),
    ),
    Operation::new(
        "open-upper-rdwr",
        "open and close an upper file, read-write",
        |bed, samples| open_close(bed, samples, bed.upper(), OFlags::RDWR),
    ),
    Operation::new(
        "spawn-exec",
        "run a lower program and wait for its end",
        spawn_exec,
    ),
];

fn open_close(bed: &Bed, samples: &mut Samples, layer: PathBuf, flags: OFlags) -> Result<()> {
    put(&layer, "f", 4096)?;
    bed.enter(&[])?;
    let once = || -> Result<()> {
        drop(open(c"f", flags, Mode::empty())?);
        Ok(())
    };
    once()?;
    for _ in samples.rounds(41) {
        samples.time(once)?;
    }
    Ok(())
}

fn spawn_exec(bed: &Bed, samples: &mut Samples) -> Result<()> {
    fs::copy(env::current_exe()?, bed.lower(0).join("program"))?;
    bed.enter(&[])?;
    let mut program = Command::new("./program");
    program.arg("nothing").stdin(Stdio::null());
    program.status()?;
    for _ in samples.rounds(15) {
        samples.time(|| Ok(program.status()?))?;
    }
    Ok(())
}
