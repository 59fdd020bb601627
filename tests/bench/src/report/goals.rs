// SPDX-License-Identifier: GPL-2.0

//! How fast rovl is meant to be.

use super::Row;
use std::fmt::Write;

/// What rovl's figure is compared with.
#[derive(Clone, Copy)]
enum Of {
    Bare,
    C,
    /// It is not: the limit is absolute.
    Nothing,
}

struct Goal {
    operation: &'static str,
    layers: Option<usize>,
    of: Of,
    at_most: f64,
}

const fn goal(operation: &'static str, layers: Option<usize>, of: Of, at_most: f64) -> Goal {
    Goal {
        operation,
        layers,
        of,
        at_most,
    }
}

/// For what no goal says more of.
const NOT_ABOVE_C: f64 = 1.02;
/// What is written for a small file of its own, with the filesystem's metadata.
const ITS_OWN: f64 = 1_048_576.0;
/// Instructions that each further layer may cost where a name is looked up.
const A_LAYER: f64 = 50.0;
/// Operations with that limit, and the numbers of layers that it is found from.
const GROWING: [&str; 2] = ["lookup-cold", "negative-cold"];
const FEW_LAYERS: usize = 10;
const MANY_LAYERS: usize = 200;

const GOALS: &[Goal] = &[
    goal("lookup-cold", Some(200), Of::C, 0.1),
    goal("negative-cold", Some(200), Of::C, 0.1),
    goal("create", Some(200), Of::C, 0.1),
    goal("unlink-upper", Some(200), Of::C, 0.1),
    goal("rename", Some(200), Of::C, 0.1),
    goal("rmdir", Some(200), Of::C, 0.1),
    goal("readdir-10k-first", None, Of::Bare, 3.0),
    goal("readdir-10k-reopened", None, Of::Bare, 1.2),
    goal("open-lower", None, Of::Bare, 1.5),
    goal("stat-hot-4", None, Of::Bare, 1.2),
    goal("pwrite-4k", None, Of::Bare, 1.15),
    goal("first-write-1k", None, Of::C, 0.6),
    goal("first-write-64m", None, Of::C, 0.85),
    goal("unlink-lower", Some(1), Of::Bare, 1.4),
    goal("chown-r", None, Of::C, 0.5),
    goal("rm-rf", None, Of::Bare, 2.0),
    goal("mount-umount", Some(200), Of::C, 0.5),
    goal("syncfs-beside-dirty", None, Of::Nothing, ITS_OWN),
    goal("umount-beside-dirty", None, Of::Nothing, ITS_OWN),
];

/// What the bare filesystem takes for the same where the operation itself does less on it:
/// operations, and those that do it by system calls.
const BY_HAND: [(&str, &str); 3] = [
    ("first-write-1k", "by-hand-1k"),
    ("first-write-64m", "by-hand-64m"),
    ("chown-r", "by-hand-chown-r"),
];

/// A goal and what was reached.
struct Verdict {
    what: String,
    reached: f64,
    at_most: f64,
    /// Whether the goal is less than what the bare filesystem takes for the same.
    is_below_bare: bool,
}

impl Verdict {
    /// Above 1 it is missed.
    fn excess(&self) -> f64 {
        self.reached / self.at_most
    }
}

/// The goals that these figures say something of, the worst first.
pub fn judge(rows: &[Row]) -> String {
    let mut verdicts: Vec<Verdict> = rows
        .iter()
        .flat_map(|row| of_row(row, of_bare(rows, row)))
        .chain(growth(rows))
        .collect();
    verdicts.sort_by(|a, b| b.excess().total_cmp(&a.excess()));
    let missed = verdicts
        .iter()
        .filter(|verdict| verdict.excess() > 1.0)
        .count();
    let mut text = format!("goals: {missed} of {} missed\n", verdicts.len());
    for verdict in &verdicts {
        let _ = writeln!(
            text,
            "{:<7} {:>6.2} of the goal: {:<66} {:>12.3}, at most {}{}",
            if verdict.excess() > 1.0 {
                "missed"
            } else {
                "reached"
            },
            verdict.excess(),
            verdict.what,
            verdict.reached,
            verdict.at_most,
            if verdict.is_below_bare && verdict.excess() > 1.0 {
                ", less than bare takes"
            } else {
                ""
            },
        );
    }
    text
}

/// What the bare filesystem takes for the same.
fn of_bare(rows: &[Row], row: &Row) -> Option<f64> {
    let by_hand = BY_HAND
        .iter()
        .find(|(operation, _)| *operation == row.case.operation)
        .and_then(|&(_, by_hand)| {
            rows.iter()
                .find(|other| other.case.operation == by_hand && other.case.on == row.case.on)
        });
    by_hand.unwrap_or(row).value("bare")
}

fn of_row(row: &Row, bare: Option<f64>) -> Vec<Verdict> {
    let case = &row.case;
    let named = |of: &str| {
        format!(
            "{} on {}, {} layers, {of}",
            case.operation, case.on, case.layers
        )
    };
    let mut verdicts: Vec<_> = row
        .times("overlay")
        .map(|reached| Verdict {
            what: named("of C"),
            reached,
            at_most: NOT_ABOVE_C,
            is_below_bare: is_below(row, NOT_ABOVE_C, bare),
        })
        .into_iter()
        .collect();
    for goal in GOALS {
        if goal.operation != case.operation
            || goal.layers.is_some_and(|layers| layers != case.layers)
        {
            continue;
        }
        let (of, reached) = match goal.of {
            Of::Bare => ("of bare", row.times("bare")),
            Of::C => ("of C", row.times("overlay")),
            Of::Nothing => ("bytes", row.value("rovl")),
        };
        if let Some(reached) = reached {
            verdicts.push(Verdict {
                what: named(of),
                reached,
                at_most: goal.at_most,
                is_below_bare: matches!(goal.of, Of::C) && is_below(row, goal.at_most, bare),
            });
        }
    }
    verdicts
}

/// Whether so many times what C overlayfs takes is less than the bare filesystem does.
fn is_below(row: &Row, of_c: f64, bare: Option<f64>) -> bool {
    let both = bare.zip(row.value("overlay"));
    both.is_some_and(|(bare, c)| of_c * c < bare)
}

/// What a layer costs.
fn growth(rows: &[Row]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for many in rows.iter().filter(|row| {
        GROWING.contains(&row.case.operation.as_str()) && row.case.layers == MANY_LAYERS
    }) {
        let few = rows.iter().find(|row| {
            row.case.operation == many.case.operation
                && row.case.on == many.case.on
                && row.case.layers == FEW_LAYERS
        });
        if let Some((few, most)) = few.and_then(|few| few.value("rovl").zip(many.value("rovl"))) {
            verdicts.push(Verdict {
                what: format!(
                    "{} on {}, for each layer",
                    many.case.operation, many.case.on
                ),
                reached: (most - few) / (MANY_LAYERS - FEW_LAYERS) as f64,
                at_most: A_LAYER,
                is_below_bare: false,
            });
        }
    }
    verdicts
}
