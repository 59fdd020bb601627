// SPDX-License-Identifier: GPL-2.0

//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = "\
usage: rovl-images [option]..

  --fs TYPE            the filesystem type (default rovl)
  --other TYPE         the one to compare with
  --dir DIR            where to mount scratch filesystems (default /mnt)
  --layers DIR         a directory for layers; without it they are on tmpfs
  --seed N             the first seed (default 1)
  --seconds N          how long to go on (default 10)
  --images N           how many images at most
  --one SEED           that image alone, and print what is in it
  --verbose            print each seed before its image is tried
  --plant WHAT         do what must be noticed: show or change what is beside the
                       layers, or leave something open (show, change, open)
";

/// What a broken filesystem would do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// A layer shows what is beside the layers.
    Show,
    /// Something beside the layers is changed.
    Change,
    /// A file stays open.
    Open,
}

impl std::str::FromStr for Plant {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "show" => Ok(Self::Show),
            "change" => Ok(Self::Change),
            "open" => Ok(Self::Open),
            _ => Err("show, change or open"),
        }
    }
}

/// What to do.
pub struct Options {
    /// The filesystem type.
    pub fs: String,
    /// The one to compare with.
    pub other: Option<String>,
    /// Where the scratch filesystems go.
    pub dir: PathBuf,
    /// Where layers are, if not on tmpfs.
    pub layers: Option<PathBuf>,
    /// The first seed.
    pub seed: u64,
    /// How long.
    pub seconds: u64,
    /// How many images at most.
    pub images: Option<u64>,
    /// Whether to print what is in an image.
    pub print: bool,
    /// Whether to print seeds.
    pub verbose: bool,
    /// What to do that must be noticed.
    pub plant: Option<Plant>,
}

/// Parses the command line; `None` if only help is asked for.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;

    let mut options = Options {
        fs: "rovl".into(),
        other: None,
        dir: "/mnt".into(),
        layers: None,
        seed: 1,
        seconds: 10,
        images: None,
        print: false,
        verbose: false,
        plant: None,
    };
    let mut parser = lexopt::Parser::from_iter(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("fs") => options.fs = parser.value()?.string()?,
            Long("other") => options.other = Some(parser.value()?.string()?),
            Long("dir") => options.dir = parser.value()?.into(),
            Long("layers") => options.layers = Some(parser.value()?.into()),
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("seconds") => options.seconds = parser.value()?.parse()?,
            Long("images") => options.images = Some(parser.value()?.parse()?),
            Long("one") => {
                options.seed = parser.value()?.parse()?;
                options.images = Some(1);
                options.print = true;
            }
            Long("verbose") => options.verbose = true,
            Long("plant") => options.plant = Some(parser.value()?.parse()?),
            Long("help") | Short('h') => return Ok(None),
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(Some(options))
}
