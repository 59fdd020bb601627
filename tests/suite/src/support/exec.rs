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

/// Starts a program that runs until its input is closed. It is running when
/// this returns: its rights, too, are its own by then.
pub fn start(program: &Path) -> std::io::Result<Child> {
    let mut child = Command::new(program)
        .arg("--wait")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(output) = &mut child.stdout {
        output.read_exact(&mut [0; GREETING.len()])?;
    }
    Ok(child)
}

/// What `/proc/PID/status` tells about a program while it runs.
#[track_caller]
pub fn status_of(program: &Path) -> String {
    let mut running = must("start", start(program));
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.id()));
    drop(running.stdin.take());
    must("wait", running.wait());
    must("read status", status)
}

/// What the program started by [`start`] does.
pub fn greet_and_wait() {
    println!("{GREETING}");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
