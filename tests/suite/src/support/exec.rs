// SPDX-License-Identifier: GPL-2.0

//! Programs for tests of `execve`: this program itself, copied.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::dir::Dir;
use crate::support::must::must;

/// What the copied program prints when it is run with `--probe`.
pub const GREETING: &str = "this program runs from the overlay";

/// Puts an executable copy of this program into a directory.
#[track_caller]
pub fn install(dir: &Dir, name: &str) {
    must(
        format_args!("copy this program to {dir}/{name}"),
        std::fs::copy("/proc/self/exe", dir.at(name)),
    );
    dir.chmod(name, 0o755);
}

/// What a program prints when it is run with `--probe`.
pub fn run(program: &Path) -> std::io::Result<String> {
    let output = Command::new(program).arg("--probe").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Starts a program that runs until its input is closed.
pub fn start(program: &Path) -> std::io::Result<Child> {
    Command::new(program)
        .arg("--wait")
        .stdin(Stdio::piped())
        .spawn()
}

/// What the program started by [`start`] does.
pub fn wait_for_end_of_input() {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
