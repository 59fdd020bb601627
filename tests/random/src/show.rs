// SPDX-License-Identifier: GPL-2.0

//! Operations as lines that one can read, and type again by hand.

use std::fmt;

use crate::op::{Node, Op, Step};

/// A value of an extended attribute: text as it is, else hexadecimal.
pub fn value(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(48)];
    let mut text = if bytes.iter().all(|byte| byte.is_ascii_graphic()) {
        String::from_utf8_lossy(shown).into_owned()
    } else {
        shown.iter().fold(String::from("0x"), |text, byte| {
            text + &format!("{byte:02x}")
        })
    };
    if bytes.len() > shown.len() {
        text += &format!("..({} bytes, {:016x})", bytes.len(), hash(bytes));
    }
    text
}

/// FNV-1a: contents are told apart by it, nobody makes collisions.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn rename_flags(flags: u32) -> &'static str {
    match flags {
        0 => "",
        libc::RENAME_NOREPLACE => " NOREPLACE",
        libc::RENAME_EXCHANGE => " EXCHANGE",
        libc::RENAME_WHITEOUT => " WHITEOUT",
        _ => " (several flags)",
    }
}

fn open_flags(flags: u32) -> String {
    let flags = flags as i32;
    let mut text = String::from(match flags & libc::O_ACCMODE {
        libc::O_RDONLY => "O_RDONLY",
        libc::O_WRONLY => "O_WRONLY",
        _ => "O_RDWR",
    });
    for (flag, name) in [
        (libc::O_CREAT, "|O_CREAT"),
        (libc::O_EXCL, "|O_EXCL"),
        (libc::O_TRUNC, "|O_TRUNC"),
        (libc::O_APPEND, "|O_APPEND"),
        (libc::O_DIRECTORY, "|O_DIRECTORY"),
        (libc::O_NOFOLLOW, "|O_NOFOLLOW"),
        (libc::O_PATH, "|O_PATH"),
    ] {
        if flags & flag == flag {
            text += name;
        }
    }
    text
}

fn id(id: Option<u32>) -> String {
    id.map_or_else(|| String::from("-1"), |id| id.to_string())
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fifo => write!(f, "fifo"),
            Self::Socket => write!(f, "socket"),
            Self::Character(0, 0) => write!(f, "char 0:0 (whiteout)"),
            Self::Character(major, minor) => write!(f, "char {major}:{minor}"),
            Self::Block(major, minor) => write!(f, "block {major}:{minor}"),
        }
    }
}

impl fmt::Display for Op {
    #[rustfmt::skip]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { path, mode, exclusive } =>
                write!(f, "create '{path}' {mode:o}{}", if *exclusive { " O_EXCL" } else { "" }),
            Self::Mkdir { path, mode } => write!(f, "mkdir '{path}' {mode:o}"),
            Self::Rmdir(path) => write!(f, "rmdir '{path}'"),
            Self::Unlink(path) => write!(f, "unlink '{path}'"),
            Self::RemoveTree(path) => write!(f, "remove the tree '{path}'"),
            Self::Rename { from, to, flags } =>
                write!(f, "rename '{from}' '{to}'{}", rename_flags(*flags)),
            Self::Link { from, to, follow } =>
                write!(f, "link {from} '{to}'{}", if *follow { " AT_SYMLINK_FOLLOW" } else { "" }),
            Self::Symlink { target, path } => write!(f, "symlink -> '{target}' at '{path}'"),
            Self::Mknod { path, node, mode } => write!(f, "mknod '{path}' {node} {mode:o}"),
            Self::Open { path, slot, flags, mode } =>
                write!(f, "fd{slot} = open '{path}' {} {mode:o}", open_flags(*flags)),
            Self::Tmpfile { directory, slot, mode } =>
                write!(f, "fd{slot} = open '{directory}' O_RDWR|O_TMPFILE {mode:o}"),
            Self::Close(slot) => write!(f, "close fd{slot}"),
            Self::Write { target, offset, length, fill } =>
                write!(f, "write {target} at {offset}, {length} bytes ({fill})"),
            Self::Append { path, length, fill } =>
                write!(f, "append '{path}' {length} bytes ({fill})"),
            Self::Read { target, offset, length } =>
                write!(f, "read {target} at {offset}, {length} bytes"),
            Self::MapWrite { path, offset, length, fill } =>
                write!(f, "write by a mapping '{path}' at {offset}, {length} bytes ({fill})"),
            Self::MapRead(path) => write!(f, "read by a mapping '{path}'"),
            Self::Truncate { target, length } => write!(f, "truncate {target} to {length}"),
            Self::Allocate { target, mode, offset, length } =>
                write!(f, "fallocate {target} mode {mode:#x} at {offset}, {length} bytes"),
            Self::CopyRange { from, to, from_offset, to_offset, length } =>
                write!(f, "copy_file_range '{from}' at {from_offset} to '{to}' at {to_offset}, {length} bytes"),
            Self::Clone { from, to } => write!(f, "clone '{from}' to '{to}'"),
            Self::Sync(slot) => write!(f, "fsync fd{slot}"),
            Self::Chmod { target, mode } => write!(f, "chmod {target} {mode:o}"),
            Self::Chown { target, uid, gid } =>
                write!(f, "chown {target} {}:{}", id(*uid), id(*gid)),
            Self::Utimens { target, second: Some(second) } => write!(f, "utimens {target} {second}"),
            Self::Utimens { target, second: None } => write!(f, "utimens {target} now"),
            Self::SetXattr { target, name, value: bytes, flags } => {
                let flags = match *flags as i32 {
                    libc::XATTR_CREATE => " XATTR_CREATE",
                    libc::XATTR_REPLACE => " XATTR_REPLACE",
                    _ => "",
                };
                write!(f, "setxattr {target} {name}={}{flags}", value(bytes))
            }
            Self::GetXattr { target, name } => write!(f, "getxattr {target} {name}"),
            Self::ListXattr(target) => write!(f, "listxattr {target}"),
            Self::RemoveXattr { target, name } => write!(f, "removexattr {target} {name}"),
            Self::Flag { path, flag, on } =>
                write!(f, "chattr '{path}' {}{flag:#x}", if *on { '+' } else { '-' }),
            Self::Stat { target, follow } =>
                write!(f, "{} {target}", if *follow { "stat" } else { "lstat" }),
            Self::Readdir(target) => write!(f, "readdir {target}"),
            Self::Readlink(path) => write!(f, "readlink '{path}'"),
            Self::DropCaches => write!(f, "drop caches"),
            Self::Remount => write!(f, "close all, umount, mount"),
            Self::Compare => write!(f, "compare all"),
            Self::Swap => write!(f, "close all, umount, mount by the other driver"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.user != 0 {
            write!(f, "as user {}: ", self.user)?;
        }
        write!(f, "{}", self.op)
    }
}
