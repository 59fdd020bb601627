// SPDX-License-Identifier: GPL-2.0

//! All that can be seen of a tree.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

/// An object, by fields.
type Object = Vec<(Field, String)>;

/// What each path is.
pub type Tree = BTreeMap<String, Object>;

/// What is told of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    Kind,
    Mode,
    Owner,
    Links,
    Device,
    Inode,
    /// When it was modified; not if that was lately.
    Modified,
    /// Bytes of a file, or what a symbolic link says.
    Content,
    Attributes,
    /// Options that are shown of the mount.
    Options,
    /// Why the object, or the list of a directory, could not be had.
    Error,
}

/// Modification times after this are those of now: the layers' are from long before.
const LATELY: i64 = 1_600_000_000;

/// Looks at a mount.
pub fn of_mount(at: &Path) -> Tree {
    let mut tree = take(at);
    let found = match fs::read_to_string("/proc/self/mountinfo") {
        Ok(text) => (Field::Options, options(&text, at)),
        Err(error) => (Field::Error, error.to_string()),
    };
    tree.insert("(mount)".into(), vec![found]);
    tree
}

/// Those of the mount and of the filesystem.
fn options(mountinfo: &str, at: &Path) -> String {
    let fields = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let here = |fields: &Vec<String>| fields.get(4).is_some_and(|point| Path::new(point) == at);
    let found = mountinfo.lines().map(fields).rfind(here);
    found.map_or_else(String::new, |fields| {
        format!("{:?} {:?}", fields.get(5), fields.last())
    })
}

/// Looks at all below `root`.
pub fn take(root: &Path) -> Tree {
    let mut tree = Tree::new();
    walk(root, "", &mut tree);
    tree
}

fn walk(at: &Path, path: &str, tree: &mut Tree) {
    let mut object = Object::new();
    if let Err(errno) = describe(at, &mut object) {
        object.push((Field::Error, errno.to_string()));
    }
    let is_dir = object.contains(&(Field::Kind, format!("{:?}", FileType::Directory)));
    if is_dir {
        match names(at) {
            Ok(names) => {
                for name in names {
                    let inner = format!("{path}/{name}");
                    if tree.contains_key(&inner) {
                        object.push((Field::Error, format!("{name} is listed twice")));
                    }
                    walk(&at.join(&name), &inner, tree);
                }
            }
            Err(error) => object.push((Field::Error, error.to_string())),
        }
    }
    tree.insert(path.to_owned(), object);
}

fn names(dir: &Path) -> std::io::Result<Vec<String>> {
    let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into()));
    names.collect()
}

fn describe(at: &Path, object: &mut Object) -> Result<(), Errno> {
    let stat = rustix::fs::lstat(at)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    object.push((Field::Kind, format!("{kind:?}")));
    object.push((Field::Mode, format!("{:o}", stat.st_mode & 0o7777)));
    object.push((Field::Owner, format!("{}:{}", stat.st_uid, stat.st_gid)));
    if kind != FileType::Directory {
        object.push((Field::Links, stat.st_nlink.to_string()));
        object.push((Field::Device, format!("{:x}", stat.st_rdev)));
    }
    object.push((Field::Inode, stat.st_ino.to_string()));
    object.push((Field::Modified, modified(&stat)));
    match kind {
        FileType::RegularFile => object.push((Field::Content, content(at)?)),
        FileType::Symlink => {
            let target = rustix::fs::readlink(at, Vec::new())?;
            object.push((Field::Content, target.to_string_lossy().into_owned()));
        }
        _ => {}
    }
    object.push((Field::Attributes, attributes(at)?));
    Ok(())
}

fn modified(stat: &Stat) -> String {
    if stat.st_mtime > LATELY {
        return String::from("lately");
    }
    format!("{}.{:09}", stat.st_mtime, stat.st_mtime_nsec)
}

/// How long a file is, and a hash of what is in it.
fn content(at: &Path) -> Result<String, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOATIME | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(at, flags, Mode::empty())?;
    let mut buffer = [0; 1 << 14];
    let (mut length, mut hash) = (0, 0xcbf2_9ce4_8422_2325_u64);
    loop {
        let got = rustix::io::read(&file, &mut buffer)?;
        if got == 0 {
            return Ok(format!("{length} bytes, {hash:016x}"));
        }
        length += got;
        for byte in &buffer[..got] {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

fn attributes(at: &Path) -> Result<String, Errno> {
    let mut list = [0; 4096];
    let length = rustix::fs::llistxattr(at, &mut list)?;
    let mut text = Vec::new();
    for name in list[..length].split(|byte| *byte == 0) {
        if name.is_empty() {
            continue;
        }
        let mut value = [0; 4096];
        let length = rustix::fs::lgetxattr(at, name, &mut value)?;
        let name = String::from_utf8_lossy(name);
        text.push(format!("{name}={:02x?}", &value[..length]));
    }
    text.sort_unstable();
    Ok(text.join(" "))
}

/// Fails unless two trees are the same, but for some fields.
pub fn same(wanted: &Tree, found: &Tree, ignored: &[Field]) -> Result<(), String> {
    same_but(wanted, found, ignored, &[])
}

/// As well as for some fields of some objects.
pub fn same_but(
    wanted: &Tree,
    found: &Tree,
    ignored: &[Field],
    excused: &[(&str, Field)],
) -> Result<(), String> {
    if let Some(path) = wanted.keys().find(|path| !found.contains_key(*path)) {
        return Err(format!("'{path}' is missing"));
    }
    for (path, object) in found {
        let Some(right) = wanted.get(path) else {
            return Err(format!("'{path}' should not be there: {object:?}"));
        };
        let counted = |object: &Object| -> Object {
            let counts = |(field, _): &&(Field, String)| {
                !ignored.contains(field) && !excused.contains(&(path.as_str(), *field))
            };
            object.iter().filter(counts).cloned().collect()
        };
        let (right, object) = (counted(right), counted(object));
        if right != object {
            let differs = |(field, value): &&(Field, String)| {
                !right.iter().any(|other| other == &(*field, value.clone()))
            };
            let Some((field, value)) = object.iter().find(differs) else {
                return Err(format!("'{path}': {right:?} and not {object:?}"));
            };
            let wanted = right.iter().find(|(other, _)| other == field);
            return Err(format!("'{path}': {field:?} is {value}, not {wanted:?}"));
        }
    }
    Ok(())
}
