// SPDX-License-Identifier: GPL-2.0

//! What it costs that shared mappings are switched at copy-up, against C overlayfs
//! and the bare filesystem in the same run.
//!
//! Made for a machine whose clock counts instructions (`scripts/vm --icount`):
//! then a nanosecond is one, and the figures do not depend on the host.
//!
//! usage: rovl-cost DIRECTORY
//!
//! The directory is on the filesystem that the layers are to be on. Fails if a
//! ratio is above its limit.

mod bed;
mod measure;

use bed::{Bed, Kind};
use measure::{Operation, Result};
use std::{env, path::Path, process::ExitCode};

/// How much more than C overlayfs rovl may need, in hundredths.
const LIMIT: u64 = 102;

/// A line of the table: an operation, and what it costs bare, on C and on rovl.
struct Row {
    operation: Operation,
    bare: Option<u64>,
    c: u64,
    rovl: u64,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rovl-cost: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool> {
    let directory = env::args().nth(1).ok_or("usage: rovl-cost DIRECTORY")?;
    let directory = Path::new(&directory);
    let mut rows = Vec::new();
    for operation in Operation::ALL {
        rows.push(Row {
            operation,
            bare: match operation.exists_bare() {
                true => Some(measure::median(
                    operation,
                    &Bed::new(directory, Kind::Bare)?,
                )?),
                false => None,
            },
            c: measure::median(operation, &Bed::new(directory, Kind::C)?)?,
            rovl: measure::median(operation, &Bed::new(directory, Kind::Rovl)?)?,
        });
    }
    println!(
        "{:<44} {:>10} {:>10} {:>10} {:>7}",
        "instructions", "bare", "C", "rovl", "rovl/C"
    );
    for row in &rows {
        println!(
            "{:<44} {:>10} {:>10} {:>10} {:>7.3}",
            row.operation.name(),
            row.bare.map_or("-".into(), |bare| bare.to_string()),
            row.c,
            row.rovl,
            row.rovl as f64 / row.c as f64
        );
    }
    Ok(judge(&rows))
}

/// Prints a line a claim, and says whether all hold.
fn judge(rows: &[Row]) -> bool {
    let mut good = true;
    let mut claim = |holds: bool, name: String| {
        println!("{} {name}", if holds { "ok" } else { "not ok" });
        good &= holds;
    };
    for row in rows.iter().filter(|row| row.operation.has_limit()) {
        let holds = row.rovl * 100 <= row.c * LIMIT;
        claim(
            holds,
            format!(
                "cost/{}",
                row.operation.name().replace(", ", "-").replace(' ', "-")
            ),
        );
    }
    let copy_up = |mappings| {
        rows.iter()
            .find(|row| matches!(row.operation, Operation::CopyUp(n) if n == mappings))
            .map_or(0, |row| row.rovl)
    };
    // Each mapping costs about the same, however many there are.
    let each = |many: u64| copy_up(many).saturating_sub(copy_up(0)) / many;
    println!(
        "instructions to switch a mapping: {} of 100, {} of 10000",
        each(100),
        each(10_000)
    );
    claim(
        each(10_000) * 2 <= each(100) * 3,
        "cost/switching-is-linear".into(),
    );
    good
}
