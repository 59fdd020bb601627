// SPDX-License-Identifier: GPL-2.0

//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = "\
usage: rovl-mountfuzz [option]..

  --fs TYPE            the filesystem type (default rovl)
  --dir DIR            where to mount a scratch filesystem (default /mnt)
  --seed N             the first seed (default 1)
  --seconds N          how long to go on (default 10)
  --programs N         how many programs to run at most
  --explained          every refusal has to say why, as rovl's do
  --print              print each program before it runs
  --plant              leave mounts behind at the end: this must be found
";

/// What to do.
pub struct Options {
    /// The filesystem type.
    pub fs: String,
    /// Where the scratch filesystem goes.
    pub dir: PathBuf,
    /// The first seed.
    pub seed: u64,
    /// How long.
    pub seconds: u64,
    /// How many programs at most.
    pub programs: Option<u64>,
    /// Whether refusals are to be explained.
    pub explained: bool,
    /// Whether to print programs.
    pub print: bool,
    /// Whether to leave something behind.
    pub plant: bool,
}

/// Parses the command line; `None` if only help is asked for.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;

    let mut options = Options {
        fs: "rovl".into(),
        dir: "/mnt".into(),
        seed: 1,
        seconds: 10,
        programs: None,
        explained: false,
        print: false,
        plant: false,
    };
    let mut parser = lexopt::Parser::from_iter(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("fs") => options.fs = parser.value()?.string()?,
            Long("dir") => options.dir = parser.value()?.into(),
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("seconds") => options.seconds = parser.value()?.parse()?,
            Long("programs") => options.programs = Some(parser.value()?.parse()?),
            Long("explained") => options.explained = true,
            Long("print") => options.print = true,
            Long("plant") => options.plant = true,
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(Some(options))
}
