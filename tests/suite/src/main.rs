// SPDX-License-Identifier: GPL-2.0

//! System-call tests for overlay filesystems.
//!
//! The program mounts the filesystem under test over fresh layers for every
//! test, on each combination of layer filesystems that the test asks for, and
//! looks at the result both through the overlay and from below. It runs on
//! rovl and, as the oracle, on C overlayfs.
//!
//! `ROVL_SCRATCH` (default `/mnt/scratch`) holds one mounted filesystem a
//! directory: `tmpfs`, `ext4`, `xfs` and `btrfs` are writable, `erofs` and
//! `squashfs` are read-only images of the tree that `--make-image-tree` makes.

mod areas;
mod harness;
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    match harness::cli::parse(std::env::args_os()) {
        Ok(harness::cli::Command::Run(options)) => harness::runner::run(&options),
        Ok(harness::cli::Command::MakeImageTree(dir)) => {
            support::image::make(&support::dir::Dir::new(dir));
            ExitCode::SUCCESS
        }
        Ok(harness::cli::Command::Help) => {
            print!("{}", harness::cli::HELP);
            ExitCode::SUCCESS
        }
        Ok(harness::cli::Command::Probe) => {
            println!("{}", support::exec::GREETING);
            ExitCode::SUCCESS
        }
        Ok(harness::cli::Command::Wait) => {
            support::exec::greet_and_wait();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("rovl-suite: {error}");
            ExitCode::from(2)
        }
    }
}
