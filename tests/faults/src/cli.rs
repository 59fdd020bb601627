// SPDX-License-Identifier: GPL-2.0

//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = "\
usage: rovl-faults [option]..

  --fs TYPE            the filesystem type (default rovl)
  --other TYPE         a type that has to see the same trees (default: the same)
  --dir DIR            where the layers go (default: a new tmpfs on /mnt)
  --only TEXT          operations with this in their names
  --stride N           only every Nth fault (default 1)
  --thorough           what fails is tried again, and left to the next mount; not
                       one or the other by turns
  --brief              does not compare trees: for kernels that look by themselves
  --disk DEVICE        makes filesystems on it, whose requests fail, instead
  --rounds N           how often (default 4)
  --seed N             the first seed (default 1)
  --list               names the operations
  --plant              makes mistakes: each has to be noticed
";

/// What to do.
pub struct Options {
    /// The filesystem type.
    pub fs: String,
    /// What looks at upper afterwards.
    pub other: Option<String>,
    /// Where the layers go.
    pub dir: Option<PathBuf>,
    /// What names of operations have in them.
    pub only: Vec<String>,
    /// From one fault to the next.
    pub stride: usize,
    /// Whether to look at failures in both ways.
    pub thorough: bool,
    /// Whether to leave comparing out.
    pub brief: bool,
    /// A disk to fail.
    pub disk: Option<PathBuf>,
    /// How often.
    pub rounds: u64,
    /// The first seed.
    pub seed: u64,
    /// Whether to name operations only.
    pub list: bool,
    /// Whether to make mistakes.
    pub plant: bool,
}

/// Parses the command line; `None` if only help is asked for.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;

    let mut options = Options {
        fs: "rovl".into(),
        other: None,
        dir: None,
        only: Vec::new(),
        stride: 1,
        thorough: false,
        brief: false,
        disk: None,
        rounds: 4,
        seed: 1,
        list: false,
        plant: false,
    };
    let mut parser = lexopt::Parser::from_iter(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("fs") => options.fs = parser.value()?.string()?,
            Long("other") => options.other = Some(parser.value()?.string()?),
            Long("dir") => options.dir = Some(parser.value()?.into()),
            Long("only") => options.only.push(parser.value()?.string()?),
            Long("stride") => {
                options.stride = parser.value()?.parse_with(|text| match text.parse() {
                    Ok(0) | Err(_) => Err("not a number above zero"),
                    Ok(stride) => Ok(stride),
                })?;
            }
            Long("thorough") => options.thorough = true,
            Long("brief") => options.brief = true,
            Long("disk") => options.disk = Some(parser.value()?.into()),
            Long("rounds") => options.rounds = parser.value()?.parse()?,
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("list") => options.list = true,
            Long("plant") => options.plant = true,
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(Some(options))
}
