// SPDX-License-Identifier: GPL-2.0

//! Renames that C overlayfs refuses: of directories that lower layers have, where they get
//! no redirect. There is nothing to compare with, but a directory that is moved must
//! be what it was, at its new place, also after the next mount.

use std::collections::HashSet;

use rustix::io::Errno;

use crate::{
    dump::{self, Dump},
    errno,
    side::Side,
};

/// Directories that are moved at the end of each program.
const MOVES: usize = 3;

/// Moves some directories of an overlay; what differs then that must not, and where.
pub fn try_some(side: &mut Side) -> Option<(String, Vec<String>)> {
    for number in 0..MOVES {
        let before = side.dump();
        let directories: Vec<_> = before
            .iter()
            .filter(|(path, fields)| !path.is_empty() && is_directory(fields))
            .map(|(path, _)| path.clone())
            .collect();
        let from = directories.get(directories.len() * number / MOVES)?;
        let to = format!("moved{number}");
        match rustix::fs::rename(side.tree.at(from), side.tree.at(&to)) {
            Ok(()) => {}
            // There is a limit to what is copied, and what is immutable does not move.
            Err(Errno::XDEV | Errno::PERM) => continue,
            Err(error) => {
                let lines = vec![format!("{}: {}", side.driver, errno::name(error))];
                return Some((format!("rename '{from}' '{to}', in the end"), lines));
            }
        }
        let expected = moved(&before, from, &to);
        let after = side.dump();
        let links = links(&expected);
        let parent = from.rsplit_once('/').map_or("", |(parent, _)| parent);
        let lines = dump::differences(
            ("the tree of before", &forgiving(&expected, &links, parent)),
            ("the tree after it", &forgiving(&after, &links, parent)),
            |_, _, _| false,
        );
        if !lines.is_empty() {
            return Some((format!("rename '{from}' '{to}', in the end"), lines));
        }
    }
    let before = side.dump();
    let again = side.unmount().and_then(|()| side.mount());
    if let Err(error) = again {
        let lines = vec![format!("{}: {}", side.driver, errno::name(error))];
        return Some((String::from("mount after directories were moved"), lines));
    }
    let lines = dump::differences(
        ("the moved tree", &before),
        ("the tree after the next mount", &side.dump()),
        |_, _, _| false,
    );
    (!lines.is_empty()).then(|| (String::from("directories were moved"), lines))
}

fn is_directory(fields: &[(&str, String)]) -> bool {
    fields
        .iter()
        .any(|(field, value)| *field == "type" && value == "dir")
}

/// A tree with one directory at another place.
fn moved(dump: &Dump, from: &str, to: &str) -> Dump {
    let below = format!("{from}/");
    dump.iter()
        .map(|(path, fields)| {
            let path = if path == from {
                to.to_owned()
            } else if let Some(rest) = path.strip_prefix(&below) {
                format!("{to}/{rest}")
            } else {
                path.clone()
            };
            (path, fields.clone())
        })
        .collect()
}

/// What has several names.
fn links(dump: &Dump) -> HashSet<String> {
    dump.iter()
        .filter(|(_, fields)| {
            !is_directory(fields)
                && fields
                    .iter()
                    .any(|(field, value)| *field == "nlink" && value != "1")
        })
        .map(|(path, _)| path.clone())
        .collect()
}

/// Leaves out what such a rename may change: times of the two parents, link counts of
/// directories, since C's rule for them tells how much is merged, and which names are
/// one file, since copying breaks links where there is no index.
fn forgiving(dump: &Dump, links: &HashSet<String>, parent: &str) -> Dump {
    dump.iter()
        .map(|(path, fields)| {
            let fields = fields
                .iter()
                .filter(|(field, _)| match *field {
                    "nlink" | "one with" => false,
                    "ino" => !links.contains(path),
                    "mtime" => !(path.is_empty() || path == parent),
                    _ => true,
                })
                .cloned()
                .collect();
            (path.clone(), fields)
        })
        .collect()
}
