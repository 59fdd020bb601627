// SPDX-License-Identifier: GPL-2.0

//! Makes allocations fail under an overlay, one by one, in each operation that there is; or
//! requests to a disk that has its layers.
//!
//! An operation may fail then, but the overlay has to be as it was, or as it is to be,
//! and nothing in between: seen at once, by the next mount, and by another driver.

#[path = "../../suite/src/support/acl.rs"]
mod acl;
mod cli;
mod disks;
mod inject;
mod layers;
mod map;
mod operation;
mod operations;
mod plant;
mod report;
#[path = "../../random/src/rng.rs"]
mod rng;
mod scene;
mod snapshot;
mod stage;
mod trial;

use std::process::ExitCode;
use std::time::Instant;

use cli::Options;
use disks::Plan;
use inject::Injector;
use operation::Operation;
use operations::c_overlay;
use plant::Mistake;
use report::Report;
use snapshot::{Field, Tree};
use stage::Stage;
use trial::{Bench, Tally};

fn main() -> ExitCode {
    let options = match cli::parse(std::env::args_os()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", cli::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => return complain(&error.to_string()),
    };
    let chosen = chosen(&options);
    if options.list {
        for operation in &chosen {
            println!("{}", operation.name);
        }
        return ExitCode::SUCCESS;
    }
    match all(&options, &chosen) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => complain(&why),
    }
}

fn complain(why: &str) -> ExitCode {
    eprintln!("rovl-faults: {why}");
    ExitCode::from(2)
}

fn chosen(options: &Options) -> Vec<Operation> {
    let mut operations = operations::all();
    operations.retain(|operation| {
        let only = &options.only;
        (only.is_empty()
            || only
                .iter()
                .any(|text| operation.name.contains(text.as_str())))
            && !(operation.is_beyond_c && options.fs == "overlay")
    });
    operations
}

fn all(options: &Options, chosen: &[Operation]) -> Result<bool, String> {
    let stage = Stage::new(options.dir.as_deref())?;
    let mut report = Report::default();
    match options.disk.clone() {
        Some(device) => {
            let plan = Plan {
                fs: options.fs.clone(),
                device,
                rounds: options.rounds,
                seed: options.seed,
                plant: options.plant,
            };
            disks::run(&plan, &stage.root, &mut report)?;
        }
        None => memory(options, chosen, &stage, &mut report)?,
    }
    report.tell("the end", stage.finish().map(|()| "nothing is busy".into()));
    println!("{} passed, {} failed", report.passed, report.failed);
    Ok(report.failed == 0)
}

fn memory(
    options: &Options,
    chosen: &[Operation],
    stage: &Stage,
    report: &mut Report,
) -> Result<(), String> {
    let mut bench = Bench {
        fs: options.fs.clone(),
        other: options.other.clone().unwrap_or_else(|| options.fs.clone()),
        root: stage.root.clone(),
        stride: options.stride,
        thorough: options.thorough,
        brief: options.brief,
        injector: Injector::new()?,
        mistake: None,
    };
    let lower = trial::lower_layers(&bench.root);
    for operation in chosen {
        if options.plant {
            plant(&mut bench, stage, operation, &lower, report)?;
            continue;
        }
        let reason = match options.fs.as_str() {
            "overlay" => c_overlay::reason(operation.name),
            _ => None,
        };
        if let Some(reason) = reason.filter(|_| options.stride > 1) {
            println!("# {}: not on C: {reason}", operation.name);
            continue;
        }
        let start = Instant::now();
        let result = checked(&bench, operation, &lower);
        if result.is_err() {
            stage.make_layers()?;
        }
        let took = start.elapsed().as_millis();
        let told = result.map(|Tally { faults, failed }| {
            format!("{faults} faults injected, {failed} failures, {took} ms")
        });
        let told = match (told, reason) {
            (told, None) => told,
            (Ok(_), Some(reason)) => Err(format!("consistent, but listed: {reason}")),
            (Err(why), Some(reason)) => Ok(format!("listed, {reason}: {why}")),
        };
        report.tell(operation.name, told);
    }
    Ok(())
}

/// Makes each mistake after an operation: the checks have to fail.
fn plant(
    bench: &mut Bench,
    stage: &Stage,
    operation: &Operation,
    lower: &Tree,
    report: &mut Report,
) -> Result<(), String> {
    for mistake in Mistake::ALL {
        bench.mistake = Some(mistake);
        let noticed = match checked(bench, operation, lower) {
            Ok(_) => Err("is not noticed".into()),
            Err(why) => Ok(format!("is noticed: {why}")),
        };
        report.tell(&format!("{}, then {mistake:?}", operation.name), noticed);
        stage.make_layers()?;
    }
    Ok(())
}

/// Runs an operation with all of its faults; lower layers are `lower` afterwards.
fn checked(bench: &Bench, operation: &Operation, lower: &Tree) -> Result<Tally, String> {
    let tally = trial::run(bench, operation)?;
    // They are made anew after a failure.
    snapshot::same(lower, &trial::lower_layers(&bench.root), &[Field::Inode])
        .map_err(|why| format!("lower layers: {why}"))?;
    match tally.faults {
        0 => Err("no fault was injected".into()),
        _ => Ok(tally),
    }
}
