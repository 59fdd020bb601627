// SPDX-License-Identifier: GPL-2.0

//! File handles: `name_to_handle_at` and `open_by_handle_at`.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::support::dir::Dir;
use crate::support::must::must;

/// The longest, in bytes.
const ROOM: usize = 128;

/// The handle need not be one that can be opened.
pub const FID: i32 = 0x200;
/// The handle leads to the name, too.
pub const CONNECTABLE: i32 = 0x2;

/// What tells an inode within a filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle {
    /// What the bytes mean to the filesystem.
    pub kind: i32,
    /// The bytes.
    pub bytes: Vec<u8>,
}

#[repr(C)]
struct Raw {
    bytes: u32,
    kind: i32,
    data: [u8; ROOM],
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).expect("errno")
}

/// The handle of what is at `path`, of a symbolic link itself.
pub fn of(path: &Path, flags: i32) -> Result<Handle, Errno> {
    let mut raw = Raw {
        bytes: ROOM as u32,
        kind: 0,
        data: [0; ROOM],
    };
    let mut mount = 0_i32;
    let path = CString::new(path.to_string_lossy().as_bytes()).expect("path");
    // SAFETY: the kernel reads the path, and writes no more than `bytes` bytes
    // of data and the mount's id.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            path.as_ptr(),
            &raw mut raw,
            &raw mut mount,
            flags,
        )
    };
    if result != 0 {
        return Err(last_error());
    }
    Ok(Handle {
        kind: raw.kind,
        bytes: raw.data[..raw.bytes as usize].to_vec(),
    })
}

/// The handle of what is called `name` in a mounted filesystem.
#[track_caller]
pub fn get(m: &Dir, name: &str) -> Handle {
    must(format_args!("handle of {m}/{name}"), of(&m.at(name), 0))
}

/// Opens what a handle means in the filesystem mounted at `m`.
pub fn open(m: &Dir, handle: &Handle, flags: OFlags) -> Result<File, Errno> {
    let mount = m.open_read("");
    let mut raw = Raw {
        bytes: handle.bytes.len() as u32,
        kind: handle.kind,
        data: [0; ROOM],
    };
    raw.data[..handle.bytes.len()].copy_from_slice(&handle.bytes);
    // SAFETY: the kernel reads `bytes` bytes of data.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            mount.as_raw_fd(),
            &raw mut raw,
            (flags | OFlags::CLOEXEC).bits(),
        )
    };
    if fd < 0 {
        return Err(last_error());
    }
    // SAFETY: a new descriptor, which nobody else owns.
    Ok(unsafe { File::from_raw_fd(fd as i32) })
}
