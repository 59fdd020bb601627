// SPDX-License-Identifier: GPL-2.0

//! The command line.

use crate::{
    bed::Kind,
    operations::{self, Operation},
    Result,
};
use lexopt::{prelude::*, Parser};
use std::path::PathBuf;

const USAGE: &str = "\
usage: rovl-bench measure [options] DIRECTORY..
       rovl-bench report [--against KEPT] [--keep DIRECTORY] FIGURES
       rovl-bench compare --against FIGURES FIGURES
       rovl-bench list

measure   operations in each directory; prints a JSON object a line.  The
          directories are named after the filesystems that they are on.
 --ops NAME,..     only these; NAME* is all that begin so
 --fs NAME,..      of bare, overlay, rovl and fuse-overlayfs; default the first three
 --layers N,..     only with so many lower layers
 --quick           fewer samples, and no more than 200 layers
report    prints a table of what was measured, and which goals are reached
 --against KEPT    figures.json of an earlier run
 --keep DIRECTORY  keep it there
compare   fails if two runs are further apart than measuring explains
list      names the operations
";

/// What is to be done.
pub enum Command {
    Measure(MeasureOptions),
    Report(ReportOptions),
    Compare(ReportOptions),
    List,
    /// End at once; what is measured where programs are run.
    Nothing,
    Help,
}

/// What is to be measured.
pub struct MeasureOptions {
    pub directories: Vec<PathBuf>,
    pub operations: Vec<&'static Operation>,
    pub kinds: Vec<(&'static str, Kind)>,
    pub layers: Option<Vec<usize>>,
    pub quick: bool,
}

/// What is to be shown.
pub struct ReportOptions {
    pub figures: PathBuf,
    pub against: Option<PathBuf>,
    pub keep: Option<PathBuf>,
}

/// Reads the command line.
pub fn parse() -> Result<Command> {
    let mut parser = Parser::from_env();
    match parser.next()? {
        Some(Value(command)) => match command.string()?.as_str() {
            "measure" => Ok(Command::Measure(measure(parser)?)),
            "report" => Ok(Command::Report(report(parser)?)),
            "compare" => Ok(Command::Compare(report(parser)?)),
            "list" => Ok(Command::List),
            "nothing" => Ok(Command::Nothing),
            _ => Err(USAGE.into()),
        },
        Some(Long("help") | Short('h')) => Ok(Command::Help),
        _ => Err(USAGE.into()),
    }
}

/// Prints what can be asked for.
pub fn help() {
    print!("{USAGE}");
}

fn measure(mut parser: Parser) -> Result<MeasureOptions> {
    let mut options = MeasureOptions {
        directories: Vec::new(),
        operations: operations::all().collect(),
        kinds: Kind::ALL[..3].to_vec(),
        layers: None,
        quick: false,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("ops") => options.operations = operations_named(&parser.value()?.string()?)?,
            Long("fs") => {
                options.kinds = split(&parser.value()?.string()?)
                    .map(kind_named)
                    .collect::<Result<_>>()?;
            }
            Long("layers") => {
                options.layers = Some(
                    split(&parser.value()?.string()?)
                        .map(|number| Ok(number.parse()?))
                        .collect::<Result<_>>()?,
                );
            }
            Long("quick") => options.quick = true,
            Value(directory) => options.directories.push(directory.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    match options.directories.is_empty() {
        true => Err("where is it to be measured?".into()),
        false => Ok(options),
    }
}

fn report(mut parser: Parser) -> Result<ReportOptions> {
    let (mut figures, mut against, mut keep) = (None, None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("against") => against = Some(parser.value()?.into()),
            Long("keep") => keep = Some(parser.value()?.into()),
            Value(path) => figures = Some(path.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(ReportOptions {
        figures: figures.ok_or("which figures?")?,
        against,
        keep,
    })
}

fn split(list: &str) -> impl Iterator<Item = &str> {
    list.split([',', ' ']).filter(|word| !word.is_empty())
}

fn kind_named(name: &str) -> Result<(&'static str, Kind)> {
    let known = Kind::ALL.into_iter().find(|(known, _)| *known == name);
    known.ok_or_else(|| format!("no filesystem {name}").into())
}

fn operations_named(list: &str) -> Result<Vec<&'static Operation>> {
    let mut found = Vec::new();
    for pattern in split(list) {
        let before = found.len();
        found.extend(
            operations::all().filter(|operation| match pattern.strip_suffix('*') {
                Some(start) => operation.name.starts_with(start),
                None => operation.name == pattern,
            }),
        );
        if found.len() == before {
            return Err(format!("no operation {pattern}; `rovl-bench list` names all").into());
        }
    }
    Ok(found)
}
