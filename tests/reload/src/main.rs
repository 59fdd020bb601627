// SPDX-License-Identifier: GPL-2.0

//! Loads, mounts, uses, remounts, unmounts and unloads an overlay module again
//! and again.
//!
//! One process does it all: starting a program for each step takes longer than
//! the steps themselves on an emulated debug kernel.
//!
//! usage: rovl-reload ROUNDS MODULE-FILE TYPE

use std::error::Error;
use std::fs;
use std::path::Path;

use rustix::mount::{mount, mount_remount, unmount, MountFlags, UnmountFlags};
use rustix::system::{delete_module, finit_module};

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

    expect("merged/file", expected)?;
    let written = format!("round {round}");
    fs::write("merged/file", &written)?;
    fs::create_dir("merged/dir")?;
    fs::rename("merged/file", "merged/dir/file")?;
    fs::rename("merged/dir/file", "merged/file")?;
    fs::remove_dir("merged/dir")?;

    mount_remount("merged", MountFlags::RDONLY, "")?;
    if fs::write("merged/file", "").is_ok() {
        return Err("a file was written on a read-only mount".into());
    }
    expect("merged/file", &written)?;
    unmount("merged", UnmountFlags::empty())?;
    expect("upper/file", &written)?;

    // Without waiting: a module that is still used is a fault.
    delete_module(&std::ffi::CString::new(fstype)?, NONBLOCK)?;
    Ok(written)
}

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
