// SPDX-License-Identifier: GPL-2.0

//! Operations that C overlayfs, of Linux 7.3, does not bring to a consistent end, or
//! to another one.

/// Names, and what C does.
const DIFFERENT: &[(&str, &str)] = &[
    ("mount", MOUNTED),
    ("mount, redirect_dir=on", MOUNTED),
    ("mount, index=on", MOUNTED),
    ("mount, nfs_export=on", MOUNTED),
    ("mount, metacopy=on", MOUNTED),
    ("mount, xino=on", MOUNTED),
    ("mount, uuid=on", MOUNTED),
    ("mount, userxattr", MOUNTED),
    ("mount of many layers", MOUNTED),
    ("mount of a data-only layer", MOUNTED),
    ("mount by fsconfig", MOUNTED),
    (
        "open a metacopy to write",
        "the data is copied, but times are not put back",
    ),
    ("link, metacopy=on", EXDEV),
    ("rename of a directory", EXDEV),
    ("rename of a merged directory", EXDEV),
    ("rename of a directory of many layers", EXDEV),
    ("rename, metacopy=on", EXDEV),
    ("exchange of directories", EXDEV),
    ("exchange of a directory and a file", EXDEV),
    ("open to write, nfs_export=on", INDEXED),
    ("link, nfs_export=on", INDEXED),
    ("rename, nfs_export=on", INDEXED),
    ("unlink, nfs_export=on", INDEXED),
    ("rmdir, nfs_export=on", INDEXED),
    (
        "rmdir of a merged directory",
        "an empty directory is put in its place first, which touches the one above",
    ),
    ("name_to_handle_at", OVERFLOW),
    ("name_to_handle_at of a directory", OVERFLOW),
    (
        "open_by_handle_at of what was renamed",
        "a directory is taken for one without lower layers",
    ),
];

const MOUNTED: &str = "mounts without what upper is said to lack, which had no memory to show it";
const EXDEV: &str = "every redirect that cannot be set is EXDEV";
const INDEXED: &str = "an entry stays in the index that makes an object unusable";
const OVERFLOW: &str = "every handle that cannot be made is EOVERFLOW";

/// Why an operation is listed, if it is.
pub fn reason(name: &str) -> Option<&'static str> {
    let listed = DIFFERENT.iter().find(|(listed, _)| *listed == name);
    listed.map(|(_, reason)| *reason)
}
