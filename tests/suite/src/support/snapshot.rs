// SPDX-License-Identifier: GPL-2.0

//! A whole tree, as text that two trees can be compared by.

use std::collections::BTreeMap;
use std::fmt::Write;

use rustix::fs::FileType;

use crate::support::dir::Dir;

/// What each path of the tree is; the key is the path from the tree's root.
pub type Snapshot = BTreeMap<String, String>;

/// Describes everything in a tree: types, attributes, contents, links, nodes,
/// extended attributes except those of the overlay's own format, and which
/// names are one file.
#[track_caller]
pub fn take(root: &Dir) -> Snapshot {
    let mut snapshot = Snapshot::new();
    let mut first_names = BTreeMap::new();
    describe(root, "", &mut snapshot, &mut first_names);
    snapshot
}

/// Fails with the first paths that differ.
#[track_caller]
pub fn assert_same(got: &Snapshot, want: &Snapshot) {
    let mut differences = Vec::new();
    for (path, what) in want {
        match got.get(path) {
            None => differences.push(format!("'{path}' is missing")),
            Some(other) if other != what => {
                differences.push(format!("'{path}' is {other} instead of {what}"));
            }
            Some(_) => {}
        }
    }
    for path in got.keys().filter(|path| !want.contains_key(*path)) {
        differences.push(format!("'{path}' is too much"));
    }
    assert!(differences.is_empty(), "{}", differences.join("; "));
}

#[track_caller]
fn describe(
    root: &Dir,
    path: &str,
    snapshot: &mut Snapshot,
    first_names: &mut BTreeMap<(u64, u64), String>,
) {
    let stat = root.stat(path);
    let kind = root.kind(path);
    let mut text = format!(
        "{kind:?} {:o} {}:{}",
        stat.st_mode & 0o7777,
        stat.st_uid,
        stat.st_gid
    );
    let mut add = |what: std::fmt::Arguments<'_>| {
        let _ = write!(text, " {what}");
    };
    match kind {
        FileType::RegularFile => {
            let content = root.read(path);
            add(format_args!(
                "size {} hash {:x}",
                content.len(),
                hash(&content)
            ));
        }
        FileType::Symlink => add(format_args!("to {}", root.target(path))),
        FileType::CharacterDevice | FileType::BlockDevice => {
            add(format_args!("device {:x}", stat.st_rdev));
        }
        _ => {}
    }
    if kind != FileType::Directory {
        add(format_args!(
            "mtime {}.{}",
            stat.st_mtime, stat.st_mtime_nsec
        ));
        let first = first_names
            .entry((stat.st_dev, stat.st_ino))
            .or_insert_with(|| path.to_owned());
        if first != path {
            add(format_args!("same as {first}"));
        }
    }
    for key in root.xattr_names(path) {
        if key.starts_with("trusted.overlay.") {
            continue;
        }
        let value = root.xattr(path, &key);
        add(format_args!("{key}={:02x?}", value.unwrap_or_default()));
    }
    snapshot.insert(path.to_owned(), text);
    if kind == FileType::Directory {
        for below in root.paths_in(path) {
            describe(root, &below, snapshot, first_names);
        }
    }
}

/// FNV-1a: enough to tell accidents apart.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
