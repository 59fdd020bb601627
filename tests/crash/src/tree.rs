// SPDX-License-Identifier: GPL-2.0

//! What a mount shows.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use rustix::fs::lgetxattr;
use rustix::io::Errno;

use crate::model::{Attributes, Kind};
use crate::op::{Path, XATTR};

/// One name of an object.
#[derive(PartialEq, Eq)]
pub struct Seen {
    pub attributes: Attributes,
    pub ino: u64,
    pub links: u64,
    /// Of a regular file.
    pub data: Option<Vec<u8>>,
}

pub type Tree = BTreeMap<Path, Seen>;

/// All that is below a directory.
pub fn read(root: &str) -> Result<Tree, String> {
    let mut tree = Tree::new();
    collect(root, "", &mut tree)?;
    Ok(tree)
}

fn collect(root: &str, dir: &str, tree: &mut Tree) -> Result<(), String> {
    let fail = |path: &str, error: io::Error| format!("{path}: {error}");
    let full = format!("{root}/{dir}");
    for entry in fs::read_dir(&full).map_err(|error| fail(dir, error))? {
        let name = entry.map_err(|error| fail(dir, error))?.file_name();
        let name = name.to_string_lossy();
        let path = match dir {
            "" => name.into_owned(),
            _ => format!("{dir}/{name}"),
        };
        let seen = see(&format!("{root}/{path}")).map_err(|error| fail(&path, error))?;
        let is_dir = seen.attributes.kind == Kind::Dir;
        tree.insert(path.clone(), seen);
        if is_dir {
            collect(root, &path, tree)?;
        }
    }
    Ok(())
}

fn see(path: &str) -> io::Result<Seen> {
    let meta = fs::symlink_metadata(path)?;
    let kind = match meta.file_type() {
        it if it.is_dir() => Kind::Dir,
        it if it.is_file() => Kind::File,
        it if it.is_symlink() => Kind::Symlink(fs::read_link(path)?.to_string_lossy().into_owned()),
        it if it.is_fifo() => Kind::Fifo,
        it => return Err(io::Error::other(format!("is a {it:?}"))),
    };
    let data = match kind {
        Kind::File => Some(fs::read(path)?),
        _ => None,
    };
    let mut value = [0; 64];
    let xattr = match lgetxattr(path, XATTR, &mut value[..]) {
        Ok(len) => Some(value[..len].to_vec()),
        Err(Errno::NODATA | Errno::PERM) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(Seen {
        attributes: Attributes {
            mode: meta.mode() & 0o7777,
            owner: meta.uid(),
            xattr,
            mtime: (kind == Kind::File).then_some(meta.mtime()),
            kind,
        },
        ino: meta.ino(),
        links: meta.nlink(),
        data,
    })
}

/// What differs between two mounts of the same layers, but for numbers of inodes.
pub fn differences(one: &Tree, other: &Tree) -> Vec<Path> {
    let same = |one: &Seen, other: &Seen| {
        one.attributes == other.attributes && one.links == other.links && one.data == other.data
    };
    let missing = other.keys().filter(|path| !one.contains_key(*path));
    one.iter()
        .filter(|(path, seen)| !other.get(*path).is_some_and(|it| same(seen, it)))
        .map(|(path, _)| path)
        .chain(missing)
        .cloned()
        .collect()
}
