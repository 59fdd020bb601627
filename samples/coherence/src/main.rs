// SPDX-License-Identifier: GPL-2.0
//! Shows whether an overlay filesystem is coherent: whether descriptors that were opened
//! read-only, before the file was copied up, see what is written after it.
//!
//! One descriptor is opened for each way of reading, and ten processes open one each. Then the
//! file is opened for writing (this is when an overlay copies it up) and written, twice; after
//! each write, everything opened before has to give what was written.

#![deny(unsafe_code)]

mod reader;
mod sys;
mod ways;

use reader::ReaderProcess;
use std::{
    env,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    process::ExitCode,
};
use ways::Verdict;

/// How much is written, and compared, in either place: at the start and behind the old end.
pub(crate) const STRETCH: usize = 64;

const READERS: usize = 10;

const USAGE: &str = "\
usage: coherence [--mappings] FILE

FILE is a regular file of at least 64 bytes on an overlay, not yet copied up
(nobody has written to it since it was in a lower layer).  It is opened
read-only in several ways, then written through another descriptor; each way
then has to see the new data.  The old contents are put back at the end; the
copy in the upper layer stays.

A shared mapping made before the copy-up is reported, but only counts with
--mappings.

One line is printed for each way of reading, `coherent' or `STALE'.
Exit status: 0 all are coherent, 1 some are not, 2 the test could not be made.";

/// What the command line asks for.
struct Options {
    mappings: bool,
    file: PathBuf,
}

fn parse(args: impl Iterator<Item = OsString>) -> Option<Options> {
    let mut mappings = false;
    let mut file = None;
    for arg in args {
        match arg.to_str() {
            Some("--mappings") => mappings = true,
            Some(option) if option.starts_with('-') => return None,
            _ if file.is_none() => file = Some(PathBuf::from(arg)),
            _ => return None,
        }
    }
    Some(Options {
        mappings,
        file: file?,
    })
}

/// What a file holds at the two places that are written.
pub(crate) struct Content {
    /// The bytes at offset zero.
    pub(crate) head: [u8; STRETCH],
    /// Where the file ended before it was written.
    pub(crate) old_size: u64,
    /// The bytes from there on; `None` as long as there are none.
    pub(crate) tail: Option<[u8; STRETCH]>,
}

impl Content {
    fn written(round: u32, old_size: u64) -> Self {
        let line = |place| {
            let text = format!(
                "{place} of round {round}, by process {}",
                std::process::id()
            );
            let mut bytes = [b'.'; STRETCH];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            bytes[STRETCH - 1] = b'\n';
            bytes
        };
        Self {
            head: line("head"),
            old_size,
            tail: Some(line("tail")),
        }
    }

    fn write_to(&self, file: &File) -> io::Result<()> {
        file.write_all_at(&self.head, 0)?;
        if let Some(tail) = &self.tail {
            file.write_all_at(tail, self.old_size)?;
        }
        Ok(())
    }

    /// The file's size when it holds this.
    pub(crate) fn size(&self) -> u64 {
        self.old_size + self.tail.map_or(0, |tail| tail.len() as u64)
    }
}

/// One line of the report.
struct Line {
    name: &'static str,
    counts: bool,
    verdict: Verdict,
}

fn run(options: &Options) -> io::Result<Vec<Line>> {
    let path: &Path = &options.file;
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.size() < STRETCH as u64 {
        return Err(io::Error::other(format!(
            "not a regular file of at least {STRETCH} bytes"
        )));
    }

    let mut head = [0; STRETCH];
    File::open(path)?.read_exact_at(&mut head, 0)?;
    let old = Content {
        head,
        old_size: metadata.size(),
        tail: None,
    };

    // Everything is opened, and has read the old data, before anybody opens for writing.
    let mut ways = ways::open_all(path)?;
    let mut readers = (0..READERS)
        .map(|_| ReaderProcess::start(path))
        .collect::<io::Result<Vec<_>>>()?;
    let mapping = ways::MappedBefore::new(path)?;

    let mut lines: Vec<Line> = ways
        .iter_mut()
        .map(|way| Line {
            name: way.name(),
            counts: true,
            verdict: way.compare(&old),
        })
        .collect();
    lines.push(Line {
        name: "ten processes",
        counts: true,
        verdict: reader::compare_all(&mut readers, &old),
    });
    lines.push(Line {
        name: "mmap made before",
        counts: options.mappings,
        verdict: mapping.compare(&old),
    });
    if let Some(line) = lines
        .iter()
        .find(|line| matches!(line.verdict, Verdict::Stale))
    {
        return Err(io::Error::other(format!(
            "{} did not even see the data from before",
            line.name
        )));
    }

    let writer = OpenOptions::new().write(true).open(path)?;
    let rounds = (1..=2).try_for_each(|round| {
        let new = Content::written(round, metadata.size());
        new.write_to(&writer)?;
        let verdicts = ways
            .iter_mut()
            .map(|way| way.compare(&new))
            .chain([
                reader::compare_all(&mut readers, &new),
                mapping.compare(&new),
            ])
            .collect::<Vec<_>>();
        for (line, verdict) in lines.iter_mut().zip(verdicts) {
            line.verdict.worsen(verdict);
        }
        Ok::<_, io::Error>(())
    });

    old.write_to(&writer)?;
    writer.set_len(metadata.size())?;
    writer.set_modified(metadata.modified()?)?;
    rounds?;
    Ok(lines)
}

fn report(lines: &[Line]) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    for line in lines {
        let verdict = match &line.verdict {
            Verdict::Coherent => "coherent".to_owned(),
            Verdict::Stale => "STALE".to_owned(),
            Verdict::Unavailable(error) => format!("not offered here: {error}"),
            Verdict::Failed(error) => format!("FAILED: {error}"),
        };
        let note = if line.counts { "" } else { " (not counted)" };
        writeln!(out, "{:<20} {verdict}{note}", line.name)?;
    }
    let counted = || lines.iter().filter(|line| line.counts);
    let coherent = counted().filter(|line| matches!(line.verdict, Verdict::Coherent));
    let bad = counted().filter(|line| line.verdict.is_bad()).count();
    writeln!(
        out,
        "{} of {} ways coherent, {bad} not",
        coherent.count(),
        counted().count()
    )?;
    Ok(bad == 0)
}

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1).peekable();
    if args.peek().is_some_and(|arg| arg == reader::FLAG) {
        return reader::main(args.nth(1));
    }
    let Some(options) = parse(args) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&options).and_then(|lines| report(&lines)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("coherence: {}: {error}", options.file.display());
            ExitCode::from(2)
        }
    }
}
