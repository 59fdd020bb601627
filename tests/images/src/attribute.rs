// SPDX-License-Identifier: GPL-2.0

//! Attributes that overlays give a meaning to, right ones and others.

use std::path::{Path, PathBuf};

use rustix::fs::XattrFlags;

use crate::handle;
use crate::rng::Rng;
use crate::site::{Site, NAMES};

const NAMESPACES: &[&str] = &["trusted.overlay.", "user.overlay."];

/// The prefix of a mount's attributes.
pub fn prefix(userxattr: bool) -> &'static str {
    NAMESPACES[usize::from(userxattr)]
}

/// Whether an attribute is one of those of an overlay.
pub fn is_own(name: &str) -> bool {
    NAMESPACES.iter().any(|prefix| name.starts_with(prefix))
}

/// A name after the prefix, and a value. Of objects that handles may mean there are some.
pub fn any(rng: &mut Rng, site: &Site, objects: &[PathBuf]) -> (String, Vec<u8>) {
    let (name, mut value) = right(rng, site, objects);
    if rng.percent(30) {
        for _ in 0..1 + rng.below(3) {
            edit(rng, &mut value);
        }
    }
    let name = match rng.below(20) {
        // Of an overlay within, and of overlays within that.
        0 => format!("overlay.{name}"),
        1 => format!("overlay.overlay.{name}"),
        2 => rng
            .pick(&["overlay", "overlay.", "unknown", "opaque."])
            .to_owned(),
        _ => name.to_owned(),
    };
    (name, value)
}

fn right(rng: &mut Rng, site: &Site, objects: &[PathBuf]) -> (&'static str, Vec<u8>) {
    match rng.below(22) {
        0..=2 => ("opaque", rng.pick(&["y", "x", "x", "n", ""]).into()),
        3..=6 => ("redirect", redirect(rng, objects)),
        7..=9 => ("origin", any_handle(rng, site, objects)),
        10 => ("upper", any_handle(rng, site, objects)),
        11..=14 => ("metacopy", metacopy(rng)),
        15 | 16 => ("nlink", rng.pick(NLINKS).into()),
        17 => ("impure", rng.pick(&["y", ""]).into()),
        18 => ("uuid", vec![rng.next() as u8; rng.pick(&[16, 16, 15, 0])]),
        19 => ("protattr", rng.pick(&["i", "a", "ia", "aiz", ""]).into()),
        _ => ("whiteout", rng.pick(&["y", ""]).into()),
    }
}

const NLINKS: &[&str] = &[
    "U+0",
    "U+1",
    "U-1",
    "L-1",
    "L+1",
    "L-5",
    "U+4000000000",
    "U+99999999999999999999",
    "L-2147483648",
    "U",
    "X+1",
    "U+",
    "U+1 ",
];

const REDIRECTS: &[&[u8]] = &[
    b"/",
    b"//",
    b"",
    b".",
    b"..",
    b"/.",
    b"/..",
    b"/a/..",
    b"/../outside",
    b"/../outside/a",
    b"/../../outside",
    b"../outside",
    b"/a/../../outside/a",
    b"/outside",
    b"//a",
    b"/a/",
    b"/a//b",
    b"a/b",
    b"/./a",
    b"/\xff\xfe",
    b"\xc3",
    b"a\0b",
    b"/a\0",
    b"/a/b/c/d/a/b/c/d/a/b/c/d/a/b/c/d/a/b/c/d/a/b/c/d/a/b/c/d",
];

fn redirect(rng: &mut Rng, objects: &[PathBuf]) -> Vec<u8> {
    match rng.below(10) {
        0..=2 => format!("/{}", rng.pick(NAMES)).into_bytes(),
        3 => format!("/{}/{}", rng.pick(NAMES), rng.pick(NAMES)).into_bytes(),
        4 | 5 => rng.pick(NAMES).into(),
        6 => {
            // The path of something, in its layer or not.
            let path = any_object(rng, objects);
            let from = rng.below(path.components().count());
            let rest: PathBuf = path.components().skip(from).collect();
            let path = Path::new("/").join(rest);
            path.into_os_string().into_encoded_bytes()
        }
        7 => match rng.below(4) {
            0 => vec![b'n'; 256],
            1 => [b"/".to_vec(), vec![b'n'; 255]].concat(),
            2 => b"/a".repeat(127 + rng.below(3)),
            _ => b"/a".repeat(2048),
        },
        _ => rng.pick(REDIRECTS).to_vec(),
    }
}

fn metacopy(rng: &mut Rng) -> Vec<u8> {
    match rng.below(6) {
        0..=2 => Vec::new(),
        3 => vec![0, 4, 0, 0],
        // SHA-256 and SHA-512, as fsverity numbers them.
        4 => [vec![0, 36, 0, 1], vec![0x5a; 32]].concat(),
        _ => [vec![0, 68, 0, 2], vec![0x5a; 64]].concat(),
    }
}

/// Any of some objects.
pub fn any_object(rng: &mut Rng, objects: &[PathBuf]) -> PathBuf {
    match objects.len() {
        0 => PathBuf::from("a"),
        count => objects[rng.below(count)].clone(),
    }
}

/// The handle of something: in a layer, beside layers, or gone.
pub fn any_handle(rng: &mut Rng, site: &Site, objects: &[PathBuf]) -> Vec<u8> {
    let ground = if rng.percent(80) { &site.a } else { &site.b };
    let is_upper = rng.percent(30);
    let gone = ground.join("gone");
    let path = match rng.below(10) {
        0 => ground.join("outside/secret-file"),
        1 => ground.join("outside/a"),
        2 => ground.clone(),
        3 => {
            let _ = std::fs::write(&gone, "");
            gone.clone()
        }
        _ => any_object(rng, objects),
    };
    let other = if rng.percent(5) {
        &site.b
    } else {
        site.filesystem(&path)
    };
    let mut value = handle::stored(&path, other, is_upper).unwrap_or_default();
    let _ = std::fs::remove_file(gone);
    if rng.percent(5) && value.len() > 21 {
        // No UUID.
        value[5..21].fill(0);
    }
    value
}

/// Changes some bytes.
pub fn edit(rng: &mut Rng, value: &mut Vec<u8>) {
    let at = rng.below(value.len() + 1);
    match rng.below(8) {
        0 => value.truncate(at),
        1 => value.insert(at, rng.next() as u8),
        2 => value.extend(std::iter::repeat_n(rng.pick(b"/a\0y\xff"), rng.below(300))),
        3 => {
            let piece = value[at..].to_vec();
            value.extend(piece);
        }
        // The fields of a header are where the first bytes are.
        4 | 5 => {
            if let Some(byte) = value.iter_mut().take(5).nth(at % 5) {
                *byte = rng.pick(&[0, 1, 2, 4, 0x80, 0xfb, 0xff, *byte + (*byte < 255) as u8]);
            }
        }
        _ => {
            if let Some(byte) = value.get_mut(at) {
                *byte ^= 1 << rng.below(8);
            }
        }
    }
}

/// Sets an attribute, if the filesystem lets it be set.
pub fn set(path: &Path, name: &str, value: &[u8]) {
    let _ = rustix::fs::lsetxattr(path, name, value, XattrFlags::empty());
}

/// Names of an object's attributes.
pub fn names(path: &Path) -> Result<Vec<String>, rustix::io::Errno> {
    let mut list = vec![0; 16384];
    let length = rustix::fs::llistxattr(path, list.as_mut_slice())?;
    let mut names: Vec<_> = list[..length]
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    names.sort();
    Ok(names)
}

/// The value of an attribute.
pub fn value(path: &Path, name: &str) -> Result<Vec<u8>, rustix::io::Errno> {
    let mut value = vec![0; 65536];
    let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice())?;
    value.truncate(length);
    Ok(value)
}
