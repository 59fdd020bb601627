// SPDX-License-Identifier: GPL-2.0

//! Crashes at any point of a program that changes an overlay.
//!
//! A random program runs on an overlay whose disk is below the device-mapper target
//! log-writes. The log is then replayed up to random points, on images of the disk that
//! are mounted: each has to show what the program promised to have done, and nothing
//! that it never did.

mod check;
mod cli;
mod crashes;
mod data;
mod disk;
mod generate;
mod history;
mod log;
mod loop_device;
mod mark;
mod model;
mod op;
mod record;
mod replay;
#[path = "../../random/src/rng.rs"]
mod rng;
mod stage;
mod tree;

use std::process::ExitCode;

use cli::{Command, Options};

fn main() -> ExitCode {
    let result = match cli::parse(std::env::args_os()) {
        Ok(Some(options)) => run(&options),
        Ok(None) => {
            print!("{}", cli::HELP);
            Ok(true)
        }
        Err(error) => Err(error.to_string()),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rovl-crash: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<bool, String> {
    let history = generate::history(options.seed, options.ops);
    match options.command {
        Command::Print => {
            for (number, op) in history.ops.iter().enumerate() {
                println!("{number} {op:?}");
            }
            Ok(true)
        }
        Command::Record => record::record(options, &history).map(|()| true),
        Command::Check => crashes::crashes(options, &history),
    }
}
