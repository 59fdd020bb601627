// SPDX-License-Identifier: GPL-2.0

//! Metacopies in layers: what says that a file is one, and making some.

use crate::harness::bed::Bed;
pub use crate::support::attribute::{METACOPY, REDIRECT};
use crate::support::dir::Dir;

/// The option, and the one that it needs.
pub const ON: &str = "redirect_dir=on,metacopy=on";

/// Makes a metacopy of a file that is `size` bytes long, in a layer.
#[track_caller]
pub fn make(layer: &Dir, name: &str, size: u64, redirect: Option<&str>) {
    let file = layer.create(name, 0o600);
    file.set_len(size).expect("ftruncate");
    drop(file);
    layer.set_xattr(name, METACOPY, b"");
    if let Some(redirect) = redirect {
        layer.set_xattr(name, REDIRECT, redirect.as_bytes());
    }
}

/// Whether a layer has a metacopy under this name.
#[track_caller]
pub fn is_one(layer: &Dir, name: &str) -> bool {
    layer.xattr(name, METACOPY).is_some()
}

/// Fails unless upper has a metacopy without any data.
#[track_caller]
pub fn assert_without_data(bed: &Bed, name: &str) {
    assert_eq!(
        bed.upper.xattr(name, METACOPY).as_deref(),
        Some(&b""[..]),
        "{name} is a metacopy"
    );
    assert_no_blocks(bed, name);
}

/// Fails if upper's file takes space, but for what attributes take.
#[track_caller]
pub fn assert_no_blocks(bed: &Bed, name: &str) {
    let stat = bed.upper.stat(name);
    // An ext4 inode's attributes may take a block outside of it.
    assert!(stat.st_blocks <= 16, "{} blocks", stat.st_blocks);
    assert!(stat.st_size > 16 * 512, "the test needs a larger file");
}

/// Fails unless upper has the file with its data.
#[track_caller]
pub fn assert_with_data(bed: &Bed, name: &str, content: &[u8]) {
    assert!(!is_one(&bed.upper, name), "{name} is no metacopy");
    crate::support::must::same_bytes("in upper", &bed.upper.read(name), content);
}
