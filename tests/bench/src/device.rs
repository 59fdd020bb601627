// SPDX-License-Identifier: GPL-2.0

//! The device that a directory is on.

use crate::Result;
use rustix::fs::{major, minor, stat};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A block device.
pub struct Device {
    statistics: PathBuf,
}

impl Device {
    /// That of a directory; fails if its filesystem has none.
    pub fn of(dir: &Path) -> Result<Self> {
        let dev = stat(dir)?.st_dev;
        let statistics = format!("/sys/dev/block/{}:{}/stat", major(dev), minor(dev)).into();
        match fs::exists(&statistics)? {
            true => Ok(Self { statistics }),
            false => Err(format!("{} is on no device", dir.display()).into()),
        }
    }

    /// How many bytes were written to it.
    pub fn written(&self) -> Result<u64> {
        // See Documentation/ABI/stable/sysfs-block of the kernel.
        let text = fs::read_to_string(&self.statistics)?;
        let sectors = text.split_whitespace().nth(6).ok_or("no statistics")?;
        Ok(sectors.parse::<u64>()? * 512)
    }
}
