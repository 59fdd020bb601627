// SPDX-License-Identifier: GPL-2.0

//! The block device that a filesystem is on.

use std::fs;
use std::path::{Path, PathBuf};

use super::must::must;

/// A block device's directory in sysfs.
pub struct BlockDevice(PathBuf);

impl BlockDevice {
    /// That of the filesystem with `path`, found by what it was mounted from: `st_dev` of
    /// btrfs is no device.
    #[track_caller]
    pub fn of(path: &Path) -> Self {
        let mounts = must("read", fs::read_to_string("/proc/mounts"));
        let device = mounts
            .lines()
            .filter_map(|line| {
                let mut fields = line.split(' ');
                Some((fields.next()?, fields.next()?))
            })
            .filter(|(_, at)| path.starts_with(at))
            .max_by_key(|(_, at)| at.len())
            .and_then(|(device, _)| device.strip_prefix("/dev/"))
            .expect("a filesystem on a device");
        Self(Path::new("/sys/class/block").join(device))
    }

    /// How often it was told to write its cache to the medium; see
    /// `Documentation/block/stat.rst` of the kernel.
    #[track_caller]
    pub fn flushes(&self) -> u64 {
        let stat = must("read", fs::read_to_string(self.0.join("stat")));
        let field = stat.split_whitespace().nth(15).expect("16 numbers");
        field.parse().expect("a number")
    }
}
