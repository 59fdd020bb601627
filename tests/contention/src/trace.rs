// SPDX-License-Identifier: GPL-2.0

//! What the kernel tells of locks that are waited for.

use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    path::PathBuf,
};

/// Functions of the locks themselves: who waits is whoever called them.
const OF_LOCKS: [&str; 12] = [
    "__mutex_lock",
    "mutex_lock",
    "rwsem_",
    "__down",
    "down_",
    "queued_",
    "native_queued_",
    "_raw_",
    "__raw_",
    "osq_",
    "__do_trace_",
    "trace_event_",
];

/// Counts waits from here on.
pub struct Trace {
    instance: PathBuf,
}

/// Waits for locks.
pub struct Waits {
    pub all: u64,
    /// For those that functions of the module took.
    pub own: u64,
    /// Where these were taken.
    pub places: BTreeMap<String, u64>,
}

impl Trace {
    pub fn begin() -> io::Result<Self> {
        let tracing = PathBuf::from("/sys/kernel/tracing");
        if !tracing.join("events").exists() {
            rustix::mount::mount(
                "tracefs",
                &tracing,
                "tracefs",
                rustix::mount::MountFlags::empty(),
                None,
            )?;
        }
        let instance = tracing.join("instances/contention");
        fs::create_dir(&instance)?;
        let this = Self { instance };
        // The names of tasks are recorded by another event, which is not needed.
        this.write("trace_options", "norecord-cmd")?;
        this.write("trace_options", "stacktrace")?;
        this.write("buffer_size_kb", "16384")?;
        this.write("events/lock/contention_begin/enable", "1")?;
        Ok(this)
    }

    fn write(&self, file: &str, value: &str) -> io::Result<()> {
        fs::write(self.instance.join(file), value)
    }

    /// Ends it, and counts.
    pub fn end(self, module: &str) -> io::Result<Waits> {
        self.write("events/lock/contention_begin/enable", "0")?;
        for cpu in fs::read_dir(self.instance.join("per_cpu"))? {
            let stats = fs::read_to_string(cpu?.path().join("stats"))?;
            if !stats.lines().any(|line| line == "overrun: 0") {
                return Err(io::Error::other("the buffer was too small for all events"));
            }
        }
        let text = fs::read_to_string(self.instance.join("trace"))?;
        let symbols = fs::read_to_string("/proc/kallsyms")?;
        Ok(count(&text, &functions(&symbols, module)))
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.instance) {
            eprintln!("rovl-contention: {}: {error}", self.instance.display());
        }
    }
}

/// The functions of a module: lines are `ADDRESS TYPE NAME [MODULE]`.
fn functions<'a>(symbols: &'a str, module: &str) -> HashSet<&'a str> {
    let suffix = format!("[{module}]");
    symbols
        .lines()
        .filter(|line| line.ends_with(&suffix))
        .filter_map(|line| line.split_whitespace().nth(2))
        .collect()
}

/// Each event is followed by a stack, a line ` => FUNCTION` a frame.
fn count(text: &str, own: &HashSet<&str>) -> Waits {
    let mut waits = Waits {
        all: 0,
        own: 0,
        places: BTreeMap::new(),
    };
    let mut is_open = false;
    for line in text.lines() {
        if line.contains("contention_begin:") {
            waits.all += 1;
            is_open = true;
            continue;
        }
        let Some(frame) = line.trim_start().strip_prefix("=> ").filter(|_| is_open) else {
            continue;
        };
        if OF_LOCKS.iter().any(|name| frame.starts_with(name)) {
            continue;
        }
        // The one that took the lock.
        is_open = false;
        if own.contains(frame.trim_end()) {
            waits.own += 1;
            *waits.places.entry(frame.into()).or_default() += 1;
        }
    }
    waits
}
