// SPDX-License-Identifier: GPL-2.0

//! A disk that fails when it is told to: a loop device, whose requests the
//! kernel fails (`CONFIG_FAIL_MAKE_REQUEST`).

use std::fs::{write, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;

use rustix::mount::MountFlags;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;

const FAULTS: &str = "/sys/kernel/debug/fail_make_request";
/// A filesystem on a loop device.
pub struct Disk {
    image: Dir,
    number: u32,
    kind: &'static str,
    /// Where it is mounted.
    pub dir: Dir,
}

impl Disk {
    /// Makes a filesystem of this type and mounts it.
    #[track_caller]
    pub fn new(bed: &Bed, kind: &'static str, size: u64) -> Self {
        Self::with(bed, kind, size, &[])
    }

    /// As above, with more arguments for `mkfs`.
    #[track_caller]
    pub fn with(bed: &Bed, kind: &'static str, size: u64, arguments: &[&str]) -> Self {
        let image = bed.aside("disk");
        must("truncate", image.create("image", 0o600).set_len(size));
        let made = Command::new(format!("mkfs.{kind}"))
            .args(["-q", if kind == "ext4" { "-F" } else { "-f" }])
            .args(arguments)
            .arg(image.at("image"))
            .output();
        let made = must(format_args!("run mkfs.{kind}"), made);
        assert!(
            made.status.success(),
            "mkfs.{kind}: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mut disk = Self {
            image,
            number: 0,
            kind,
            dir: bed.aside("on-disk"),
        };
        disk.mount(bed);
        disk
    }

    /// Attaches the image to a loop device and mounts that.
    #[track_caller]
    fn mount(&mut self, bed: &Bed) {
        let image = self.image.open_rw("image");
        let (number, device) = must("attach to a loop device", attach(&image));
        let path = format!("/dev/loop{number}");
        must(
            format_args!("mount {}", self.kind),
            rustix::mount::mount(
                path.as_str(),
                self.dir.path(),
                self.kind,
                MountFlags::empty(),
                None,
            ),
        );
        // The mount holds it from now on.
        drop(device);
        self.number = number;
        bed.mounted(&self.dir);
    }

    /// Fails all requests, as soon as this many bytes were read or written.
    #[track_caller]
    pub fn fail(&self, after: usize) -> Failing {
        let settings = [
            ("probability", "100"),
            ("interval", "1"),
            ("verbose", "0"),
            ("task-filter", "0"),
            ("space", &after.to_string()),
            ("times", "-1"),
        ];
        assert!(
            Path::new(FAULTS).is_dir(),
            "no {FAULTS}: the kernel lacks CONFIG_FAIL_MAKE_REQUEST and \
             CONFIG_FAULT_INJECTION_DEBUG_FS, or debugfs is not mounted"
        );
        for (name, value) in settings {
            must(name, write(format!("{FAULTS}/{name}"), value));
        }
        let switch = format!("/sys/block/loop{}/make-it-fail", self.number);
        let failing = Failing(switch);
        must("make-it-fail", write(&failing.0, "1"));
        failing
    }

    /// Mounts the filesystem again, and its journal is replayed.
    #[track_caller]
    pub fn remount(&mut self, bed: &Bed) {
        bed.umount();
        self.mount(bed);
    }
}

/// The device works again when this is gone.
pub struct Failing(String);

impl Drop for Failing {
    fn drop(&mut self) {
        let _ = write(&self.0, "0");
        let _ = write(format!("{FAULTS}/probability"), "0");
    }
}

/// Attaches a file to a free loop device, which is free again when nobody uses
/// it any more.
fn attach(image: &File) -> io::Result<(u32, File)> {
    const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4c82;
    const LOOP_CONFIGURE: libc::Ioctl = 0x4c0a;
    const LO_FLAGS_AUTOCLEAR: u32 = 4;

    /// `struct loop_config` of `linux/loop.h`.
    #[repr(C)]
    struct Config {
        fd: u32,
        block_size: u32,
        numbers: [u64; 5],
        number: u32,
        encryption: [u32; 2],
        flags: u32,
        names: [u8; 64 + 64 + 32],
        init: [u64; 2],
        reserved: [u64; 8],
    }

    let open = |path: &str| OpenOptions::new().read(true).write(true).open(path);
    let control = open("/dev/loop-control")?;
    loop {
        // SAFETY: the call takes no memory.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
        let number = u32::try_from(number).map_err(|_| io::Error::last_os_error())?;
        let device = open(&format!("/dev/loop{number}"))?;
        let config = Config {
            fd: image.as_raw_fd() as u32,
            block_size: 0,
            numbers: [0; 5],
            number: 0,
            encryption: [0; 2],
            flags: LO_FLAGS_AUTOCLEAR,
            names: [0; 160],
            init: [0; 2],
            reserved: [0; 8],
        };
        // SAFETY: the kernel reads `config`.
        if unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) } == 0 {
            return Ok((number, device));
        }
        let error = io::Error::last_os_error();
        if error.kind() != ErrorKind::ResourceBusy {
            return Err(error);
        }
    }
}
