// SPDX-License-Identifier: GPL-2.0

//! Mistakes that are made in layers, in the work directory and in the index.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Gid, Mode, RenameFlags, Uid, CWD};

use crate::attribute;
use crate::raw;
use crate::rng::Rng;
use crate::site::{is_dir, objects, Site, NAMES};

/// What may be tampered with.
pub struct Layers<'a> {
    /// Where they are.
    pub site: &'a Site,
    /// Layers that nobody writes to.
    pub lower: &'a [PathBuf],
    /// The upper layer and the work directory.
    pub upper: Option<(&'a Path, &'a Path)>,
    /// The prefix of the mount's attributes.
    pub prefix: &'static str,
}

impl Layers<'_> {
    /// All roots.
    fn roots(&self) -> Vec<PathBuf> {
        let mut roots = self.lower.to_vec();
        roots.extend(
            self.upper
                .into_iter()
                .flat_map(|(upper, work)| [upper.to_owned(), work.to_owned()]),
        );
        roots
    }

    /// All objects, with the roots.
    pub fn objects(&self) -> Vec<PathBuf> {
        let mut found = self.roots();
        for root in self.roots() {
            objects(&root, &mut found);
        }
        found
    }

    fn is_upper(&self, path: &Path) -> bool {
        self.upper
            .is_some_and(|(upper, work)| path.starts_with(upper) || path.starts_with(work))
    }

    /// Whether somebody who writes to one of them could write to the other one: they have
    /// names of one file, of which only one is in upper.
    fn would_share(&self, one: &Path, other: &Path) -> bool {
        self.is_upper(one) != self.is_upper(other)
            && [one, other].iter().any(|path| has_links(path))
    }
}

/// Whether there is a file with several names.
fn has_links(path: &Path) -> bool {
    let mut all = vec![path.to_owned()];
    objects(path, &mut all);
    all.iter()
        .any(|path| rustix::fs::lstat(path).is_ok_and(|stat| !is_dir(&stat) && stat.st_nlink > 1))
}

/// Makes a mistake with one of the objects that there were before. Some do nothing, as what they
/// are about is not there.
pub fn tamper(rng: &mut Rng, layers: &Layers<'_>, all: &[PathBuf]) {
    let path = attribute::any_object(rng, all);
    let is_root = layers.roots().contains(&path);
    match rng.below(24) {
        0..=4 => {
            let (name, value) = attribute::any(rng, layers.site, all);
            let prefix = match rng.below(20) {
                0 => attribute::prefix(true),
                1 => attribute::prefix(false),
                _ => layers.prefix,
            };
            attribute::set(&path, &format!("{prefix}{name}"), &value);
        }
        5..=8 => own_attribute(rng, all),
        9 | 10 if rng.percent(if is_root { 5 } else { 100 }) => {
            remove(&path);
            if is_root {
                let _ = File::create_new(&path);
            } else {
                raw::object(rng, &path, 1);
            }
        }
        11 => {
            let other = attribute::any_object(rng, all);
            // A link instead of a layer would be followed, to where there are no layers.
            let leads_out = [&path, &other].iter().any(|path| path.is_symlink());
            if !layers.would_share(&path, &other) && !leads_out {
                let _ = rustix::fs::renameat_with(CWD, &path, CWD, &other, RenameFlags::EXCHANGE);
            }
        }
        12 if !is_root => {
            let to = attribute::any_object(rng, all).join(rng.pick(NAMES));
            if !layers.would_share(&path, &to) {
                let _ = fs::rename(&path, to);
            }
        }
        13 => {
            let to = attribute::any_object(rng, all).join(rng.pick(NAMES));
            if layers.is_upper(&path) == layers.is_upper(&to) {
                let _ = fs::hard_link(&path, to);
            }
        }
        14..=17 => remnant(rng, layers, all),
        18 if layers.site.has_flags() => set_flags(&path, rng.pick(&[0x10, 0x20, 0x30, 0x40])),
        19 => {
            let (uid, gid) = (Uid::from_raw(rng.pick(&[0, 1000])), Gid::from_raw(1000));
            let _ = rustix::fs::chownat(
                CWD,
                &path,
                Some(uid),
                Some(gid),
                rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
            );
            if is_regular(&path) {
                let _ = rustix::fs::chmod(&path, Mode::from_raw_mode(rng.next() as u32 & 0o7777));
            }
        }
        20 if is_regular(&path) => {
            // As large as a metacopy is.
            let _ = File::options()
                .write(true)
                .open(&path)
                .and_then(|file| file.set_len(rng.pick(&[0, 5, 1 << 20])));
        }
        21 => {
            let name = rng.pick(&["user.note", "trusted.note", "security.capability"]);
            attribute::set(&path, name, &raw::content(rng));
        }
        _ if !is_root => remove(&path),
        _ => {}
    }
}

/// Changes or removes an attribute that is there, or gives it the value of another object's.
fn own_attribute(rng: &mut Rng, all: &[PathBuf]) {
    // The first of a few that has one.
    let found = (0..8).find_map(|_| {
        let path = attribute::any_object(rng, all);
        let names = attribute::names(&path).unwrap_or_default();
        let own: Vec<_> = names
            .into_iter()
            .filter(|name| attribute::is_own(name))
            .collect();
        (!own.is_empty()).then(|| (path, rng.pick(&own)))
    });
    let Some((path, name)) = found else {
        return;
    };
    match rng.below(6) {
        0 => {
            let _ = rustix::fs::lremovexattr(&path, &name);
        }
        1 => {
            let other = attribute::any_object(rng, all);
            let value = attribute::value(&path, &name).unwrap_or_default();
            attribute::set(&other, &name, &value);
        }
        _ => {
            let mut value = attribute::value(&path, &name).unwrap_or_default();
            attribute::edit(rng, &mut value);
            attribute::set(&path, &name, &value);
        }
    }
}

/// Leaves something in the work directory.
fn remnant(rng: &mut Rng, layers: &Layers<'_>, all: &[PathBuf]) {
    let Some((_, work)) = layers.upper else {
        return;
    };
    let dir = work.join(rng.pick(&["work", "index", "index", "", "work/incompat"]));
    let _ = fs::create_dir_all(&dir);
    let name = match rng.below(8) {
        0..=3 => {
            let handle = attribute::any_handle(rng, layers.site, all);
            handle.iter().map(|byte| format!("{byte:02x}")).collect()
        }
        4 => "volatile".to_owned(),
        5 => "#1".to_owned(),
        _ => rng.pick(NAMES).to_owned(),
    };
    let path = dir.join(name);
    let source = attribute::any_object(rng, all);
    if rng.percent(30) && layers.is_upper(&source) {
        let _ = fs::hard_link(source, &path);
    } else {
        // C overlayfs does not remove what is deeper from a work directory.
        let depth = rng.pick(&[1, 1, 1, 2]);
        raw::object(rng, &path, depth);
    }
    for _ in 0..rng.below(3) {
        let value = attribute::any_handle(rng, layers.site, all);
        let name = rng.pick(&["origin", "origin", "upper"]);
        attribute::set(&path, &format!("{}{name}", layers.prefix), &value);
    }
    if rng.percent(20) {
        attribute::set(&path, &format!("{}nlink", layers.prefix), b"U+1");
    }
}

fn is_regular(path: &Path) -> bool {
    rustix::fs::lstat(path)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
}

fn remove(path: &Path) {
    let _ = fs::remove_file(path);
    let _ = fs::remove_dir_all(path);
}

/// Makes something immutable, append-only or not to be dumped.
fn set_flags(path: &Path, flags: libc::c_int) {
    const SET_FLAGS: libc::Ioctl = 0x4008_6602;

    // Opening others has effects.
    if !is_regular(path) && !rustix::fs::lstat(path).is_ok_and(|stat| is_dir(&stat)) {
        return;
    }
    if let Ok(file) = File::open(path) {
        // SAFETY: the kernel reads a number.
        unsafe { libc::ioctl(file.as_raw_fd(), SET_FLAGS, &raw const flags) };
    }
}
