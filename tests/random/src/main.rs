// SPDX-License-Identifier: GPL-2.0

//! Runs the same random program on two overlay filesystems, C overlayfs and rovl, and
//! compares.
//!
//! For a seed it makes lower layers, by hand and by overlays, mounts both drivers over them
//! with an upper layer each, and does one operation after the other on both. What each
//! operation lets one see must be the same; at times, and in the end, also all that can be
//! seen of both overlays and of both upper layers. Then each driver mounts what the
//! other one made, must show the same, and goes on with it.
//!
//! A program that ends in a difference is made small and printed.
//!
//! Programs are the same for the same seed. So that they are, nothing random is taken
//! from elsewhere, and the layers, operations and arguments of a seed are not to depend on
//! time or place.

mod align;
mod case;
mod cli;
mod creds;
mod data;
mod dump;
mod errno;
mod exec;
mod generate;
mod known;
mod matrix;
mod moves;
mod op;
mod plant;
mod report;
mod rng;
mod rules;
mod runner;
mod show;
mod shrink;
mod side;
mod stage;
mod tree;
mod trial;
mod values;

use std::process::ExitCode;

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("rovl-random: {error}");
            return ExitCode::from(2);
        }
    };
    // Modes are those that operations name.
    rustix::process::umask(rustix::fs::Mode::empty());
    let good = match command {
        cli::Command::Run(options) => runner::run(&options),
        cli::Command::SelfTest(options) => runner::self_test(&options),
        cli::Command::List => {
            for set in matrix::all() {
                println!("{}", set.name());
            }
            Ok(true)
        }
        cli::Command::Help => {
            print!("{}", cli::HELP);
            Ok(true)
        }
    };
    match good {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rovl-random: {error}");
            ExitCode::from(2)
        }
    }
}
