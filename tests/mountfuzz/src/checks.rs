// SPDX-License-Identifier: GPL-2.0

//! Which answers are right.

use rustix::io::Errno;

/// Whether a call of the mount interface may fail so. What is not here would be the
/// kernel's own business, as ERESTARTSYS, or a sign that something was not checked, as EFAULT.
pub fn may_fail(errno: Errno) -> bool {
    const ANSWERS: &[Errno] = &[
        Errno::ACCESS,
        Errno::BADF,
        Errno::BUSY,
        Errno::INVAL,
        Errno::ISDIR,
        Errno::LOOP,
        Errno::NAMETOOLONG,
        Errno::NODATA,
        Errno::NODEV,
        Errno::NOENT,
        Errno::NOTDIR,
        Errno::OPNOTSUPP,
        Errno::PERM,
        Errno::ROFS,
        Errno::STALE,
    ];
    ANSWERS.contains(&errno)
}

/// Whether the filesystem has to say why: not of what the VFS refuses by itself.
pub fn has_words(errno: Errno) -> bool {
    !matches!(
        errno,
        Errno::BUSY | Errno::BADF | Errno::OPNOTSUPP | Errno::NODEV
    )
}
