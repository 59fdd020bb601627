// SPDX-License-Identifier: GPL-2.0

//! A few changes through an overlay.

use std::path::{Path, PathBuf};

use rustix::fs::{mknodat, FileType, Gid, Mode, OFlags, RenameFlags, Uid, XattrFlags, CWD};
use rustix::io::Errno;

use crate::rng::Rng;
use crate::site::NAMES;
use crate::{answers, errno, raw};

/// Paths of all that an overlay shows, but for what is very deep.
pub fn paths(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(root, Path::new(""), &mut found);
    found
}

fn collect(root: &Path, below: &Path, found: &mut Vec<PathBuf>) {
    for (name, is_dir) in crate::site::sorted(&root.join(below)) {
        let path = below.join(name);
        found.push(path.clone());
        if is_dir && path.components().count() < 4 && found.len() < 100 {
            collect(root, &path, found);
        }
    }
}

/// Makes one, in an overlay that has some paths, to which new ones are added; how it ended, and
/// whether it may.
pub fn one(rng: &mut Rng, root: &Path, paths: &mut Vec<PathBuf>) -> (String, bool) {
    let known = if paths.is_empty() {
        PathBuf::from("a")
    } else {
        paths[rng.below(paths.len())].clone()
    };
    let new = match rng.below(3) {
        0 => PathBuf::from(rng.pick(NAMES)),
        1 => known.with_file_name(rng.pick(NAMES)),
        _ => known.join(rng.pick(NAMES)),
    };
    let (at, to) = (root.join(&known), root.join(&new));
    let mode = Mode::from_raw_mode(rng.pick(&[0o600, 0o755]));
    let (what, result) = match rng.below(18) {
        0 | 1 => {
            let flags = OFlags::WRONLY | rng.pick(&[OFlags::APPEND, OFlags::TRUNC]);
            ("write", write(rng, &at, flags))
        }
        2 => ("create", write(rng, &to, OFlags::WRONLY | OFlags::CREATE)),
        3 => ("mkdir", rustix::fs::mkdir(&to, mode)),
        4..=6 => {
            let flags = rng.pick(&[
                RenameFlags::empty(),
                RenameFlags::empty(),
                RenameFlags::NOREPLACE,
                RenameFlags::EXCHANGE,
            ]);
            (
                "rename",
                rustix::fs::renameat_with(CWD, &at, CWD, &to, flags),
            )
        }
        7 | 8 => ("unlink", rustix::fs::unlink(&at)),
        9 => ("rmdir", rustix::fs::rmdir(&at)),
        10 => (
            "link",
            rustix::fs::linkat(CWD, &at, CWD, &to, rustix::fs::AtFlags::empty()),
        ),
        11 => ("symlink", rustix::fs::symlink("a", &to)),
        12 => ("mknod", mknodat(CWD, &to, FileType::Fifo, mode, 0)),
        13 | 14 => (
            "chmod",
            rustix::fs::chmodat(CWD, &at, mode, rustix::fs::AtFlags::empty()),
        ),
        15 => {
            let (uid, gid) = (Uid::from_raw(1000), Gid::from_raw(1000));
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            (
                "chown",
                rustix::fs::chownat(CWD, &at, Some(uid), Some(gid), flags),
            )
        }
        16 => {
            let name = rng.pick(&[
                "user.change",
                "trusted.overlay.change",
                "user.overlay.opaque",
            ]);
            (
                "setxattr",
                rustix::fs::lsetxattr(&at, name, b"y", XattrFlags::empty()),
            )
        }
        _ => ("tmpfile", tmpfile(&at, &to)),
    };
    let how = result.map_or_else(errno::name, |()| String::from("done"));
    let is_right = result.err().is_none_or(answers::of_change);
    let said = format!("{what} '{}' '{}': {how}", shown(&known), shown(&new));
    if result.is_ok() {
        paths.push(new);
    }
    (said, is_right)
}

/// A path, without names of an index: they are of random numbers.
fn shown(path: &Path) -> String {
    let names = path.iter().map(|name| match name.len() > 30 {
        true => "(index)".into(),
        false => name.to_string_lossy(),
    });
    names.collect::<Vec<_>>().join("/")
}

fn write(rng: &mut Rng, at: &Path, flags: OFlags) -> Result<(), Errno> {
    let content = raw::content(rng);
    // Links lead out of what is mounted, and devices and pipes are not of the overlay.
    if rustix::fs::lstat(at)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile)
    {
        return Err(Errno::LOOP);
    }
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(at, flags, Mode::from_raw_mode(0o644))?;
    rustix::io::write(&file, &content).map(|_| ())
}

fn tmpfile(dir: &Path, to: &Path) -> Result<(), Errno> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(dir, flags, Mode::from_raw_mode(0o644))?;
    rustix::io::write(&file, b"without a name")?;
    rustix::fs::linkat(&file, "", CWD, to, rustix::fs::AtFlags::EMPTY_PATH)
}
