// SPDX-License-Identifier: GPL-2.0

//! Mounts, changes and unmounts overlays by random options: strings for `mount(2)`, and
//! sequences of `fsconfig(2)` with keys and values of all kinds. Most are refused.
//!
//! Each program that a seed stands for has to end without an error that no call of the
//! interface should give, and, with `--explained`, every refusal has to be explained.
//! After all of them no mount may be left, nothing may be busy, and no objects of the
//! kernel's may have been leaked.
//!
//! Programs are the same for the same seed. They share their layers, so what they find
//! there depends on those before: a report names the first seed too.

mod checks;
mod cli;
mod generate;
mod leaks;
#[path = "../../random/src/rng.rs"]
mod rng;
mod run;
mod stage;
mod step;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use cli::Options;
use rng::Rng;
use stage::Stage;

fn main() -> ExitCode {
    let options = match cli::parse(std::env::args_os()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", cli::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("rovl-mountfuzz: {error}");
            return ExitCode::from(2);
        }
    };
    match fuzz(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rovl-mountfuzz: {error}");
            ExitCode::from(2)
        }
    }
}

/// How many programs run before objects of the kernel's are counted: its caches fill.
const WARM_UP: u64 = 200;
/// Reports after which there is no point in going on.
const FAILURES: usize = 20;

fn fuzz(options: &Options) -> Result<bool, String> {
    let stage = Stage::new(&options.dir)?;
    let mounts = leaks::mounts()?;
    let start = Instant::now();
    let limit = Duration::from_secs(options.seconds);
    let mut seed = options.seed;
    let (mut passed, mut failed) = (0_usize, 0_usize);
    let mut tally = run::Tally::default();
    let mut before = None;
    while failed < FAILURES && start.elapsed() < limit {
        let program = generate::program(&mut Rng::new(seed, 0), &stage);
        if options.print {
            println!("# seed {seed}:\n{}", step::show(&program));
        }
        match run::program(&stage, options, &program, &mut tally) {
            Ok(()) => passed += 1,
            Err(why) => {
                failed += 1;
                println!(
                    "not ok seed {seed} of those from {}: {why}\n{}",
                    options.seed,
                    step::show(&program)
                );
            }
        }
        seed += 1;
        if seed - options.seed == WARM_UP {
            before = leaks::objects(&options.fs);
        }
        if options
            .programs
            .is_some_and(|programs| seed - options.seed >= programs)
        {
            break;
        }
    }
    println!(
        "# {} programs, {} steps, {} mounts, {} refusals",
        passed + failed,
        tally.steps,
        tally.mounts,
        tally.refusals
    );
    // Held until all has been looked at.
    let _planted = match options.plant {
        true => Some(stage.plant(&options.fs)?),
        false => None,
    };
    let mut ends = vec![("no mount is left", leaks::same_mounts(&mounts))];
    match &before {
        Some(before) => ends.push((
            "no objects are leaked",
            leaks::same_objects(&options.fs, before),
        )),
        None => println!(
            "# objects of the kernel's are not counted: too few programs, or no /proc/slabinfo"
        ),
    }
    ends.push(("nothing is busy", stage.finish()));
    for (what, result) in ends {
        match result {
            Ok(()) => {
                passed += 1;
                println!("ok {what}");
            }
            Err(why) => {
                failed += 1;
                println!("not ok {what}: {why}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}
