// SPDX-License-Identifier: GPL-2.0

//! A disk whose requests the kernel fails when it is told to.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{major, minor};
use rustix::mount::{mount, unmount, MountFlags, UnmountFlags};

const FAULTS: &str = "/sys/kernel/debug/fail_make_request";
/// More than there are in a round.
const TIMES: u64 = 1_000_000;

/// A filesystem on a disk.
pub struct Disk {
    device: PathBuf,
    kind: &'static str,
    /// Where it is mounted.
    pub dir: PathBuf,
}

impl Disk {
    /// Makes a filesystem and mounts it.
    pub fn new(device: &Path, kind: &'static str, dir: &Path) -> Result<Self, String> {
        let made = Command::new(format!("mkfs.{kind}"))
            .args(["-q", if kind == "ext4" { "-F" } else { "-f" }])
            .arg(device)
            .output()
            .map_err(|error| format!("mkfs.{kind}: {error}"))?;
        if !made.status.success() {
            let why = String::from_utf8_lossy(&made.stderr).into_owned();
            return Err(format!("mkfs.{kind}: {why}"));
        }
        fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let disk = Self {
            device: device.to_owned(),
            kind,
            dir: dir.to_owned(),
        };
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&self) -> Result<(), String> {
        mount(
            &self.device,
            &self.dir,
            self.kind,
            MountFlags::empty(),
            None,
        )
        .map_err(|error| format!("mount {}: {error}", self.kind))
    }

    /// Unmounts it.
    pub fn unmount(&self) -> Result<(), String> {
        unmount(&self.dir, UnmountFlags::empty())
            .map_err(|error| format!("umount {}: {error}", self.kind))
    }

    /// As after a crash: what is not on the disk is gone, and the journal is replayed.
    pub fn mount_again(&self) -> Result<(), String> {
        self.unmount()?;
        self.mount()
    }

    /// Fails every request whose number is a multiple of this, whoever makes it.
    pub fn fail(&self, interval: usize) -> Result<Failing, String> {
        let number = fs::metadata(&self.device)
            .map_err(|error| error.to_string())?
            .rdev();
        let switch = format!(
            "/sys/dev/block/{}:{}/make-it-fail",
            major(number),
            minor(number)
        );
        for (name, value) in [
            ("interval", interval as u64),
            ("verbose", 0),
            ("task-filter", 0),
            ("space", 0),
            ("times", TIMES),
            ("probability", 100),
        ] {
            write(&format!("{FAULTS}/{name}"), &value.to_string())?;
        }
        write(&switch, "1")?;
        Ok(Failing(switch))
    }
}

fn write(path: &str, value: &str) -> Result<(), String> {
    fs::write(path, value).map_err(|error| format!("{path}: {error}"))
}

/// Requests fail while this lives.
pub struct Failing(String);

impl Failing {
    /// How many have failed.
    pub fn count(&self) -> Result<u64, String> {
        let path = format!("{FAULTS}/times");
        let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let left: u64 = text.trim().parse().map_err(|_| format!("{path}: {text}"))?;
        Ok(TIMES - left)
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        let _ = write(&self.0, "0");
        let _ = write(&format!("{FAULTS}/probability"), "0");
    }
}
