// SPDX-License-Identifier: GPL-2.0

//! A block device that is a file, by `<linux/loop.h>`: starting `mount` for each crash
//! takes as long as all else that is done for it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

const SET_FD: libc::c_ulong = 0x4c00;
const CLR_FD: libc::c_ulong = 0x4c01;
const CTL_GET_FREE: libc::c_ulong = 0x4c82;

/// The device, until this is dropped and nobody has it mounted.
pub struct Loop {
    device: File,
    pub path: String,
}

impl Loop {
    pub fn new(file: &str) -> io::Result<Self> {
        let open = |path: &str| File::options().read(true).write(true).open(path);
        let number = ioctl(&open("/dev/loop-control")?, CTL_GET_FREE, 0)?;
        let path = format!("/dev/loop{number}");
        let device = open(&path)?;
        ioctl(&device, SET_FD, open(file)?.as_raw_fd())?;
        Ok(Self { device, path })
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // It fails for a device that has gone, which is what is wanted.
        let _ = ioctl(&self.device, CLR_FD, 0);
    }
}

fn ioctl(file: &File, request: libc::c_ulong, argument: libc::c_int) -> io::Result<libc::c_int> {
    // SAFETY: The argument of these requests is a number.
    match unsafe { libc::ioctl(file.as_raw_fd(), request, argument) } {
        -1 => Err(io::Error::last_os_error()),
        number => Ok(number),
    }
}
