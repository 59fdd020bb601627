// SPDX-License-Identifier: GPL-2.0

//! Runs a program on an overlay whose disk is logged.

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::cli::Options;
use crate::history::History;
use crate::mark::Marks;
use crate::op;
use crate::rng::Rng;
use crate::stage::{self, DISK, MERGED};

/// A part of a seed.
const COMMITS: u64 = 3;

/// Runs it, with marks.
pub fn record(options: &Options, history: &History) -> Result<(), String> {
    let fail = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    stage::prepare().map_err(fail("prepare"))?;
    let device = format!("/dev/mapper/{}", options.device);
    stage::mount_disk(&device, &options.fs).map_err(fail("mount"))?;
    stage::memory_layer(history).map_err(fail("layer"))?;
    stage::disk_layers(history, &options.driver).map_err(fail("layers"))?;
    stage::mount_overlay(&options.driver, &options.options).map_err(fail("overlay"))?;
    let marks = Marks::new(&options.device).map_err(fail("log"))?;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let commits = scope.spawn(|| commit(&done, &mut Rng::new(options.seed, COMMITS)));
        let result = run(&marks, history);
        done.store(true, Ordering::Relaxed);
        let commits = commits.join().map_err(|_| "a thread ended early")?;
        let commits = commits.map_err(fail("commit"))?;
        println!(
            "# {} operations, {commits} commits beside them",
            history.ops.len()
        );
        result
    })?;
    stage::umount(MERGED).map_err(fail("umount overlay"))?;
    stage::umount(DISK).map_err(fail("umount disk"))
}

fn run(marks: &Marks, history: &History) -> Result<(), String> {
    let mark = |number| {
        marks
            .completed(number)
            .map_err(|error| format!("mark {number}: {error}"))
    };
    for (number, op) in history.ops.iter().enumerate() {
        mark(number)?;
        op::perform(MERGED, number, op).map_err(|error| format!("{number} {op:?}: {error}"))?;
        if history.steps[number].sync.is_some() {
            marks.drain().map_err(|error| format!("drain: {error}"))?;
        }
    }
    mark(history.ops.len())
}

/// Has the journal committed at random moments, by a file that the overlay does not know,
/// so that there are crashes in the middle of operations.
fn commit(done: &AtomicBool, rng: &mut Rng) -> io::Result<usize> {
    let mut file = File::create(format!("{DISK}/other"))?;
    let mut count = 0;
    while !done.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(rng.below(100) as u64));
        file.write_all(b"x")?;
        file.sync_all()?;
        count += 1;
    }
    Ok(count)
}
