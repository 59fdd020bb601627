// SPDX-License-Identifier: GPL-2.0

//! `file_getattr`, `file_setattr` and the ioctls of the same attributes.

use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;

use crate::support::dir::Dir;
use crate::support::must::must;

/// Never dumped, a flag that filesystems store and nothing acts upon.
pub const XFLAG_NODUMP: u64 = 0x80;
/// No access times.
pub const XFLAG_NOATIME: u64 = 0x40;
/// Written at once.
pub const XFLAG_SYNC: u64 = 0x20;
/// New objects in the directory get its project.
pub const XFLAG_PROJINHERIT: u64 = 0x200;

const SYS_FILE_GETATTR: libc::c_long = 468;
const SYS_FILE_SETATTR: libc::c_long = 469;

/// `struct file_attr`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileAttr {
    /// `FS_XFLAG_*`.
    pub xflags: u64,
    /// Extent size hint in bytes.
    pub extent_size: u32,
    /// How many extents there are.
    pub extents: u32,
    /// The project.
    pub project: u32,
    /// Extent size hint of copy-on-write.
    pub cow_extent_size: u32,
}

fn c_path(dir: &Dir, name: &str) -> std::ffi::CString {
    must(
        "path",
        std::ffi::CString::new(dir.at(name).as_os_str().as_bytes()),
    )
}

fn result(result: libc::c_long) -> Result<(), Errno> {
    if result == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}

/// Asks by `file_getattr`, which opens nothing.
pub fn try_get(dir: &Dir, name: &str) -> Result<FileAttr, Errno> {
    let mut attr = FileAttr::default();
    // SAFETY: the path is a C string, and the structure as large as is said.
    result(unsafe {
        libc::syscall(
            SYS_FILE_GETATTR,
            libc::AT_FDCWD,
            c_path(dir, name).as_ptr(),
            &raw mut attr,
            size_of::<FileAttr>(),
            libc::AT_SYMLINK_NOFOLLOW,
        )
    })?;
    Ok(attr)
}

/// Sets by `file_setattr`, which opens nothing.
pub fn try_set(dir: &Dir, name: &str, attr: &FileAttr) -> Result<(), Errno> {
    // SAFETY: as above.
    result(unsafe {
        libc::syscall(
            SYS_FILE_SETATTR,
            libc::AT_FDCWD,
            c_path(dir, name).as_ptr(),
            attr,
            size_of::<FileAttr>(),
            libc::AT_SYMLINK_NOFOLLOW,
        )
    })
}

/// As [`try_get`].
#[track_caller]
pub fn get(dir: &Dir, name: &str) -> FileAttr {
    must(
        format_args!("file_getattr of {dir}/{name}"),
        try_get(dir, name),
    )
}

/// Changes what `file_getattr` tells.
#[track_caller]
pub fn change(dir: &Dir, name: &str, change: impl FnOnce(&mut FileAttr)) {
    let mut attr = get(dir, name);
    change(&mut attr);
    must(
        format_args!("file_setattr of {dir}/{name}"),
        try_set(dir, name, &attr),
    );
}

/// `struct fsxattr`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extended {
    /// `FS_XFLAG_*`.
    pub xflags: u32,
    /// Extent size hint in bytes.
    pub extent_size: u32,
    /// How many extents there are.
    pub extents: u32,
    /// The project.
    pub project: u32,
    /// Extent size hint of copy-on-write.
    pub cow_extent_size: u32,
    padding: [u8; 8],
}

const FS_IOC_FSGETXATTR: libc::Ioctl = 0x801c_581f;
const FS_IOC_FSSETXATTR: libc::Ioctl = 0x401c_5820;

/// `FS_IOC_FSGETXATTR`.
#[track_caller]
pub fn extended(dir: &Dir, name: &str) -> Extended {
    let mut extended = Extended::default();
    let file = dir.open_read(name);
    // SAFETY: the kernel fills the structure.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FSGETXATTR, &raw mut extended) };
    must("FS_IOC_FSGETXATTR", result(done.into()));
    extended
}

/// `FS_IOC_FSSETXATTR`.
pub fn try_set_extended(dir: &Dir, name: &str, extended: &Extended) -> Result<(), Errno> {
    let file = dir.open_read(name);
    // SAFETY: the structure is one.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FSSETXATTR, extended) };
    result(done.into())
}
