// SPDX-License-Identifier: GPL-2.0

//! What a generator knows of a tree, so that most operations meet something.

use std::{collections::BTreeMap, fs, path::Path};

use rustix::fs::FileType;

use crate::{op::Op, rng::Rng};

/// Types that generators tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Anything else.
    Other,
}

/// Paths and their types. Only ever a guess: what an operation meets is seen then.
#[derive(Default)]
pub struct Known {
    paths: BTreeMap<String, Kind>,
}

impl Known {
    /// How many paths.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Looks at a tree.
    pub fn look(&mut self, root: &Path) {
        self.paths.clear();
        self.walk(root, "");
    }

    fn walk(&mut self, at: &Path, path: &str) {
        let Ok(entries) = fs::read_dir(at) else {
            return;
        };
        for entry in entries.flatten() {
            let Ok(stat) = rustix::fs::lstat(entry.path()) else {
                continue;
            };
            let kind = match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Kind::File,
                FileType::Directory => Kind::Directory,
                FileType::Symlink => Kind::Symlink,
                _ => Kind::Other,
            };
            let path = below(path, &entry.file_name().to_string_lossy());
            self.paths.insert(path.clone(), kind);
            if kind == Kind::Directory {
                self.walk(&entry.path(), &path);
            }
        }
    }

    /// Any path of a type, or of any.
    pub fn any(&self, rng: &mut Rng, kind: Option<Kind>) -> Option<String> {
        let mut fitting = self
            .paths
            .iter()
            .filter(|(_, other)| kind.is_none_or(|kind| kind == **other));
        let count = fitting.clone().count();
        if count == 0 {
            return None;
        }
        fitting.nth(rng.below(count)).map(|(path, _)| path.clone())
    }

    /// Any empty directory.
    pub fn empty_directory(&self, rng: &mut Rng) -> Option<String> {
        let empty: Vec<_> = self
            .paths
            .iter()
            .filter(|(path, kind)| **kind == Kind::Directory && !self.has_children(path))
            .map(|(path, _)| path)
            .collect();
        (!empty.is_empty()).then(|| rng.pick(&empty).clone())
    }

    fn has_children(&self, path: &str) -> bool {
        let prefix = format!("{path}/");
        self.paths
            .range(prefix.clone()..)
            .next()
            .is_some_and(|(next, _)| next.starts_with(&prefix))
    }

    /// Takes note of an operation that was done.
    pub fn note(&mut self, op: &Op) {
        match op {
            Op::Create { path, .. } => self.add(path, Kind::File),
            Op::Open { path, flags, .. } if *flags as i32 & libc::O_CREAT != 0 => {
                self.add(path, Kind::File);
            }
            Op::Mkdir { path, .. } => self.add(path, Kind::Directory),
            Op::Symlink { path, .. } => self.add(path, Kind::Symlink),
            Op::Mknod { path, .. } => self.add(path, Kind::Other),
            Op::Link { to, .. } => self.add(to, Kind::File),
            Op::Unlink(path) | Op::Rmdir(path) | Op::RemoveTree(path) => {
                self.take(path);
            }
            Op::Rename { from, to, flags } => {
                let moved = self.take(from);
                let replaced = self.take(to);
                self.put(to, moved);
                if *flags == libc::RENAME_EXCHANGE {
                    self.put(from, replaced);
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, path: &str, kind: Kind) {
        self.paths.entry(path.to_owned()).or_insert(kind);
    }

    /// Takes a path out with all below it; what is returned is relative to it.
    fn take(&mut self, path: &str) -> Vec<(String, Kind)> {
        let prefix = format!("{path}/");
        let mut taken = Vec::new();
        self.paths.retain(|other, kind| {
            let rest = if other == path {
                Some("")
            } else {
                other.strip_prefix(&prefix)
            };
            taken.extend(rest.map(|rest| (rest.to_owned(), *kind)));
            rest.is_none()
        });
        taken
    }

    fn put(&mut self, path: &str, taken: Vec<(String, Kind)>) {
        for (rest, kind) in taken {
            let path = if rest.is_empty() {
                path.to_owned()
            } else {
                format!("{path}/{rest}")
            };
            self.paths.insert(path, kind);
        }
    }
}

/// A name in a directory, whose path is empty for the root.
pub fn below(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}
