// SPDX-License-Identifier: GPL-2.0

//! Loads, mounts, uses, remounts, unmounts and unloads an overlay module again
//! and again. The counters of the mount are still open when the module has gone, and in
//! every tenth round tracepoints are still on.
//!
//! One process does it all: starting a program for each step takes longer than
//! the steps themselves on an emulated debug kernel.
//!
//! usage: rovl-reload ROUNDS MODULE-FILE TYPE

use std::error::Error;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use rustix::fs::{major, minor};
use rustix::mount::{mount, mount_remount, unmount, MountFlags, UnmountFlags};
use rustix::system::{delete_module, finit_module};

const TRACING: &str = "/sys/kernel/tracing";
const SCRATCH: &str = "/mnt/reload";
const OPTIONS: &std::ffi::CStr = c"lowerdir=lower,upperdir=upper,workdir=work";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [rounds, module, fstype] = arguments.as_slice() else {
        return Err("usage: rovl-reload ROUNDS MODULE-FILE TYPE".into());
    };
    let rounds: u32 = rounds.parse()?;

    for dir in ["lower", "upper", "work", "merged"] {
        fs::create_dir_all(Path::new(SCRATCH).join(dir))?;
    }
    std::env::set_current_dir(SCRATCH)?;
    fs::write("lower/file", "lower")?;
    mount("tracefs", TRACING, "tracefs", MountFlags::empty(), c"")?;
    // Else the scheduler's code is patched while it runs, which emulated CPUs cannot do.
    fs::write(Path::new(TRACING).join("options/record-cmd"), "0")?;

    let mut expected = "lower".to_owned();
    for round in 1..=rounds {
        expected = one_round(round, module, fstype, &expected)
            .map_err(|error| format!("round {round}: {error}"))?;
        if round % 100 == 0 {
            println!("round {round} of {rounds}");
        }
    }
    Ok(())
}

/// Returns what the file holds after the round.
fn one_round(
    round: u32,
    module: &str,
    fstype: &str,
    expected: &str,
) -> Result<String, Box<dyn Error>> {
    finit_module(fs::File::open(module)?, c"", 0)?;
    mount("none", "merged", fstype, MountFlags::empty(), OPTIONS)?;
    let counters = open_counters(fstype)?;
    let events = Path::new(TRACING).join("events").join(fstype);
    if round % 10 == 0 {
        fs::write(events.join("enable"), "1")?;
    }

    expect("merged/file", expected)?;
    let written = format!("round {round}");
    fs::write("merged/file", &written)?;
    fs::create_dir("merged/dir")?;
    fs::rename("merged/file", "merged/dir/file")?;
    fs::rename("merged/dir/file", "merged/file")?;
    fs::remove_dir("merged/dir")?;
    counters.read_at(&mut [0; 1], 0)?;

    mount_remount("merged", MountFlags::RDONLY, "")?;
    if fs::write("merged/file", "").is_ok() {
        return Err("a file was written on a read-only mount".into());
    }
    expect("merged/file", &written)?;
    unmount("merged", UnmountFlags::empty())?;
    expect("upper/file", &written)?;

    // Without waiting: a module that is still used is a fault.
    delete_module(&std::ffi::CString::new(fstype)?, NONBLOCK)?;
    if events.exists() {
        return Err("the events are still there".into());
    }
    match counters.read_at(&mut [0; 1], 0) {
        Err(error) if error.raw_os_error() == Some(NO_DEVICE) => Ok(written),
        other => Err(format!("counters that are gone answer {other:?}").into()),
    }
}

/// Opens the counters of what is mounted.
fn open_counters(fstype: &str) -> Result<fs::File, Box<dyn Error>> {
    let dev = fs::metadata("merged")?.dev();
    let (major, minor) = (major(dev), minor(dev));
    let path = format!("/sys/fs/{fstype}/{major}:{minor}");
    Ok(fs::File::open(path)?)
}

/// `ENODEV`.
const NO_DEVICE: i32 = 19;

/// `O_NONBLOCK`, as delete_module(2) takes it.
const NONBLOCK: i32 = 0o4000;

fn expect(path: &str, expected: &str) -> Result<(), Box<dyn Error>> {
    let found = fs::read_to_string(path)?;
    if found == expected {
        Ok(())
    } else {
        Err(format!("{path} holds {found:?}, not {expected:?}").into())
    }
}
