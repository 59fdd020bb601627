// SPDX-License-Identifier: GPL-2.0
//! Shows whether an overlay filesystem is coherent: whether descriptors that were opened
//! read-only, before the file was copied up, see what is written after it.
//!
//! One descriptor is opened, or one mapping made, for each way of looking at the file, and ten
//! processes open one each. Then the file is opened for writing (this is when an overlay copies it
//! up) and written, twice; after each write, everything from before has to show what was written.

#![deny(unsafe_code)]

mod content;
mod holder;
mod reader;
mod sys;
mod verdict;
mod ways;

use content::{Content, STRETCH};
use std::{
    env,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::Path,
    process::ExitCode,
};
use verdict::{Trouble, Verdict};
use ways::Way;

const USAGE: &str = "\
usage: coherence FILE

FILE is a regular file of at least 64 bytes on an overlay, not yet copied up
(nobody has written to it since it was in a lower layer).  It is opened
read-only, mapped, locked and watched in several ways, then written through
another descriptor; each way then has to see the new data.  The old contents
are put back at the end; the copy in the upper layer stays.  Files to copy to
are made in the same directory, and removed at once.

One line is printed for each way: `coherent', `STALE', `WRONG: ..' or
`FAILED: ..'; `not offered here: ..' does not count.
Exit status: 0 all are coherent, 1 some are not, 2 the test could not be made.";

fn run(path: &Path) -> io::Result<Vec<Way>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.size() < STRETCH as u64 {
        return Err(io::Error::other(format!(
            "not a regular file of at least {STRETCH} bytes"
        )));
    }
    let old = Content::old(&File::open(path)?, metadata.size())?;

    // Everything is opened, and has seen the old data, before anybody opens for writing.
    let mut ways = ways::open_all(path)?;
    for way in &mut ways {
        way.look(&old);
        if matches!(way.verdict(), Verdict::Bad(Trouble::Stale)) {
            return Err(io::Error::other(format!(
                "{} did not even see the data from before",
                way.name()
            )));
        }
    }

    let writer = OpenOptions::new().write(true).open(path)?;
    let rounds = (1..=2).try_for_each(|round| {
        let new = Content::written(round, metadata.size());
        new.write_to(&writer)?;
        ways.iter_mut().for_each(|way| way.look(&new));
        Ok::<_, io::Error>(())
    });

    old.write_to(&writer)?;
    writer.set_len(metadata.size())?;
    writer.set_modified(metadata.modified()?)?;
    rounds?;
    Ok(ways)
}

/// Prints what was seen, and says whether all is well.
fn report(ways: &[Way]) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    let (mut coherent, mut bad) = (0, 0);
    for way in ways {
        match way.verdict() {
            Verdict::Coherent => coherent += 1,
            Verdict::Bad(_) => bad += 1,
            Verdict::Unavailable(_) => {}
        }
        writeln!(out, "{:<24} {}", way.name(), way.verdict())?;
    }
    let all = ways.len();
    writeln!(out, "{coherent} of {all} ways coherent, {bad} not")?;
    Ok(bad == 0)
}

/// What is done in a process that this program started.
fn child(work: fn(OsString) -> io::Result<()>, path: OsString) -> ExitCode {
    match work(path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("coherence: another process: {error}");
            ExitCode::FAILURE
        }
    }
}

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    let file = match args.as_slice() {
        [flag, path] if flag == reader::FLAG => return child(reader::answer, path.clone()),
        [flag, path] if flag == holder::FLAG => return child(holder::hold, path.clone()),
        [file] if !file.as_encoded_bytes().starts_with(b"-") => Path::new(file),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(file).and_then(|ways| report(&ways)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("coherence: {}: {error}", file.display());
            ExitCode::from(2)
        }
    }
}
