// SPDX-License-Identifier: GPL-2.0

//! Runs each test in a child process, with a time limit.

use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fs::statfs;
use rustix::pipe::{pipe_with, PipeFlags};
use rustix::process::{
    kill_process_group, pidfd_open, setpgid, waitpid, Pid, PidfdFlags, Signal, WaitOptions,
};

use crate::areas::{self, Area, Test};
use crate::harness::bed::{Bed, Place};
use crate::harness::cli::Options;
use crate::harness::intended::{Intended, RACE};
use crate::harness::matrix::{self, Pair};
use crate::harness::verdict;

/// One test on one combination of layer filesystems.
struct Case {
    pair: Pair,
    /// `AREA::TEST`.
    test_name: String,
    test: &'static Test,
    fs: String,
    other: String,
}

impl Case {
    fn name(&self) -> String {
        format!("{}/{}", self.pair.name(), self.test_name)
    }
}

/// Runs (or lists) what the options select.
pub fn run(options: &Options) -> ExitCode {
    match try_run(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rovl-suite: {error}");
            ExitCode::from(2)
        }
    }
}

fn try_run(options: &Options) -> Result<bool, String> {
    let pairs = wanted_pairs(options)?;
    let cases = select(options, &pairs);
    if cases.is_empty() {
        return Err("no test has such a name on such layers".to_owned());
    }
    if options.list {
        for case in &cases {
            println!("{}", case.name());
        }
        return Ok(true);
    }
    let intended = match &options.intended {
        Some(path) => Intended::read(path)?,
        None => Intended::default(),
    };
    check_intended(&intended)?;
    for fs in std::iter::once(&options.fs).chain(&options.other) {
        check_registered(fs)?;
    }
    for &pair in &pairs {
        check_mounted(&options.scratch, pair)?;
    }
    let run = std::process::id();
    let (mut passed, mut failed) = (0, 0);
    for (number, case) in cases.iter().enumerate() {
        let place = Place {
            lower: options.scratch.join(case.pair.lower),
            upper: options.scratch.join(case.pair.upper),
            unique: format!("{run}.{number}"),
        };
        let started = Instant::now();
        let result = run_in_child(case, &place, options.timeout);
        let (ok, line) = judge(
            case,
            result,
            intended.reason(&case.pair.name(), &case.test_name),
        );
        if ok {
            passed += 1;
        } else {
            failed += 1;
        }
        println!("{line}");
        if std::env::var_os("ROVL_TIMES").is_some() {
            println!("# {} ms", started.elapsed().as_millis());
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}

/// The line of a test, and whether it counts as passed.
fn judge(case: &Case, result: Result<(), String>, intended: Option<&str>) -> (bool, String) {
    let name = case.name();
    match (result, intended) {
        (Ok(()), None) => (true, format!("ok {name}")),
        (Err(why), None) => (false, format!("not ok {name}: {why}")),
        (Err(_), Some(reason)) => (true, format!("ok {name} # differs: {reason}")),
        // Whether it fails there is a matter of time.
        (Ok(()), Some(reason)) if reason.starts_with(RACE) => (true, format!("ok {name}")),
        (Ok(()), Some(_)) => (
            false,
            format!("not ok {name}: passes, though listed as an intended difference"),
        ),
    }
}

fn wanted_pairs(options: &Options) -> Result<Vec<Pair>, String> {
    if options.matrix.is_empty() {
        return Ok(matrix::ALL.to_vec());
    }
    options
        .matrix
        .iter()
        .map(|name| {
            matrix::ALL
                .iter()
                .copied()
                .find(|pair| pair.name() == *name)
                .ok_or_else(|| format!("no layer filesystems are called '{name}'"))
        })
        .collect()
}

fn select(options: &Options, pairs: &[Pair]) -> Vec<Case> {
    let mut cases = Vec::new();
    for &pair in pairs {
        for area in areas::AREAS {
            for test in area.tests {
                if !test.on.pairs(options.quick).contains(&pair) {
                    continue;
                }
                cases.extend(
                    directions(options, area)
                        .into_iter()
                        .map(|(suffix, fs, other)| Case {
                            pair,
                            test_name: format!("{}{suffix}::{}", area.name, test.name),
                            test,
                            fs,
                            other,
                        }),
                );
            }
        }
    }
    if let Some(filter) = &options.filter {
        cases.retain(|case| case.name().contains(filter.as_str()));
    }
    let before = options.first.get() - 1;
    let cases = cases.into_iter().skip(before);
    cases.step_by(options.every.get()).collect()
}

/// Who writes and who reads: an area whose tests hand layers from one
/// driver to another runs with the driver under test alone, and both ways with
/// another.
fn directions(options: &Options, area: &Area) -> Vec<(&'static str, String, String)> {
    let fs = &options.fs;
    let mut directions = vec![("", fs.clone(), fs.clone())];
    if let (true, Some(other)) = (area.between_drivers, &options.other) {
        directions.push(("_out", fs.clone(), other.clone()));
        directions.push(("_in", other.clone(), fs.clone()));
    }
    directions
}

fn check_intended(intended: &Intended) -> Result<(), String> {
    for name in intended.tests() {
        let known = areas::AREAS.iter().any(|area| {
            area.tests
                .iter()
                .any(|test| format!("{}::{}", area.name, test.name) == name)
        });
        if !known {
            return Err(format!("the intended difference '{name}' is no test"));
        }
    }
    Ok(())
}

fn check_registered(fs: &str) -> Result<(), String> {
    let list = fs::read_to_string("/proc/filesystems").map_err(|error| error.to_string())?;
    if list
        .lines()
        .any(|line| line.split('\t').next_back() == Some(fs))
    {
        Ok(())
    } else {
        Err(format!(
            "the kernel has no filesystem type '{fs}' (load its module first)"
        ))
    }
}

/// A combination whose filesystem is absent is an error, never a skip.
fn check_mounted(scratch: &Path, pair: Pair) -> Result<(), String> {
    for name in [pair.lower, pair.upper] {
        let dir = scratch.join(name);
        let found = statfs(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        if Some(found.f_type) != matrix::magic(name) {
            return Err(format!("{} is no {name}", dir.display()));
        }
    }
    Ok(())
}

fn run_in_child(case: &Case, place: &Place, limit: Duration) -> Result<(), String> {
    io::stdout().flush().map_err(|error| error.to_string())?;
    let (report, reporter) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
        .map_err(|error| format!("pipe: {error}"))?;
    // SAFETY: this process has one thread, so the child may do anything.
    let pid = match unsafe { libc::fork() } {
        -1 => return Err(format!("fork: {}", io::Error::last_os_error())),
        0 => {
            drop(report);
            run_and_exit(case, place, reporter);
        }
        pid => Pid::from_raw(pid).ok_or("fork gave no process id")?,
    };
    drop(reporter);
    // Both sides set the group, so that it exists whoever comes first.
    let _ = setpgid(Some(pid), Some(pid));
    let ended = wait_until(pid, limit)?;
    let _ = kill_process_group(pid, Signal::KILL);
    let result = if ended || wait_until(pid, Duration::from_secs(5))? {
        let (_, status) = waitpid(Some(pid), WaitOptions::empty())
            .map_err(|error| format!("waitpid: {error}"))?
            .ok_or("the child vanished")?;
        let mut message = String::new();
        // What the child wrote is in the pipe already; other processes may
        // still hold the other end, so the end of file is not waited for.
        let _ = fs::File::from(report).read_to_string(&mut message);
        match (ended, status.exit_status(), status.terminating_signal()) {
            (false, ..) => Err(format!("still running after {} s", limit.as_secs())),
            (true, Some(0), _) => Ok(()),
            (true, Some(_), _) => Err(message),
            (true, None, signal) => Err(format!("killed by signal {}", signal.unwrap_or_default())),
        }
    } else {
        return Err(format!(
            "hangs, and survives SIGKILL, after {} s",
            limit.as_secs()
        ));
    };
    let removed = place.remove();
    result.and(removed)
}

/// Waits for the process to end, at most `limit`; tells whether it ended.
fn wait_until(pid: Pid, limit: Duration) -> Result<bool, String> {
    let pidfd =
        pidfd_open(pid, PidfdFlags::empty()).map_err(|error| format!("pidfd_open: {error}"))?;
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(|error| error.to_string())?;
        match poll(
            &mut [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)],
            Some(&timeout),
        ) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(format!("poll: {error}")),
        }
    }
}

fn run_and_exit(case: &Case, place: &Place, reporter: OwnedFd) -> ! {
    let _ = setpgid(None, None);
    verdict::record_panics();
    let status = match run_here(case, place) {
        Ok(()) => 0,
        Err(why) => {
            let _ = rustix::io::write(&reporter, why.as_bytes());
            1
        }
    };
    // SAFETY: ends this process without running the parent's exit handlers.
    unsafe { libc::_exit(status) }
}

fn run_here(case: &Case, place: &Place) -> Result<(), String> {
    let mut bed = None;
    verdict::catch(|| bed = Some(Bed::new(place, case.pair, &case.fs, &case.other)))?;
    let bed = bed.ok_or("no bed")?;
    let result = verdict::catch(|| (case.test.run)(&bed));
    // Even after a failure, so that nothing is left for the next test.
    let unmounted = verdict::catch(|| bed.finish());
    result.and(unmounted)
}
