// SPDX-License-Identifier: GPL-2.0

//! Reading directories by `getdents64`, with everything that it tells.

use std::fs::File;
use std::mem::MaybeUninit;

use rustix::fs::{seek, FileType, RawDir, SeekFrom};
use rustix::io::Errno;

use crate::support::must::must;

/// One directory entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// `d_ino`.
    pub ino: u64,
    /// `d_type`.
    pub kind: FileType,
    /// `d_off`: the position of the next entry.
    pub next: u64,
}

/// What one `getdents64` call returns with a buffer of this size.
pub fn chunk(dir: &File, buffer: usize) -> Result<Vec<Entry>, Errno> {
    let mut space = vec![MaybeUninit::uninit(); buffer];
    let mut raw = RawDir::new(dir, &mut space);
    let mut entries = Vec::new();
    while let Some(entry) = raw.next() {
        let entry = entry?;
        entries.push(Entry {
            name: entry.file_name().to_string_lossy().into_owned(),
            ino: entry.ino(),
            kind: entry.file_type(),
            next: entry.next_entry_cookie(),
        });
        if raw.is_buffer_empty() {
            break;
        }
    }
    Ok(entries)
}

/// All entries from the current position on, read with this buffer.
#[track_caller]
pub fn rest_by(dir: &File, buffer: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    loop {
        let some = must("getdents64", chunk(dir, buffer));
        if some.is_empty() {
            return entries;
        }
        entries.extend(some);
    }
}

/// All entries from the current position on.
#[track_caller]
pub fn rest(dir: &File) -> Vec<Entry> {
    rest_by(dir, 32768)
}

/// All entries, from the start.
#[track_caller]
pub fn all(dir: &File) -> Vec<Entry> {
    seek_to(dir, 0);
    rest(dir)
}

/// Sets the position to one that a listing gave.
#[track_caller]
pub fn seek_to(dir: &File, position: u64) {
    must("lseek", seek(dir, SeekFrom::Start(position)));
}

/// The names of entries, in their order.
pub fn names(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.name.as_str()).collect()
}
