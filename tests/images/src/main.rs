// SPDX-License-Identifier: GPL-2.0

//! Mounts layers that somebody has tampered with, and looks at all that is there.
//!
//! Each image that a seed stands for is made of layers that drivers have written, and of such
//! that they would not write, with mistakes in attributes, directories, the work directory and
//! the index. Whatever they are, looking and changing has to end, with an error that is among
//! those for it, must show and change nothing beside the layers, and must leave nothing behind.
//! With another filesystem type to compare with, both have to show the same.

mod answers;
mod attribute;
mod build;
mod change;
mod cli;
#[path = "../../random/src/errno.rs"]
mod errno;
mod guard;
mod handle;
#[path = "../../mountfuzz/src/leaks.rs"]
mod leaks;
mod overlay;
mod plan;
mod raw;
#[path = "../../random/src/rng.rs"]
mod rng;
mod rules;
mod site;
mod tamper;
mod trial;
mod walk;
mod watchdog;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::mount::{
    mount, mount_change, unmount, MountFlags, MountPropagationFlags, UnmountFlags,
};
use rustix::thread::UnshareFlags;

use cli::Options;
use plan::Plan;
use site::Site;
use trial::Report;

fn main() -> ExitCode {
    let options = match cli::parse(std::env::args_os()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", cli::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("rovl-images: {error}");
            return ExitCode::from(2);
        }
    };
    // Modes are those that are asked for.
    rustix::process::umask(rustix::fs::Mode::empty());
    match fuzz(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("not ok {error}");
            ExitCode::from(2)
        }
    }
}

/// How many images are mounted before objects of the kernel's are counted: its caches fill.
const WARM_UP: u64 = 200;
/// Reports after which there is no point in going on.
const FAILURES: usize = 20;

/// What was done so far.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    refused: usize,
    seen: usize,
    changes: usize,
    excused: rules::Excused,
}

fn fuzz(options: &Options) -> Result<bool, String> {
    let root = stage(&options.dir)?;
    let site = Site::new(&root, options.layers.as_deref())?;
    let mounts = leaks::mounts()?;
    watchdog::start();
    let limit = Duration::from_secs(options.seconds);
    let (start, mut seed, mut before) = (Instant::now(), options.seed, None);
    let mut tally = Tally::default();
    let is_enough = |seed: u64, tally: &Tally| {
        options
            .images
            .is_some_and(|images| seed - options.seed >= images)
            || start.elapsed() >= limit
            || tally.failed >= FAILURES
    };
    while !is_enough(seed, &tally) {
        watchdog::begin(seed);
        if options.verbose {
            println!("# seed {seed}");
        }
        one(options, &site, seed, &mut tally).map_err(|why| format!("seed {seed}: {why}"))?;
        seed += 1;
        if seed - options.seed == WARM_UP {
            before = leaks::objects(&options.fs);
        }
    }
    println!(
        "# {} images, {} of them not mounted; {} facts, {} changes; {} seconds",
        seed - options.seed,
        tally.refused,
        tally.seen,
        tally.changes,
        start.elapsed().as_secs()
    );
    for (reason, count) in &tally.excused {
        println!("# {count} times {reason}");
    }
    let mut ends = vec![("no mount is left", leaks::same_mounts(&mounts))];
    if let Some(before) = &before {
        ends.push((
            "no objects are leaked",
            leaks::same_objects(&options.fs, before),
        ));
    }
    for (what, result) in ends {
        match result {
            Ok(()) => {
                tally.passed += 1;
                println!("ok {what}");
            }
            Err(why) => {
                tally.failed += 1;
                println!("not ok {what}: {why}");
            }
        }
    }
    unmount(&root, UnmountFlags::empty()).map_err(|error| format!("umount: {error}"))?;
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(tally.failed == 0)
}

/// A namespace and a filesystem for it all.
fn stage(dir: &Path) -> Result<std::path::PathBuf, String> {
    // SAFETY: no descriptors are involved.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }
        .map_err(|error| format!("unshare: {error}"))?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(|error| format!("make mounts private: {error}"))?;
    let root = dir.join("images");
    std::fs::create_dir_all(&root).map_err(|error| format!("{}: {error}", root.display()))?;
    mount("images", &root, "tmpfs", MountFlags::empty(), None)
        .map_err(|error| format!("mount tmpfs: {error}"))?;
    Ok(root)
}

/// Tries an image on each filesystem type.
fn one(options: &Options, site: &Site, seed: u64, tally: &mut Tally) -> Result<(), String> {
    let mut drivers = vec![options.fs.as_str()];
    drivers.extend(options.other.as_deref());
    let plan = Plan::new(seed, drivers.len());
    let report = trial::run(
        &plan,
        site,
        drivers[0],
        &drivers,
        options.print,
        options.plant,
    )?;
    let mut wrong: Vec<_> = report.wrong.clone();
    if let Some(other) = drivers.get(1) {
        let other = trial::run(&plan, site, other, &drivers, false, None)?;
        wrong.extend(rules::differences(
            &plan,
            &report,
            &other,
            &mut tally.excused,
        ));
    }
    tally.refused += usize::from(report.refused.is_some());
    tally.seen += report.looks.iter().map(|facts| facts.len()).sum::<usize>();
    tally.changes += report.changes.len();
    if options.print {
        print(&report);
    }
    if wrong.is_empty() {
        tally.passed += 1;
    } else {
        tally.failed += 1;
        println!("not ok seed {seed}: {}", wrong.join("\n    "));
    }
    Ok(())
}

/// Prints what was seen of an image.
fn print(report: &Report) {
    println!("refused: {:?} {}", report.refused, report.words);
    for change in &report.changes {
        println!("change {change}");
    }
    for (number, look) in report.looks.iter().enumerate() {
        for ((path, what), value) in look {
            println!("look {number} '{}' {what}: {value}", path.display());
        }
    }
}
