// SPDX-License-Identifier: GPL-2.0

//! Measures what filesystem operations cost without an overlay, on C overlayfs and on rovl.
//!
//! Made for a machine whose clock counts instructions (`scripts/vm --icount`).

mod bed;
mod clock;
mod device;
mod figure;
mod files;
mod measure;
mod operations;
mod options;
mod report;
mod samples;

use options::Command;
use std::{error::Error, process::ExitCode};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rovl-bench: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool> {
    match options::parse()? {
        Command::Measure(options) => measure::all(&options)?,
        Command::Report(options) => report::report(&options)?,
        Command::Compare(options) => return report::compare(&options),
        Command::List => operations::list(),
        Command::Help => options::help(),
        Command::Nothing => (),
    }
    Ok(true)
}
