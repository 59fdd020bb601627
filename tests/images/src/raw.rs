// SPDX-License-Identifier: GPL-2.0

//! Layers that no driver has written.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::fs::{mknodat, FileType, Mode, CWD};

use crate::attribute;
use crate::rng::Rng;
use crate::site::{objects, Site, NAMES};

/// Fills a directory with a few objects.
pub fn fill(rng: &mut Rng, dir: &Path, depth: usize) {
    for name in NAMES {
        if rng.percent(45) {
            object(rng, &dir.join(name), depth);
        }
    }
}

/// Makes an object.
pub fn object(rng: &mut Rng, path: &Path, depth: usize) {
    let mode = rng.pick(&[0o644, 0o600, 0o755, 0o4755, 0o000]);
    // What exists already stays.
    let _ = match rng.below(16) {
        0..=6 if depth > 0 => {
            let made = fs::create_dir(path);
            if made.is_ok() {
                fill(rng, path, depth - 1);
            }
            made
        }
        7 | 8 => std::os::unix::fs::symlink(rng.pick(TARGETS), path),
        9 | 10 => node(path, FileType::CharacterDevice, 0, (0, 0)),
        11 => node(path, FileType::Fifo, mode, (0, 0)),
        12 => node(path, rng.pick(DEVICES), mode, (1, 3)),
        _ => file(path, &content(rng), mode),
    };
}

const TARGETS: &[&str] = &["a", "../b", "/missing", "../outside", "."];
const DEVICES: &[FileType] = &[
    FileType::CharacterDevice,
    FileType::BlockDevice,
    FileType::Socket,
];

fn node(path: &Path, kind: FileType, mode: u32, (major, minor): (u32, u32)) -> std::io::Result<()> {
    let device = rustix::fs::makedev(major, minor);
    Ok(mknodat(CWD, path, kind, Mode::from_raw_mode(mode), device)?)
}

fn file(path: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    fs::File::create_new(path)?.write_all(content)?;
    rustix::fs::chmod(path, Mode::from_raw_mode(mode))?;
    Ok(())
}

/// What to write to a file.
pub fn content(rng: &mut Rng) -> Vec<u8> {
    let length = rng.pick(&[0, 1, 30, 30, 4097, 9000]);
    vec![b'a' + (rng.next() % 26) as u8; length]
}

/// Gives objects of a layer attributes that lead elsewhere.
pub fn decorate(rng: &mut Rng, site: &Site, layer: &Path, all: &[PathBuf], prefix: &str) {
    let mut own = vec![layer.to_owned()];
    objects(layer, &mut own);
    for path in own {
        if rng.percent(35) {
            let (name, value) = attribute::any(rng, site, all);
            attribute::set(&path, &format!("{prefix}{name}"), &value);
            // What makes a metacopy of a file.
            if name == "metacopy" && rng.percent(70) {
                let (name, value) = ("redirect", format!("/{}", rng.pick(NAMES)));
                attribute::set(&path, &format!("{prefix}{name}"), value.as_bytes());
            }
        }
    }
}
