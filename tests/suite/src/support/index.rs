// SPDX-License-Identifier: GPL-2.0

//! The index: a directory beside `work` with an entry for what was copied up.

use std::collections::BTreeMap;

use crate::harness::bed::Bed;
pub use crate::support::attribute::{NLINK, ORIGIN, UPPER};
use crate::support::dir::Dir;
use crate::support::must::must;

/// The option.
pub const ON: &str = "index=on";
/// The option that has all that is copied up indexed, and found by handles.
pub const EXPORT: &str = "nfs_export=on";

/// The attributes of an object in a layer: the overlay's own.
pub type Attributes = BTreeMap<String, Vec<u8>>;

/// The directory with the entries.
pub fn dir(bed: &Bed) -> Dir {
    bed.work.join("index")
}

/// The names of the entries.
#[track_caller]
pub fn names(bed: &Bed) -> Vec<String> {
    let mut names = dir(bed).names("");
    // Whiteouts are made here, and one is kept to make others of.
    names.retain(|name| !name.starts_with('#'));
    names
}

/// The one entry.
#[track_caller]
pub fn only(bed: &Bed) -> String {
    let names = names(bed);
    assert_eq!(names.len(), 1, "entries: {names:?}");
    names[0].clone()
}

/// The overlay's own attributes of an object in a layer.
#[track_caller]
pub fn attributes(layer: &Dir, name: &str) -> Attributes {
    let own = |key: &String| key.starts_with("trusted.overlay.");
    let value = |key: String| {
        let value = layer.xattr(name, &key).unwrap_or_default();
        (key, value)
    };
    let names = layer.xattr_names(name);
    names.into_iter().filter(own).map(value).collect()
}

/// The link count of an indexed file as it is kept.
#[track_caller]
pub fn nlink(layer: &Dir, name: &str) -> String {
    let value = layer.xattr(name, NLINK);
    String::from_utf8(value.unwrap_or_default()).expect("text")
}

/// What the name of an entry is for a lower object that `origin` means: the value
/// of the attribute of its copy.
pub fn name_of(origin: &[u8]) -> String {
    origin.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Unmounts and mounts again.
#[track_caller]
pub fn remount(bed: &Bed, options: &str) -> Dir {
    bed.umount();
    bed.mount_with(options)
}

/// Has the kernel forget inodes and names that nobody uses.
#[track_caller]
pub fn drop_caches() {
    rustix::fs::sync();
    must(
        "drop caches",
        std::fs::write("/proc/sys/vm/drop_caches", "3"),
    );
}
