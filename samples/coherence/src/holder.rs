// SPDX-License-Identifier: GPL-2.0
//! Another process, which has the file mapped and locked since before the copy-up.
//!
//! It says once, in a line, the address of its mapping and the errors, or zero, of locking the
//! file in either way. Then it waits until its standard input ends.

use crate::{
    content::STRETCH,
    sys::{hold, mapping::Mapping},
};
use std::{
    env,
    ffi::OsString,
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

/// The argument that makes this program such a process.
pub(crate) const FLAG: &str = "--hold";

/// A process that has the file mapped and locked.
pub(crate) struct Holder {
    child: Child,
    address: usize,
    posix_lock: i32,
    flock: i32,
}

impl Holder {
    /// Starts the process; it has everything when this returns.
    pub(crate) fn start(path: &Path) -> io::Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .arg(FLAG)
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(answers) = child.stdout.take() {
            BufReader::new(answers).read_line(&mut line)?;
        }
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<usize>);
        let mut number = || {
            numbers
                .next()
                .and_then(Result::ok)
                .ok_or_else(|| io::Error::other("the process that maps and locks failed"))
        };
        Ok(Self {
            address: number()?,
            posix_lock: number()? as i32,
            flock: number()? as i32,
            child,
        })
    }

    /// The process's id.
    pub(crate) fn id(&self) -> i32 {
        self.child.id() as i32
    }

    /// Where it has mapped the file.
    pub(crate) fn address(&self) -> usize {
        self.address
    }

    /// Whether it could take a POSIX lock.
    pub(crate) fn posix_lock(&self) -> io::Result<()> {
        taken(self.posix_lock)
    }

    /// Whether it could take a lock by flock(2).
    pub(crate) fn flock(&self) -> io::Result<()> {
        taken(self.flock)
    }
}

fn taken(error: i32) -> io::Result<()> {
    match error {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the program does when it was started as this process.
pub(crate) fn hold(path: OsString) -> io::Result<()> {
    let file = File::open(path)?;
    let mapping = Mapping::new(&file, STRETCH)?;
    mapping.copy_to(0, &mut [0; STRETCH]);
    let error = |locked: io::Result<()>| match locked {
        Ok(()) => 0,
        Err(error) => error.raw_os_error().unwrap_or(-1),
    };
    let posix_lock = error(hold::posix_lock_shared(&file));
    let flock = error(hold::flock_exclusive(&file));
    let mut out = io::stdout();
    writeln!(out, "{} {posix_lock} {flock}", mapping.address())?;
    out.flush()?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
