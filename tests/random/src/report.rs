// SPDX-License-Identifier: GPL-2.0

//! What is printed of a difference.

use crate::{
    case::{Case, Maker},
    op::{self, Step},
    stage::Bench,
    trial::{Difference, Trial},
};

/// Differences to show of one comparison.
const LINES: usize = 12;

/// Steps to show of a list that could not be made small.
const STEPS: usize = 60;

/// Prints a case and what came of it, as comments.
pub fn print(bench: &Bench, trial: &Trial, difference: &Difference) {
    print_layers(&trial.case);
    println!(
        "#   program, with what came of each step on {} and on {}",
        bench.drivers[0], bench.drivers[1]
    );
    let skipped = trial.case.steps.len().saturating_sub(STEPS);
    if skipped > 0 {
        println!("#     ({skipped} more steps)");
    }
    for (at, step) in trial.case.steps.iter().enumerate().skip(skipped) {
        let came = match trial.outcomes.get(at) {
            Some([one, two]) if one == two => op::show(one),
            Some([one, two]) => format!("{} | {}", op::show(one), op::show(two)),
            None => String::from("(not done)"),
        };
        println!("#     {step}: {came}");
    }
    println!("#   difference: {}", difference.what);
    for line in difference.lines.iter().take(LINES) {
        println!("#     {line}");
    }
    if difference.lines.len() > LINES {
        println!("#     and {} more", difference.lines.len() - LINES);
    }
}

fn print_layers(case: &Case) {
    for (index, layer) in case.layers.iter().enumerate() {
        let maker = match layer.maker {
            Maker::Hand => "made by hand",
            Maker::Overlay => "made by an overlay over those below",
        };
        println!("#   lower layer {index} ({maker}; 0 is the lowest)");
        print_steps(&layer.steps);
    }
    if !case.upper.is_empty() {
        println!("#   upper layer, made by hand");
        print_steps(&case.upper);
    }
}

fn print_steps(steps: &[Step]) {
    for step in steps.iter().take(STEPS) {
        println!("#     {step}");
    }
    if steps.len() > STEPS {
        println!("#     ({} more steps)", steps.len() - STEPS);
    }
}
