// SPDX-License-Identifier: GPL-2.0

//! Goes through filesystems, sets of options and seeds.

use std::{
    collections::BTreeMap,
    error::Error,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    case::Plan,
    cli::Options,
    matrix::{self, OptionSet},
    plant, report, shrink,
    stage::Bench,
    trial::{self, Trial, Verdict},
};

/// Steps that a planted difference is to be shrunk to, or fewer: one makes a file, one
/// writes to it.
const PLANTED_STEPS: usize = 3;

/// Compares; whether all was the same.
pub fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let start = Instant::now();
    let (mut passed, mut failed) = (0, 0);
    for fs in &options.fs {
        for set in &options.sets {
            match run_set(options, fs, set, start)? {
                Some(true) => passed += 1,
                Some(false) => failed += 1,
                None => {}
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}

fn bench(options: &Options, fs: &Path, set: &OptionSet) -> Bench {
    Bench {
        drivers: options.drivers.clone(),
        set: set.clone(),
        fs: fs.to_owned(),
        lower: options.lower.clone().unwrap_or_else(|| fs.to_owned()),
        plant: options.plant,
    }
}

/// The name of a test.
fn name(bench: &Bench) -> String {
    let last = |path: &Path| {
        path.file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    };
    let [one, two] = &bench.drivers;
    let oracle = if one == two {
        format!("{one} with itself, ")
    } else {
        String::new()
    };
    format!(
        "{oracle}{}/{}::{}",
        last(&bench.lower),
        last(&bench.fs),
        bench.set.name()
    )
}

/// All seeds of one set on one filesystem, up to the first that differs; nothing if there was
/// no time for any.
fn run_set(
    options: &Options,
    fs: &Path,
    set: &OptionSet,
    start: Instant,
) -> Result<Option<bool>, Box<dyn Error>> {
    let bench = bench(options, fs, set);
    let name = name(&bench);
    let mut counts = Counts::default();
    for seed in options.seeds.0..options.seeds.1 {
        if options.limit.is_some_and(|limit| start.elapsed() > limit) {
            break;
        }
        let plan = Plan::Random(seed, options.operations);
        let trial =
            trial::run(&bench, &plan).map_err(|error| format!("{name}, seed {seed}: {error}"))?;
        counts.add(&trial);
        match trial.verdict {
            Verdict::Same => {}
            Verdict::Different(_) => {
                println!("not ok {name}: seed {seed}");
                show(&bench, trial, options.shrink)?;
                println!("#   again: {}", repeat(&bench, seed, options.operations));
                return Ok(Some(false));
            }
        }
    }
    if counts.seeds == 0 {
        println!("# {name}: not run");
        return Ok(None);
    }
    println!("ok {name} # {}", counts.show());
    Ok(Some(true))
}

/// Shrinks and prints.
fn show(bench: &Bench, trial: Trial, limit: Duration) -> Result<(), Box<dyn Error>> {
    let steps = trial.case.steps.len();
    let (small, trials) = shrink::shrink(bench, trial, limit)?;
    println!(
        "#   {} of {steps} steps are left after {trials} trials",
        small.case.steps.len()
    );
    if let Verdict::Different(difference) = &small.verdict {
        report::print(bench, &small, difference);
    }
    Ok(())
}

fn repeat(bench: &Bench, seed: u64, operations: usize) -> String {
    format!(
        "rovl-random --drivers {} --fs {} --lower {} --options {} --seeds {seed}..{} --ops {operations}",
        bench.drivers.join(","),
        bench.fs.display(),
        bench.lower.display(),
        bench.set.name(),
        seed + 1
    )
}

/// Plants each kind of difference, which must be found, and come down to a few steps.
pub fn self_test(options: &Options) -> Result<bool, Box<dyn Error>> {
    let fs = options.fs.first().ok_or("no filesystem")?;
    let (mut passed, mut failed) = (0, 0);
    let bare = bench(options, fs, &matrix::named("default"));
    match trial::run(&bare, &Plan::Random(options.seeds.0, 100))?.verdict {
        Verdict::Same => {
            println!("ok planted::nothing");
            passed += 1;
        }
        _ => {
            println!("not ok planted::nothing: there is a difference without");
            failed += 1;
        }
    }
    for (name, plant) in plant::ALL {
        let mut bench = bench(options, fs, &matrix::named("default"));
        bench.plant = Some(plant);
        let found = trial::run(&bench, &Plan::Random(options.seeds.0, 100))?;
        let steps = found.case.steps.len();
        let left = match found.verdict {
            Verdict::Different(_) => {
                let (small, _) = shrink::shrink(&bench, found, options.shrink)?;
                small.case.steps.len()
            }
            _ => usize::MAX,
        };
        if left <= PLANTED_STEPS {
            println!("ok planted::{name} # {left} of {steps} steps left");
            passed += 1;
        } else {
            println!(
                "not ok planted::{name}: a planted difference was not found, or not made small"
            );
            failed += 1;
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed == 0)
}

/// What was done, to see that it was something.
#[derive(Default)]
struct Counts {
    seeds: usize,
    steps: usize,
    succeeded: usize,
    rules: BTreeMap<&'static str, usize>,
}

impl Counts {
    fn add(&mut self, trial: &Trial) {
        self.seeds += 1;
        self.steps += trial.outcomes.len();
        self.succeeded += trial
            .outcomes
            .iter()
            .filter(|[outcome, _]| outcome.is_ok())
            .count();
        for (name, count) in &trial.rules {
            *self.rules.entry(name).or_default() += count;
        }
    }

    fn show(&self) -> String {
        let percent = self.succeeded * 100 / self.steps.max(1);
        let rules: String = self
            .rules
            .iter()
            .map(|(name, count)| format!(", {count} times: {name}"))
            .collect();
        format!(
            "{} seeds, {} operations, {percent} % succeed{rules}",
            self.seeds, self.steps
        )
    }
}
