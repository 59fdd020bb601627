// SPDX-License-Identifier: GPL-2.0

//! What programs are made of: operations that name all they need, so that any
//! part of a program is a program.

use std::fmt;

use crate::errno;
use rustix::io::Errno;

/// Descriptors that a program may have open at a time.
pub const SLOTS: usize = 6;

/// What an operation is done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An object by its path from the root of the tree.
    Path(String),
    /// What was opened into a slot before.
    Slot(usize),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "'{path}'"),
            Self::Slot(slot) => write!(f, "fd{slot}"),
        }
    }
}

/// A device or a fifo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// A named pipe.
    Fifo,
    /// A socket that nobody listens on.
    Socket,
    /// A character device; 0:0 is a whiteout.
    Character(u32, u32),
    /// A block device.
    Block(u32, u32),
}

/// One operation. Lengths and offsets are in bytes, modes as in `chmod`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Op {
    Create {
        path: String,
        mode: u32,
        exclusive: bool,
    },
    Mkdir {
        path: String,
        mode: u32,
    },
    Rmdir(String),
    Unlink(String),
    /// Removes a directory with all that is in it.
    RemoveTree(String),
    Rename {
        from: String,
        to: String,
        flags: u32,
    },
    Link {
        from: Target,
        to: String,
        follow: bool,
    },
    Symlink {
        target: String,
        path: String,
    },
    Mknod {
        path: String,
        node: Node,
        mode: u32,
    },
    Open {
        path: String,
        slot: usize,
        flags: u32,
        mode: u32,
    },
    /// Opens a file without a name.
    Tmpfile {
        directory: String,
        slot: usize,
        mode: u32,
    },
    Close(usize),
    Write {
        target: Target,
        offset: u64,
        length: usize,
        fill: u8,
    },
    Append {
        path: String,
        length: usize,
        fill: u8,
    },
    Read {
        target: Target,
        offset: u64,
        length: usize,
    },
    MapWrite {
        path: String,
        offset: usize,
        length: usize,
        fill: u8,
    },
    MapRead(String),
    Truncate {
        target: Target,
        length: u64,
    },
    Allocate {
        target: Target,
        mode: u32,
        offset: u64,
        length: u64,
    },
    CopyRange {
        from: String,
        to: String,
        from_offset: u64,
        to_offset: u64,
        length: usize,
    },
    Clone {
        from: String,
        to: String,
    },
    Sync(usize),
    Chmod {
        target: Target,
        mode: u32,
    },
    Chown {
        target: Target,
        uid: Option<u32>,
        gid: Option<u32>,
    },
    /// Sets both times to this second, or to now.
    Utimens {
        target: Target,
        second: Option<i64>,
    },
    SetXattr {
        target: Target,
        name: String,
        value: Vec<u8>,
        flags: u32,
    },
    GetXattr {
        target: Target,
        name: String,
    },
    ListXattr(Target),
    RemoveXattr {
        target: Target,
        name: String,
    },
    /// Sets or clears one of the flags of `chattr`.
    Flag {
        path: String,
        flag: u32,
        on: bool,
    },
    Stat {
        target: Target,
        follow: bool,
    },
    Readdir(Target),
    Readlink(String),
    DropCaches,
    Remount,
    /// Each tree is mounted by the other driver.
    Swap,
    /// All that can be seen is compared. A step like others: C changes marks when it lists
    /// directories.
    Compare,
}

/// An operation and the user whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub op: Op,
    /// The user and group for the filesystem.
    pub user: u32,
}

/// What an operation comes to: what it lets one see, or an error.
pub type Outcome = Result<String, Errno>;

/// An outcome as text.
pub fn show(outcome: &Outcome) -> String {
    match outcome {
        Ok(seen) if seen.is_empty() => String::from("done"),
        Ok(seen) => seen.clone(),
        Err(errno) => errno::name(*errno),
    }
}
