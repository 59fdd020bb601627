// SPDX-License-Identifier: GPL-2.0

//! What stays behind.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// The mounts of this namespace.
pub fn mounts() -> Result<Vec<String>, String> {
    let text = fs::read_to_string("/proc/self/mountinfo").map_err(|error| error.to_string())?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Fails unless the mounts are those.
pub fn same_mounts(before: &[String]) -> Result<(), String> {
    let now = mounts()?;
    match now.iter().find(|line| !before.contains(line)) {
        Some(line) => Err(line.clone()),
        None if now.len() != before.len() => Err(format!("{} and not {}", now.len(), before.len())),
        None => Ok(()),
    }
}

/// How many objects there are in caches that a mount takes objects from, if the kernel
/// tells. Objects that nobody uses are dropped first.
pub fn objects(fs_type: &str) -> Option<BTreeMap<String, u64>> {
    let own = match fs_type {
        "overlay" => ["ovl_inode".to_owned(), "overlay_inode_cache".to_owned()],
        name => [format!("{name}_inode_cache"), String::new()],
    };
    let _ = fs::write("/proc/sys/vm/drop_caches", "2");
    let text = fs::read_to_string("/proc/slabinfo").ok()?;
    let mut objects = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split_whitespace();
        let (Some(name), Some(active)) = (fields.next(), fields.next()) else {
            continue;
        };
        let is_own = own.iter().any(|own| own == name);
        if is_own || ["mnt_cache", "dentry", "filp", "cred", "cred_jar"].contains(&name) {
            objects.insert(name.to_owned(), active.parse().ok()?);
        }
    }
    objects
        .keys()
        .any(|name| own.contains(name))
        .then_some(objects)
}

/// How long the kernel may take to free what it frees after a grace period.
const PATIENCE: Duration = Duration::from_secs(5);

/// Fails if there are many more objects than before. Those in slabs that a CPU keeps for itself
/// count as used, so a few more say nothing.
pub fn same_objects(fs_type: &str, before: &BTreeMap<String, u64>) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = objects(fs_type).ok_or("/proc/slabinfo cannot be read")?;
        let more = now.iter().find_map(|(name, count)| {
            let before = before.get(name).copied().unwrap_or(0);
            let slack = 200 + before / 10;
            (*count > before + slack).then(|| format!("{name}: {before} before, {count} now"))
        });
        match more {
            None => return Ok(()),
            Some(more) if Instant::now() > deadline => return Err(more),
            Some(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}
