// SPDX-License-Identifier: GPL-2.0

//! File handles.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::operation::Operation;
use crate::scene::Scene;

const OPTIONS: &str = ",redirect_dir=on,index=on,nfs_export=on";

pub fn all() -> Vec<Operation> {
    vec![
        Operation {
            options: OPTIONS,
            ..Operation::new("name_to_handle_at", |scene| encode(scene, "alone/d"))
        },
        Operation {
            options: OPTIONS,
            ..Operation::new("name_to_handle_at of a directory", |scene| {
                encode(scene, "dir")
            })
        },
        Operation {
            options: OPTIONS,
            prepare: |scene| encode_and_forget(scene, "alone/sub/e"),
            ..Operation::new("open_by_handle_at", open)
        },
        Operation {
            options: OPTIONS,
            prepare: |scene| encode_and_forget(scene, "alone/sub"),
            ..Operation::new("open_by_handle_at of a directory", open)
        },
        Operation {
            options: OPTIONS,
            prepare: |scene| {
                rustix::fs::rename(scene.at("alone"), scene.at("moved"))?;
                encode_and_forget(scene, "moved")
            },
            ..Operation::new("open_by_handle_at of what was renamed", open)
        },
    ]
}

/// `struct file_handle` with room.
#[repr(C)]
struct Handle {
    length: u32,
    kind: i32,
    data: [u8; 128],
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

fn encode(scene: &mut Scene, name: &str) -> Result<(), Errno> {
    let mut handle = Handle {
        length: 128,
        kind: 0,
        data: [0; 128],
    };
    let mut mount = 0_i32;
    let path = scene.at(name);
    let path = CString::new(path.to_string_lossy().as_bytes()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the kernel reads the path, and writes what the handle has room for, and the
    // mount's number.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            libc::AT_FDCWD,
            path.as_ptr(),
            &raw mut handle,
            &raw mut mount,
            0,
        )
    };
    if result != 0 {
        return Err(last_error());
    }
    scene.bytes = handle.kind.to_ne_bytes().to_vec();
    scene.bytes.extend(&handle.data[..handle.length as usize]);
    Ok(())
}

/// The handle is all that is known of the object then.
fn encode_and_forget(scene: &mut Scene, name: &str) -> Result<(), Errno> {
    encode(scene, name)?;
    scene.unmount()?;
    scene.mount()?;
    scene.open("", OFlags::RDONLY)
}

fn open(scene: &mut Scene) -> Result<(), Errno> {
    let (kind, data) = scene.bytes.split_first_chunk().ok_or(Errno::INVAL)?;
    let mut handle = Handle {
        length: data.len() as u32,
        kind: i32::from_ne_bytes(*kind),
        data: [0; 128],
    };
    handle.data[..data.len()].copy_from_slice(data);
    // SAFETY: the kernel reads the handle.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            scene.files[0].as_raw_fd(),
            &raw mut handle,
            libc::O_RDONLY | libc::O_CLOEXEC,
        )
    };
    if fd < 0 {
        return Err(last_error());
    }
    // SAFETY: a new descriptor, which nobody else owns.
    scene.files.push(unsafe { File::from_raw_fd(fd as i32) });
    Ok(())
}
