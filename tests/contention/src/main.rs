// SPDX-License-Identifier: GPL-2.0

//! Two threads, each on a CPU of its own, work on an overlay, and the kernel tells when
//! somebody is about to wait for a lock. Those that the overlay's functions take are counted.
//!
//! usage: rovl-contention TYPE DIRECTORY SECONDS
//!
//! Layers are made in the directory, which is on a filesystem with `O_DIRECT`. Fails if
//! threads with unrelated files, or those that overwrite parts of one file by direct I/O,
//! wait for locks of the overlay more often than once in [`RARELY`] operations; and if
//! threads that truncate one file and write to it never do, which they do the more often the
//! more both CPUs run at the same time.

mod trace;
mod work;

use rustix::mount::{mount, unmount, MountFlags, UnmountFlags};
use std::{
    env,
    error::Error,
    ffi::CString,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use work::Work;

/// Operations among which one may have waited for a lock of the overlay: it has some for
/// what is kept of the whole mount, which operations take now and then, for a moment.
const RARELY: u64 = 50;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rovl-contention: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [fstype, directory, seconds] = arguments.as_slice() else {
        return Err("usage: rovl-contention TYPE DIRECTORY SECONDS".into());
    };
    let time = Duration::from_secs(seconds.parse()?);
    let module = fstype.as_str();
    let mut good = true;
    for work in Work::ALL {
        let overlay = Overlay::new(fstype, &Path::new(directory).join(work.name()), work)?;
        let trace = trace::Trace::begin()?;
        let operations = work.run(&overlay.merged, time)?;
        let waits = trace.end(module)?;
        let holds = match work.shares_a_lock() {
            true => waits.own > 0,
            false => waits.own * RARELY <= operations && operations > 0,
        };
        println!(
            "{} contention/{}: {operations} operations, {} times a lock was waited for, {} of them one of {module}",
            if holds { "ok" } else { "not ok" },
            work.name(),
            waits.all,
            waits.own,
        );
        for (place, count) in &waits.places {
            println!("# {count} in {place}");
        }
        good &= holds;
    }
    Ok(good)
}

/// A mounted overlay over new layers.
struct Overlay {
    merged: PathBuf,
}

impl Overlay {
    fn new(fstype: &str, base: &Path, work: Work) -> Result<Self, Box<dyn Error>> {
        for name in ["lower", "upper", "work", "merged"] {
            fs::create_dir_all(base.join(name))?;
        }
        work.fill(&base.join("lower"))?;
        let path = |name| base.join(name).display().to_string();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            path("lower"),
            path("upper"),
            path("work")
        );
        let merged = base.join("merged");
        let options = CString::new(options)?;
        mount(
            fstype,
            &merged,
            fstype,
            MountFlags::empty(),
            options.as_c_str(),
        )?;
        Ok(Self { merged })
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        if let Err(error) = unmount(&self.merged, UnmountFlags::empty()) {
            eprintln!("rovl-contention: {}: {error}", self.merged.display());
        }
    }
}
