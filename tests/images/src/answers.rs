// SPDX-License-Identifier: GPL-2.0

//! Which errors are right.

use rustix::io::Errno;

/// How the mount of a layer that is not as it should be may fail.
const MOUNT: &[Errno] = &[
    Errno::ACCESS,
    Errno::BUSY,
    Errno::EXIST,
    Errno::INVAL,
    Errno::IO,
    Errno::LOOP,
    Errno::NAMETOOLONG,
    Errno::NODATA,
    Errno::NOENT,
    Errno::NOTDIR,
    Errno::NOTEMPTY,
    Errno::OPNOTSUPP,
    Errno::PERM,
    Errno::ROFS,
    Errno::STALE,
    Errno::XDEV,
];

/// How looking at what is in it may fail: it is not there, it is not as it should be, or
/// nothing can be said about it.
const LOOK: &[Errno] = &[
    Errno::INVAL,
    Errno::IO,
    Errno::LOOP,
    Errno::NAMETOOLONG,
    Errno::NODATA,
    Errno::NOENT,
    Errno::NOTDIR,
    Errno::OPNOTSUPP,
    Errno::OVERFLOW,
    Errno::PERM,
    Errno::STALE,
];

/// How a change may fail, besides.
const CHANGE: &[Errno] = &[
    Errno::ACCESS,
    Errno::BUSY,
    Errno::EXIST,
    Errno::ISDIR,
    Errno::MLINK,
    Errno::NOSPC,
    Errno::NOTEMPTY,
    Errno::NXIO,
    Errno::ROFS,
    Errno::XDEV,
];

/// Whether a mount may fail so.
pub fn of_mount(errno: Errno) -> bool {
    MOUNT.contains(&errno)
}

/// Whether looking may fail so.
pub fn of_look(errno: Errno) -> bool {
    LOOK.contains(&errno)
}

/// Whether a change may fail so.
pub fn of_change(errno: Errno) -> bool {
    LOOK.contains(&errno) || CHANGE.contains(&errno)
}
