// SPDX-License-Identifier: GPL-2.0

//! Marks in the log, by a message to the device-mapper target: starting `dmsetup` for
//! each would take longer than what is marked.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// `struct dm_ioctl` of `<linux/dm-ioctl.h>`, and a message after it.
#[repr(C)]
struct Message {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    dev: u64,
    name: [u8; 128],
    uuid: [u8; 129],
    data: [u8; 7],
    // `struct dm_target_msg`
    sector: u64,
    message: [u8; 64],
}

/// `DM_DEV_SUSPEND` and `DM_TARGET_MSG`.
const DEV_SUSPEND: libc::c_ulong = command(6);
const TARGET_MSG: libc::c_ulong = command(14);
/// Flags: to suspend and not to resume, and to leave the filesystem alone.
const SUSPEND: u32 = 1 << 1;
const SKIP_LOCKFS: u32 = 1 << 10;

const fn command(number: libc::c_ulong) -> libc::c_ulong {
    let (read_write, size) = (3, std::mem::offset_of!(Message, sector) as libc::c_ulong);
    read_write << 30 | size << 16 | 0xfd << 8 | number
}

/// A device whose writes are logged.
pub struct Marks {
    control: File,
    name: [u8; 128],
}

impl Marks {
    /// By the name of the device.
    pub fn new(device: &str) -> io::Result<Self> {
        let mut name = [0; 128];
        name[..device.len()].copy_from_slice(device.as_bytes());
        let control = File::options()
            .read(true)
            .write(true)
            .open("/dev/mapper/control")?;
        Ok(Self { control, name })
    }

    /// Says that so many operations are complete.
    pub fn completed(&self, number: usize) -> io::Result<()> {
        self.ioctl(TARGET_MSG, 0, &format!("mark {number}"))
    }

    /// Waits for all writes and flushes that were begun, before a mark that something is
    /// durable.
    ///
    /// A write is in the log when the first flush that was begun after it is complete. That
    /// need not be the one that the operation has waited for: somebody else's may still be on
    /// its way.
    pub fn drain(&self) -> io::Result<()> {
        self.ioctl(DEV_SUSPEND, SUSPEND | SKIP_LOCKFS, "")?;
        self.ioctl(DEV_SUSPEND, 0, "")
    }

    fn ioctl(&self, request: libc::c_ulong, flags: u32, text: &str) -> io::Result<()> {
        let mut message = Message {
            version: [4, 0, 0],
            data_size: size_of::<Message>() as u32,
            data_start: std::mem::offset_of!(Message, sector) as u32,
            target_count: 0,
            open_count: 0,
            flags,
            event_nr: 0,
            padding: 0,
            dev: 0,
            name: self.name,
            uuid: [0; 129],
            data: [0; 7],
            sector: 0,
            message: [0; 64],
        };
        message.message[..text.len()].copy_from_slice(text.as_bytes());
        // SAFETY: The message is as long as it says, and lives as long as the call.
        match unsafe { libc::ioctl(self.control.as_raw_fd(), request, &mut message) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
