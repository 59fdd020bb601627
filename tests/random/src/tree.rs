// SPDX-License-Identifier: GPL-2.0

//! A tree that operations are done in, and what they see there.

use std::{collections::HashSet, os::fd::OwnedFd, path::PathBuf, rc::Rc};

use rustix::fs::{FileType, Stat};

use crate::op::SLOTS;

/// Times from here on are when something happened; earlier ones were set.
const NOW: i64 = 1_500_000_000;

/// Inode numbers that two overlays over the same layers must both show: those of
/// objects in lower layers, if all layers are on one filesystem. Other numbers are
/// the two uppers' own.
#[derive(Default)]
pub struct Numbers {
    /// The numbers, or nothing where drivers may differ.
    pub shared: HashSet<u64>,
    /// Whether all layers are on one filesystem.
    pub one_filesystem: bool,
    /// Whether times tell nothing: C sets that of a metacopy when the data is copied,
    /// although nothing is written to it. rovl does not.
    pub any_time: bool,
}

impl Numbers {
    /// A number as both must show it.
    pub fn show(&self, number: u64) -> String {
        if self.shared.contains(&number) {
            number.to_string()
        } else {
            String::from("own")
        }
    }

    /// A modification time, if somebody set it.
    fn time(&self, stat: &Stat) -> String {
        if self.any_time && kind(stat) == "file" {
            String::from("any")
        } else if stat.st_mtime >= NOW {
            String::from("now")
        } else {
            format!("{}.{}", stat.st_mtime, stat.st_mtime_nsec)
        }
    }
}

/// A mounted overlay or a bare directory, with descriptors open in it.
pub struct Tree {
    /// The root.
    pub root: PathBuf,
    /// Open descriptors.
    pub slots: [Option<OwnedFd>; SLOTS],
    /// Inode numbers to compare.
    pub numbers: Rc<Numbers>,
    /// Whether C overlayfs shows it. Its listings may name what is not there: that of a
    /// directory in one layer alone is passed through, with whiteouts that others made
    /// in it. And their numbers are not always those of `stat`.
    pub is_of_c: bool,
}

impl Tree {
    /// A tree without descriptors.
    pub fn new(root: PathBuf, numbers: Rc<Numbers>) -> Self {
        Self {
            root,
            slots: Default::default(),
            numbers,
            is_of_c: false,
        }
    }

    /// The whole path of an object.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Closes all descriptors.
    pub fn close_all(&mut self) {
        self.slots = Default::default();
    }
}

/// The letter of a type.
pub fn kind(stat: &Stat) -> &'static str {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => "file",
        FileType::Directory => "dir",
        FileType::Symlink => "symlink",
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::CharacterDevice => "char",
        FileType::BlockDevice => "block",
        FileType::Unknown => "unknown",
    }
}

/// What `stat` says that two overlays with the same history must agree about.
pub fn describe(stat: &Stat, numbers: &Numbers) -> Vec<(&'static str, String)> {
    let kind = kind(stat);
    let mut fields = vec![
        ("type", kind.to_owned()),
        ("mode", format!("{:o}", stat.st_mode & 0o7777)),
        ("owner", format!("{}:{}", stat.st_uid, stat.st_gid)),
        ("nlink", stat.st_nlink.to_string()),
        ("mtime", numbers.time(stat)),
        ("ino", numbers.show(stat.st_ino)),
    ];
    if kind != "dir" {
        // A directory's size is what its filesystem makes of its history.
        fields.push(("size", stat.st_size.to_string()));
    }
    if matches!(kind, "char" | "block") {
        fields.push(("rdev", format!("{:x}", stat.st_rdev)));
    }
    fields
}
