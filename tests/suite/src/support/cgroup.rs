// SPDX-License-Identifier: GPL-2.0

//! Control groups that count and limit a test's memory.

use std::fs::{create_dir, read_to_string, remove_dir, write};
use std::io;
use std::path::PathBuf;

use crate::support::must::must;

const ROOT: &str = "/sys/fs/cgroup";

/// A group that this process is in, until this is dropped.
pub struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// Enters a new group.
    #[track_caller]
    pub fn enter() -> Self {
        let root = PathBuf::from(ROOT);
        must(
            "enable the memory controller",
            write(root.join("cgroup.subtree_control"), "+memory"),
        );
        let this = Self(root.join(format!("rovl-{}", std::process::id())));
        must("mkdir", create_dir(&this.0));
        must("enter", write(this.0.join("cgroup.procs"), "0"));
        this
    }

    /// Goes back to the root group.
    #[track_caller]
    pub fn leave(&self) {
        let root = PathBuf::from(ROOT);
        must("leave", write(root.join("cgroup.procs"), "0"));
    }

    /// Removes the group that nobody is in.
    pub fn remove(&self) -> io::Result<()> {
        remove_dir(&self.0)
    }

    /// A value of `memory.stat`, which is in bytes for what names memory.
    #[track_caller]
    pub fn stat(&self, key: &str) -> usize {
        must("read", read_to_string(self.0.join("memory.stat")))
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
            .and_then(|value| value.parse().ok())
            .unwrap_or_else(|| panic!("no {key} in memory.stat"))
    }

    /// All memory that is charged to the group, in bytes.
    #[track_caller]
    pub fn current(&self) -> usize {
        let text = must("read", read_to_string(self.0.join("memory.current")));
        text.trim()
            .parse()
            .unwrap_or_else(|_| panic!("memory.current is {text}"))
    }

    /// Has the kernel take back that much memory, or as much as it can.
    pub fn reclaim(&self, bytes: usize) {
        // It fails if it took back less.
        let _ = write(self.0.join("memory.reclaim"), bytes.to_string());
    }

    /// Limits the group to so many bytes.
    #[track_caller]
    pub fn limit(&self, bytes: usize) {
        must("limit", write(self.0.join("memory.max"), bytes.to_string()));
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = write(PathBuf::from(ROOT).join("cgroup.procs"), "0");
        let _ = self.remove();
    }
}
