// SPDX-License-Identifier: GPL-2.0

//! Crashes at random points of a log, and a check after each.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::check;
use crate::cli::Options;
use crate::disk::Disk;
use crate::history::History;
use crate::log::Log;
use crate::loop_device::Loop;
use crate::replay::{Replay, Unflushed};
use crate::rng::Rng;
use crate::stage::{self, BARE, DISK, MERGED};
use crate::tree::{self, Tree};

/// A part of a seed.
const POINTS: u64 = 4;
const IMAGE: &str = "/mnt/crashed.img";
/// Reports after which there is no point in going on.
const FAILURES: usize = 20;

/// Crashes at as many points as there are to be; says whether all was well.
pub fn crashes(options: &Options, history: &History) -> Result<bool, String> {
    let log = Log::open(&options.log).map_err(|error| format!("{}: {error}", options.log))?;
    let disk = Disk::read(&options.image).map_err(|error| format!("{}: {error}", options.image))?;
    let start = log.start().ok_or("the log has no mark")?;
    let mut rng = Rng::new(options.point_seed, POINTS);
    let mut points: Vec<_> = (0..options.points)
        .map(|_| start + 1 + rng.below(log.events.len() - start))
        .collect();
    points.sort_unstable();
    let mut replay = Replay::new(&log, disk, options.plant);
    stage::prepare().map_err(|error| format!("prepare: {error}"))?;
    stage::memory_layer(history).map_err(|error| format!("layer: {error}"))?;
    let (mut passed, mut failed, mut taken_back) = (0, 0, 0);
    for (number, events) in points.into_iter().enumerate() {
        let unflushed = rng.pick(&[Unflushed::Kept, Unflushed::Lost, Unflushed::Some]);
        let completed = replay
            .crash(events, unflushed, &mut rng, IMAGE)
            .map_err(|error| format!("replay: {error}"))?;
        match after_crash(options, history, completed, number % 2 == 1) {
            Ok(done) => {
                passed += 1;
                taken_back += usize::from(done < completed);
            }
            Err(why) => {
                failed += 1;
                println!(
                    "not ok crash after {events} events, what was not flushed {unflushed:?}, \
                     {completed} operations complete: {why}"
                );
            }
        }
        if failed == FAILURES {
            break;
        }
    }
    println!(
        "# {} events after the first operation, {taken_back} crashes took names or attributes back",
        log.events.len() - start
    );
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}

/// Mounts the image and checks it; `other_first` says which of the two drivers is the one
/// that finds it as it is.
fn after_crash(
    options: &Options,
    history: &History,
    completed: usize,
    other_first: bool,
) -> Result<usize, String> {
    let device = Loop::new(IMAGE).map_err(|error| format!("loop device: {error}"))?;
    stage::mount_disk(&device.path, &options.fs).map_err(|error| format!("no mount: {error}"))?;
    let result = on_disk(options, history, completed, other_first);
    // A mount that a failed check has left does not spoil the next.
    let _ = stage::umount(MERGED);
    stage::umount(DISK).map_err(|error| format!("umount: {error}"))?;
    fs::remove_file(IMAGE).map_err(|error| format!("{IMAGE}: {error}"))?;
    result
}

fn on_disk(
    options: &Options,
    history: &History,
    completed: usize,
    other_first: bool,
) -> Result<usize, String> {
    if options.driver == BARE {
        return check::check(history, completed, &mounted(BARE, options)?);
    }
    // A volatile mount asks for this to be done by hand.
    match fs::remove_dir_all(work_directory().join("incompat")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(format!("incompat: {error}"));
        }
        _ => {}
    }
    let mut drivers = [&options.driver, &options.other];
    if other_first {
        drivers.reverse();
    }
    let first = mounted(drivers[0], options)?;
    let second = mounted(drivers[1], options)?;
    let done = check::check(history, completed, &first)?;
    let differences = tree::differences(&first, &second);
    match differences.is_empty() {
        true => Ok(done),
        false => Err(format!("the drivers differ: {}", differences.join(", "))),
    }
}

/// What overlays make in the directory that the option `workdir` names.
fn work_directory() -> PathBuf {
    [DISK, "work", "work"].iter().collect()
}

/// What a driver shows of the disk.
fn mounted(driver: &str, options: &Options) -> Result<Tree, String> {
    stage::mount_overlay(driver, &options.options)
        .map_err(|error| format!("mount {driver}: {error}"))?;
    let tree = tree::read(MERGED)?;
    if driver != BARE {
        let work = tree::read(&work_directory().to_string_lossy())?;
        if !work.is_empty() {
            return Err(format!("{driver} leaves in workdir: {:?}", work.keys()));
        }
    }
    stage::umount(MERGED).map_err(|error| format!("umount {driver}: {error}"))?;
    Ok(tree)
}
