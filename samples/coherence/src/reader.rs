// SPDX-License-Identifier: GPL-2.0
//! Other processes that hold the file open read-only.
//!
//! Such a process opens the file, then answers each line `OFFSET LENGTH` on its standard input
//! with the number of bytes it could read there, in a line, and the bytes.

use crate::ways::{self, Way};
use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::fs::FileExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// How many there are.
const READERS: usize = 10;

/// The argument that makes this program such a process.
pub(crate) const FLAG: &str = "--answer-from";

/// A process that holds the file open.
struct ReaderProcess {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

fn broken() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "a reading process gave no answer",
    )
}

impl ReaderProcess {
    /// Starts a process; its descriptor is open when this returns.
    fn start(path: &Path) -> io::Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .arg(FLAG)
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(broken());
        };
        let mut reader = Self {
            child,
            questions,
            answers: BufReader::new(answers),
        };
        reader.read(&mut [0], 0)?;
        Ok(reader)
    }

    fn read(&mut self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        writeln!(self.questions, "{at} {}", buf.len())?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let got = line.trim_end().parse().map_err(|_| broken())?;
        self.answers
            .read_exact(buf.get_mut(..got).ok_or_else(broken)?)?;
        Ok(got)
    }
}

impl Drop for ReaderProcess {
    fn drop(&mut self) {
        // It only reads, and may be stuck in the filesystem that is being tested.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the processes.
pub(crate) fn open(path: &Path) -> io::Result<Way> {
    let mut readers = (0..READERS)
        .map(|_| ReaderProcess::start(path))
        .collect::<io::Result<Vec<_>>>()?;
    Ok(Way::new("ten processes", move |content| {
        readers
            .iter_mut()
            .try_for_each(|reader| ways::compare(content, |buf, at| reader.read(buf, at)))
    }))
}

/// What the program does when it was started as a reading process.
pub(crate) fn answer(path: OsString) -> io::Result<()> {
    let file = File::open(path)?;
    let mut out = io::stdout().lock();
    for question in io::stdin().lock().lines() {
        let question = question?;
        let (at, length) = question.split_once(' ').ok_or_else(broken)?;
        let mut buf = vec![0; length.parse().map_err(|_| broken())?];
        let got = file.read_at(&mut buf, at.parse().map_err(|_| broken())?)?;
        writeln!(out, "{got}")?;
        out.write_all(&buf[..got])?;
        out.flush()?;
    }
    Ok(())
}
