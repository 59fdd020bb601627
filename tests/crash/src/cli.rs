// SPDX-License-Identifier: GPL-2.0

//! The command line.

use std::ffi::OsString;

/// What `--help` prints.
pub const HELP: &str = "\
usage: rovl-crash print [option]..    prints the program of a seed
       rovl-crash record [option]..   runs it on a device whose writes are logged
       rovl-crash check [option]..    crashes at random points of the log, and checks

  --seed N             which program (default 1)
  --ops N              how many operations it has (default 400)
  --fs TYPE            the filesystem with upper: ext4 (default) or xfs
  --driver TYPE        rovl (default), overlay, or bare for none
  --options LIST       mount options of the overlay
record:
  --device NAME        the device-mapper device, with a target log-writes
check:
  --log FILE           what the target has logged
  --image FILE         the device as it was before
  --other TYPE         the driver that has to show the same (default overlay)
  --points N           how many crashes (default 100)
  --point-seed N       which points (default 1)
  --plant              the disk does nothing for the last flush: this must be found
";

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Print,
    Record,
    Check,
}

/// How.
pub struct Options {
    pub command: Command,
    pub seed: u64,
    pub ops: usize,
    pub fs: String,
    pub driver: String,
    pub options: String,
    pub device: String,
    pub log: String,
    pub image: String,
    pub other: String,
    pub points: usize,
    pub point_seed: u64,
    pub plant: bool,
}

/// Parses the command line; `None` if only help is asked for.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;

    let mut command = None;
    let mut options = Options {
        command: Command::Print,
        seed: 1,
        ops: 400,
        fs: "ext4".into(),
        driver: "rovl".into(),
        options: String::new(),
        device: String::new(),
        log: String::new(),
        image: String::new(),
        other: "overlay".into(),
        points: 100,
        point_seed: 1,
        plant: false,
    };
    let mut parser = lexopt::Parser::from_iter(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Value(word) if command.is_none() => {
                command = Some(match word.string()?.as_str() {
                    "print" => Command::Print,
                    "record" => Command::Record,
                    "check" => Command::Check,
                    other => return Err(format!("no command '{other}'").into()),
                });
            }
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("ops") => options.ops = parser.value()?.parse()?,
            Long("fs") => options.fs = parser.value()?.string()?,
            Long("driver") => options.driver = parser.value()?.string()?,
            Long("options") => options.options = parser.value()?.string()?,
            Long("device") => options.device = parser.value()?.string()?,
            Long("log") => options.log = parser.value()?.string()?,
            Long("image") => options.image = parser.value()?.string()?,
            Long("other") => options.other = parser.value()?.string()?,
            Long("points") => options.points = parser.value()?.parse()?,
            Long("point-seed") => options.point_seed = parser.value()?.parse()?,
            Long("plant") => options.plant = true,
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(arg.unexpected()),
        }
    }
    options.command = command.ok_or("no command; see --help")?;
    Ok(Some(options))
}
