// SPDX-License-Identifier: GPL-2.0

//! File handles, and how layers store them.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// The longest, in bytes.
const ROOM: usize = 128;

/// What tells an inode within a filesystem.
#[derive(Clone)]
pub struct Handle {
    kind: i32,
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
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// The handle of what is at `path`, of a symbolic link itself.
pub fn of(path: &Path) -> Result<Handle, Errno> {
    let mut raw = Raw {
        bytes: ROOM as u32,
        kind: 0,
        data: [0; ROOM],
    };
    let mut mount = 0_i32;
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the kernel reads the path, and writes no more than `bytes` bytes
    // of data and the mount's id.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            path.as_ptr(),
            &raw mut raw,
            &raw mut mount,
            0,
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

/// Opens what a handle means in the filesystem that a file is in.
pub fn open(mount: BorrowedFd<'_>, handle: &Handle, flags: OFlags) -> Result<OwnedFd, Errno> {
    let length = handle.bytes.len().min(ROOM);
    let mut raw = Raw {
        bytes: length as u32,
        kind: handle.kind,
        data: [0; ROOM],
    };
    raw.data[..length].copy_from_slice(&handle.bytes[..length]);
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
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// `FS_IOC_GETFSUUID`.
const GET_UUID: libc::Ioctl = 0x8011_1500_u32 as libc::Ioctl;

/// The UUID of the filesystem that something is in.
fn uuid(path: &Path) -> Option<[u8; 16]> {
    let file = File::open(path).ok()?;
    let mut answer = [0_u8; 17];
    // SAFETY: the kernel writes 17 bytes: a length, and a UUID.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), GET_UUID, &raw mut answer) };
    (result == 0).then(|| answer[1..].try_into().ok()).flatten()
}

/// The handle as an attribute of a layer has it: version, magic, length, flags, type, UUID
/// of the filesystem, and what the filesystem says.
pub fn stored(path: &Path, filesystem: &Path, is_upper: bool) -> Option<Vec<u8>> {
    let handle = of(path).ok()?;
    let mut bytes = vec![
        0,
        0xfb,
        (21 + handle.bytes.len()) as u8,
        if is_upper { 4 } else { 0 },
        handle.kind as u8,
    ];
    bytes.extend_from_slice(&uuid(filesystem)?);
    bytes.extend_from_slice(&handle.bytes);
    Some(bytes)
}

/// What `fstat` says of a descriptor.
pub fn stat(fd: &OwnedFd) -> Result<rustix::fs::Stat, Errno> {
    rustix::fs::fstat(fd.as_fd())
}
