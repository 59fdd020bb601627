// SPDX-License-Identifier: GPL-2.0

//! What nobody may change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat};

use crate::attribute;
use crate::site::{is_dir, sorted};

/// All that there is of some trees, by path.
pub type Trees = BTreeMap<PathBuf, Object>;

/// An object as it was seen.
pub struct Object {
    text: String,
    /// Its links and when it was changed. Not if it has other links: they may be in upper or the
    /// work directory, and be removed there.
    links: Option<String>,
}

impl Object {
    fn differs(&self, other: &Self) -> bool {
        self.text != other.text
            || self.links.is_some() && other.links.is_some() && self.links != other.links
    }
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {}",
            self.text,
            self.links.as_deref().unwrap_or("links")
        )
    }
}

/// Describes all below `root`, but for what is below one of `except`. Attributes cannot be
/// changed without the time of change, so they are only to be read.
pub fn take(root: &Path, except: &[PathBuf], attributes: bool, trees: &mut Trees) {
    if let Ok(stat) = rustix::fs::lstat(root) {
        let mut text = describe(root, &stat);
        if attributes {
            for name in attribute::names(root).unwrap_or_default() {
                let value = attribute::value(root, &name).unwrap_or_default();
                text += &format!(" {name}=\"{}\"", value.escape_ascii());
            }
        }
        let links = (is_dir(&stat) || stat.st_nlink == 1).then(|| {
            let (seconds, nanoseconds) = (stat.st_ctime, stat.st_ctime_nsec);
            format!("nlink {} changed {seconds}.{nanoseconds:09}", stat.st_nlink)
        });
        trees.insert(root.to_owned(), Object { text, links });
        if is_dir(&stat) {
            for (name, _) in sorted(root) {
                let path = root.join(name);
                if !except.contains(&path) {
                    take(&path, except, attributes, trees);
                }
            }
        }
    }
}

fn describe(path: &Path, stat: &Stat) -> String {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let mut text = format!(
        "{kind:?} {:o} {}:{} size {} rdev {:x} ino {} modified {}.{:09}",
        stat.st_mode & 0o7777,
        stat.st_uid,
        stat.st_gid,
        stat.st_size,
        stat.st_rdev,
        stat.st_ino,
        stat.st_mtime,
        stat.st_mtime_nsec,
    );
    match kind {
        FileType::RegularFile => {
            text += &format!(" accessed {}.{:09}", stat.st_atime, stat.st_atime_nsec);
            text += &format!(" content {}", content(path));
        }
        FileType::Symlink => {
            let target = rustix::fs::readlink(path, Vec::new()).unwrap_or_default();
            text += &format!(" to {}", target.to_bytes().escape_ascii());
        }
        _ => {}
    }
    text
}

fn content(path: &Path) -> String {
    let flags = OFlags::RDONLY | OFlags::NOATIME | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(path, flags, Mode::empty()) else {
        return String::from("unreadable");
    };
    match read_all(&file) {
        Ok(content) => summary(&content),
        Err(error) => format!("{error:?}"),
    }
}

/// Reads a file to its end, or as much as matters.
pub fn read_all(file: &impl std::os::fd::AsFd) -> Result<Vec<u8>, rustix::io::Errno> {
    let mut content = Vec::new();
    let mut buffer = [0; 16384];
    while content.len() < 1 << 17 {
        match rustix::io::read(file, &mut buffer)? {
            0 => break,
            length => content.extend_from_slice(&buffer[..length]),
        }
    }
    Ok(content)
}

/// A content in a few letters.
pub fn summary(content: &[u8]) -> String {
    let hash = content
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        });
    let start = &content[..content.len().min(8)];
    format!(
        "\"{}\"..{} {hash:016x}",
        start.escape_ascii(),
        content.len()
    )
}

/// The first difference between two states of trees.
pub fn difference(before: &Trees, after: &Trees) -> Option<String> {
    let paths = before.keys().chain(after.keys());
    for path in paths {
        match (before.get(path), after.get(path)) {
            (Some(old), Some(new)) if !old.differs(new) => {}
            (old, new) => {
                let show = |object: Option<&Object>| {
                    object.map_or_else(|| String::from("nothing"), Object::to_string)
                };
                return Some(format!(
                    "{} was {}\n    and is {}",
                    path.display(),
                    show(old),
                    show(new)
                ));
            }
        }
    }
    None
}
