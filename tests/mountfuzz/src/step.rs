// SPDX-License-Identifier: GPL-2.0

//! What a program does, one call after the other.

use std::fmt::Write;

/// A call, or a few that belong together.
#[derive(Debug)]
pub enum Step {
    /// `mount(2)` at a place.
    Mount {
        at: usize,
        flags: u32,
        options: Vec<u8>,
    },
    /// `mount(2)` of what is mounted at a place.
    Remount {
        at: usize,
        flags: u32,
        options: Vec<u8>,
    },
    /// `fsopen(2)`.
    Open,
    /// `fspick(2)` of what is mounted at a place.
    Pick(usize),
    /// `fsconfig(2)` with a key.
    Set(Vec<u8>, Value),
    /// `FSCONFIG_CMD_CREATE`.
    Create,
    /// `FSCONFIG_CMD_RECONFIGURE`.
    Reconfigure,
    /// `fsmount(2)` and `move_mount(2)`.
    Attach(usize),
    /// Uses what is mounted at a place.
    Use(usize),
    /// Unmounts it.
    Unmount(usize),
    /// Removes work directories.
    Clean,
}

/// The value of an option.
#[derive(Debug)]
pub enum Value {
    Flag,
    Text(Vec<u8>),
    Binary(usize),
    /// A descriptor of a path, opened with `O_PATH` or not.
    File(String, bool),
    /// The descriptor of a detached copy of a path's mount.
    Detached(String),
    /// A path as such.
    Path(String),
    /// A descriptor that is none.
    Nothing,
}

/// A program as text.
pub fn show(program: &[Step]) -> String {
    let mut text = String::new();
    for step in program {
        let _ = match step {
            Step::Mount { at, flags, options } => {
                writeln!(
                    text,
                    "    mount m{at} {flags:#x} '{}'",
                    options.escape_ascii()
                )
            }
            Step::Remount { at, flags, options } => {
                writeln!(
                    text,
                    "    remount m{at} {flags:#x} '{}'",
                    options.escape_ascii()
                )
            }
            Step::Set(key, Value::Text(value)) => writeln!(
                text,
                "    set '{}' to '{}'",
                key.escape_ascii(),
                value.escape_ascii()
            ),
            Step::Set(key, value) => {
                writeln!(text, "    set '{}' to {value:?}", key.escape_ascii())
            }
            step => writeln!(text, "    {step:?}"),
        };
    }
    text
}
