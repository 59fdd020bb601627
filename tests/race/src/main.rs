// SPDX-License-Identifier: GPL-2.0

//! Reads shared mappings of lower files while the files are copied up and
//! written, and fails if one shows old data.
//!
//! Each round mounts an overlay over new files. Processes with several threads
//! map all of them from read-only descriptors, and read, fault in anew, unmap and
//! map, move, split, fork and exit, while writers open one file after the other
//! for writing, and write ever larger numbers to all its pages. A number is
//! announced when it is written everywhere: who reads after that must not see a
//! smaller one.
//!
//! usage: rovl-race TYPE DIRECTORY SECONDS [LOWER-DIRECTORY]

mod arena;
mod reader;
mod writer;

use arena::Arena;
use rustix::{
    io::Errno,
    mount::{mount, unmount, MountFlags, UnmountFlags},
};
use std::{
    env,
    error::Error,
    ffi::CString,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

/// Files of a round, their pages, and the numbers that each page sees.
pub const FILES: usize = 48;
pub const PAGES: usize = 24;
pub const PAGE: usize = 4096;
pub const WRITES: u64 = 6;

const READERS: usize = 3;
const THREADS: usize = 2;
const WRITERS: usize = 2;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rovl-race: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (fstype, upper, seconds, lower) = match arguments.as_slice() {
        [fstype, dir, seconds] => (fstype, dir, seconds, dir),
        [fstype, dir, seconds, lower] => (fstype, dir, seconds, lower),
        _ => return Err("usage: rovl-race TYPE DIRECTORY SECONDS [LOWER-DIRECTORY]".into()),
    };
    let end = Instant::now() + Duration::from_secs(seconds.parse()?);
    let arena = Arena::new()?;
    let mut rounds = 0;
    while Instant::now() < end && arena.stale() == 0 {
        round(&arena, fstype, Path::new(upper), Path::new(lower))?;
        rounds += 1;
    }
    println!(
        "{rounds} rounds, {} files copied up, {} reads of mappings, {} faults provoked, {} stale",
        rounds * FILES,
        arena.reads(),
        arena.faults(),
        arena.stale()
    );
    Ok(arena.stale() == 0)
}

/// Makes files, mounts, has them read and written, and cleans up.
fn round(arena: &Arena, fstype: &str, upper: &Path, lower: &Path) -> Result<(), Box<dyn Error>> {
    let dirs: Vec<PathBuf> = [
        (lower, "lower"),
        (upper, "upper"),
        (upper, "work"),
        (upper, "merged"),
    ]
    .iter()
    .map(|(base, name)| base.join(name))
    .collect();
    for dir in &dirs {
        fs::create_dir_all(dir)?;
    }
    for index in 0..FILES {
        fs::write(dirs[0].join(file_name(index)), vec![0; PAGES * PAGE])?;
    }
    mount_overlay(fstype, &dirs)?;
    arena.begin();

    let mut children = Vec::new();
    for seed in 0..READERS {
        children.push(fork(|| {
            reader::run(arena, &dirs[3], THREADS, seed as u64 + 1)
        })?);
    }
    let mut writers = Vec::new();
    for first in 0..WRITERS {
        writers.push(fork(|| writer::run(arena, &dirs[3], first, WRITERS))?);
    }
    let mut good = true;
    for pid in writers {
        good &= wait(pid)?;
    }
    arena.finish();
    for pid in children {
        good &= wait(pid)?;
    }
    unmount_overlay(&dirs[3])?;
    for dir in &dirs {
        fs::remove_dir_all(dir)?;
    }
    if !good {
        return Err("a process ended with an error".into());
    }
    Ok(())
}

/// The name of a file.
pub fn file_name(index: usize) -> String {
    format!("file-{index}")
}

/// Runs `f` in a new process.
pub fn fork(f: impl FnOnce() -> io::Result<()>) -> io::Result<libc::pid_t> {
    // SAFETY: The new process has one thread, and all that it uses was made before.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let status = match f() {
                Ok(()) => 0,
                Err(error) => {
                    eprintln!("rovl-race: {error}");
                    1
                }
            };
            // SAFETY: Ends this process, without what the parent would do at its end.
            unsafe { libc::_exit(status) }
        }
        pid => Ok(pid),
    }
}

/// Waits for a process, and says whether it ended well.
pub fn wait(pid: libc::pid_t) -> io::Result<bool> {
    let mut status = 0;
    // SAFETY: The status is ours.
    if unsafe { libc::waitpid(pid, &mut status, 0) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(status == 0)
}

fn mount_overlay(fstype: &str, dirs: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let options = CString::new(format!(
        "lowerdir={},upperdir={},workdir={}",
        dirs[0].display(),
        dirs[1].display(),
        dirs[2].display()
    ))?;
    mount(fstype, &dirs[3], fstype, MountFlags::empty(), &*options)
        .map_err(|error| format!("mount: {error}").into())
}

fn unmount_overlay(dir: &Path) -> Result<(), Box<dyn Error>> {
    // What switches mappings may have a file for a moment longer than its user.
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        match unmount(dir, UnmountFlags::empty()) {
            Ok(()) => return Ok(()),
            Err(Errno::BUSY) if Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(format!("umount: {error}").into()),
        }
    }
}
