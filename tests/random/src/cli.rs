// SPDX-License-Identifier: GPL-2.0

//! The command line.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use crate::{
    matrix::{self, OptionSet},
    plant::{self, Plant},
};

/// What `--help` prints.
pub const HELP: &str = "\
usage: rovl-random [option]..

  --drivers A,B        the filesystem types to compare (default overlay,rovl)
  --seeds A..B         from A up to but not including B (default 0..2)
  --ops N              operations of a program (default 1000); a fifth of it
                       more follows with drivers swapped, and swapped back
  --options OPTIONS    mount options, or `default`; may be repeated (default: a
                       table of sets)
  --fs DIR             a directory for upper layers; may be repeated (default:
                       each of tmpfs, ext4, xfs, btrfs in ROVL_SCRATCH)
  --lower DIR          a directory for lower layers (default: that of --fs)
  --shrink SECONDS     time for making a report small (default 60)
  --seconds SECONDS    stop before a seed after this time
  --plant WHAT         change a byte, mode, mark or name in one upper layer at the
                       end: this must be found
  --self-test          plant each of them, and see that it is found
  --list               print the sets of options and stop
";

/// What the user asked for.
pub enum Command {
    /// Compare.
    Run(Options),
    /// See that differences are found.
    SelfTest(Options),
    /// Print the sets.
    List,
    /// Print the help.
    Help,
}

/// What to compare, and where.
pub struct Options {
    /// Two filesystem types.
    pub drivers: [String; 2],
    /// The first seed, and the one after the last.
    pub seeds: (u64, u64),
    /// Operations of a program.
    pub operations: usize,
    /// Sets of mount options.
    pub sets: Vec<OptionSet>,
    /// Directories for upper layers.
    pub fs: Vec<PathBuf>,
    /// A directory for lower layers.
    pub lower: Option<PathBuf>,
    /// Time to shrink a case.
    pub shrink: Duration,
    /// Time for all.
    pub limit: Option<Duration>,
    /// A difference to make.
    pub plant: Option<Plant>,
}

/// Parses the command line.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    use lexopt::prelude::*;

    let mut parser = lexopt::Parser::from_iter(args);
    let mut self_test = false;
    let mut options = Options {
        drivers: [String::from("overlay"), String::from("rovl")],
        seeds: (0, 2),
        operations: 1000,
        sets: Vec::new(),
        fs: Vec::new(),
        lower: None,
        shrink: Duration::from_secs(60),
        limit: None,
        plant: None,
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("drivers") => {
                let value = parser.value()?.string()?;
                let (one, two) = value.split_once(',').ok_or("--drivers takes A,B")?;
                options.drivers = [one.to_owned(), two.to_owned()];
            }
            Long("seeds") => {
                let value = parser.value()?.string()?;
                let (from, to) = value.split_once("..").ok_or("--seeds takes A..B")?;
                let number = |text: &str| text.parse().map_err(|_| "not a number in --seeds");
                options.seeds = (number(from)?, number(to)?);
            }
            Long("ops") => options.operations = parser.value()?.parse()?,
            Long("options") => {
                let value = parser.value()?.string()?;
                options.sets.push(matrix::named(&value));
            }
            Long("fs") => options.fs.push(parser.value()?.into()),
            Long("lower") => options.lower = Some(parser.value()?.into()),
            Long("shrink") => options.shrink = Duration::from_secs(parser.value()?.parse()?),
            Long("seconds") => {
                options.limit = Some(Duration::from_secs(parser.value()?.parse()?));
            }
            Long("plant") => {
                let value = parser.value()?.string()?;
                let plant = plant::ALL.iter().find(|(name, _)| *name == value);
                options.plant = Some(plant.ok_or("--plant: no such difference")?.1);
            }
            Long("self-test") => self_test = true,
            Long("list") => return Ok(Command::List),
            Long("help") | Short('h') => return Ok(Command::Help),
            _ => return Err(arg.unexpected()),
        }
    }
    if options.sets.is_empty() {
        options.sets = matrix::all();
    }
    if options.fs.is_empty() {
        let scratch = std::env::var_os("ROVL_SCRATCH")
            .map_or_else(|| PathBuf::from("/mnt/scratch"), PathBuf::from);
        options.fs = ["tmpfs", "ext4", "xfs", "btrfs"]
            .iter()
            .map(|name| scratch.join(name))
            .collect();
    }
    Ok(if self_test {
        Command::SelfTest(options)
    } else {
        Command::Run(options)
    })
}
