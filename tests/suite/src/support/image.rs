// SPDX-License-Identifier: GPL-2.0

//! The fixed tree: a little of everything that a lower layer holds.
//!
//! Read-only images are packed from it before the tests run; on writable
//! filesystems the tests build it themselves.

use rustix::fs::FileType;

use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::exec;

/// How many files the directory `many` has.
pub const MANY: usize = 300;

/// The content of the file `large`, which ends in the middle of a page.
pub fn large() -> Vec<u8> {
    pattern(7, (1 << 20) + 3)
}

/// A capability attribute: `cap_net_raw` permitted and effective.
pub const CAPABILITY: &[u8] = &[
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// Builds the tree in an existing directory.
#[track_caller]
pub fn make(root: &Dir) {
    root.chmod("", 0o755);
    root.file("small", "some words\n");
    root.file("empty", "");
    root.file("large", large());
    root.file("name with spaces", "spaces\n");
    root.file("n\u{e4}me", "not ASCII\n");

    root.file_mode("secret", "for root only\n", 0o600);
    root.file("owned", "by a user\n");
    root.chown("owned", 1000, 1001);
    root.file("set-id", "not a program\n");
    root.chown("set-id", 1000, 1001);
    root.chmod("set-id", 0o6755);
    root.file("capable", "has a capability\n");
    root.set_xattr("capable", "security.capability", CAPABILITY);
    root.file("coloured", "has attributes\n");
    root.set_xattr("coloured", "user.colour", b"red");

    root.symlink("small", "link");
    root.symlink("nowhere", "dangling");
    root.file("twin", "two names\n");
    root.link("twin", "other-twin");
    root.node("fifo", FileType::Fifo, 0o644, (0, 0));
    root.node("null", FileType::CharacterDevice, 0o666, (1, 3));

    let dir = root.sub("dir");
    dir.file("a", "a\n");
    dir.file("b", "b\n");
    dir.file("c", "c\n");
    dir.sub("deep")
        .sub("deeper")
        .file("bottom", "at the bottom\n");
    root.sub("bare");
    root.sub_mode("sticky", 0o1777).file("root's", "stay\n");
    let many = root.sub("many");
    for number in 0..MANY {
        many.file(&format!("file-{number:03}"), format!("{number}\n"));
    }
    exec::install(&root.sub("bin"), "program");

    for name in ["small", "large", "link", "fifo", "dir/a"] {
        root.set_times(name, (1_000_000_001, 0), (1_000_000_002, 0));
    }
}
