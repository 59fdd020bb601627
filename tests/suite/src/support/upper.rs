// SPDX-License-Identifier: GPL-2.0

//! What an overlay keeps in its upper layer, as text that two uppers can be
//! compared by.

use std::collections::BTreeMap;

use rustix::fs::FileType;

use crate::support::dir::Dir;

/// What is not the same in two overlays, or twice in one: the value says
/// nothing, but whether it is there does.
const BY_PRESENCE: [&str; 2] = ["origin", "uuid"];

/// Each path of an upper layer with its type and the attributes of the format.
#[track_caller]
pub fn take(root: &Dir) -> BTreeMap<String, String> {
    take_with(root, "trusted.overlay.")
}

/// The same, of an upper whose attributes have names that begin with `prefix`.
#[track_caller]
pub fn take_with(root: &Dir, prefix: &str) -> BTreeMap<String, String> {
    let mut paths = BTreeMap::new();
    describe(root, prefix, "", &mut paths);
    paths
}

#[track_caller]
fn describe(root: &Dir, prefix: &str, path: &str, paths: &mut BTreeMap<String, String>) {
    let kind = root.kind(path);
    let mut text = if root.is_whiteout(path) {
        "whiteout".into()
    } else {
        format!("{kind:?}")
    };
    for key in root.xattr_names(path) {
        let Some(name) = key.strip_prefix(prefix) else {
            continue;
        };
        text += &if BY_PRESENCE.contains(&name) {
            format!(" {name}")
        } else {
            let value = root.xattr(path, &key).unwrap_or_default();
            format!(" {name}={}", value.escape_ascii())
        };
    }
    paths.insert(path.to_owned(), text);
    if kind == FileType::Directory {
        for below in root.paths_in(path) {
            describe(root, prefix, &below, paths);
        }
    }
}
