// SPDX-License-Identifier: GPL-2.0

//! What a trial is made from: layers and a program, made up on the way or recorded.

use std::path::Path;

use crate::{
    generate::{Generator, Purpose},
    op::{Op, Outcome, Step},
    rng::Rng,
};

/// Steps between two comparisons of the whole trees, once there were as many.
const EVERY: usize = 500;

/// Whether the whole trees are compared after so many steps: more often in the beginning,
/// when layers still differ in what happened to them.
fn is_time_to_compare(steps: usize) -> bool {
    steps % EVERY == 0 || (8..EVERY).contains(&steps) && steps.is_power_of_two()
}

/// Who made a lower layer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    /// Nobody: operations in a bare directory.
    Hand,
    /// An overlay over the layers below, whose upper layer it was.
    Overlay,
}

/// A lower layer.
#[derive(Clone)]
pub struct Layer {
    /// Who made it.
    pub maker: Maker,
    /// How.
    pub steps: Vec<Step>,
}

/// All that a trial depends on.
#[derive(Clone, Default)]
pub struct Case {
    /// Lower layers, the lowest first.
    pub layers: Vec<Layer>,
    /// How upper was made by hand before it was mounted.
    pub upper: Vec<Step>,
    /// The program.
    pub steps: Vec<Step>,
}

/// Where the parts of a case come from.
pub enum Plan<'a> {
    /// Made up from a seed; so many operations.
    Random(u64, usize),
    /// A case of before.
    Fixed(&'a Case),
}

/// Parts of a seed.
const SHAPE: u64 = 1;
const UPPER: u64 = 2;
const PROGRAM: u64 = 3;
const LAYERS: u64 = 100;

/// The lower layers of a plan: who makes each, and from what.
pub fn layers<'a>(plan: &Plan<'a>) -> Vec<(Maker, Feed<'a>)> {
    match plan {
        Plan::Fixed(case) => case
            .layers
            .iter()
            .map(|layer| (layer.maker, Feed::Fixed(layer.steps.iter())))
            .collect(),
        Plan::Random(seed, _) => {
            let mut rng = Rng::new(*seed, SHAPE);
            (0..1 + rng.below(4) as u64)
                .map(|layer| {
                    let (maker, purpose, steps) = if layer > 0 && rng.percent(50) {
                        (Maker::Overlay, Purpose::Overlay, 40 + rng.below(120))
                    } else {
                        (Maker::Hand, Purpose::Layer, 20 + rng.below(150))
                    };
                    let rng = Rng::new(*seed, LAYERS + layer);
                    (maker, Feed::random(rng, purpose, steps))
                })
                .collect()
        }
    }
}

/// What an upper layer is made of by hand, nothing in most cases.
pub fn upper<'a>(plan: &Plan<'a>) -> Feed<'a> {
    match plan {
        Plan::Fixed(case) => Feed::Fixed(case.upper.iter()),
        Plan::Random(seed, _) => {
            let mut rng = Rng::new(*seed, UPPER);
            let steps = if rng.percent(25) { 40 } else { 0 };
            Feed::random(rng, Purpose::Upper, steps)
        }
    }
}

/// The program. A random one goes on with drivers swapped, and swapped back.
pub fn program<'a>(plan: &Plan<'a>) -> Feed<'a> {
    match plan {
        Plan::Fixed(case) => Feed::Fixed(case.steps.iter()),
        Plan::Random(seed, steps) => {
            let rng = Rng::new(*seed, PROGRAM);
            Feed::Random {
                generator: Box::new(Generator::new(rng, Purpose::Overlay)),
                made: 0,
                steps: steps + steps / 5,
                swaps: vec![*steps, steps + steps / 10],
                compares: 0,
            }
        }
    }
}

/// A source of steps.
pub enum Feed<'a> {
    /// From before.
    Fixed(std::slice::Iter<'a, Step>),
    /// Made up.
    Random {
        /// What makes them up.
        generator: Box<Generator>,
        /// How many there were.
        made: usize,
        /// How many there are to be.
        steps: usize,
        /// Before which of them drivers are swapped.
        swaps: Vec<usize>,
        /// After how many of them trees were compared the last time; none if they never are.
        compares: usize,
    },
}

impl Feed<'_> {
    fn random(rng: Rng, purpose: Purpose, steps: usize) -> Self {
        Self::Random {
            generator: Box::new(Generator::new(rng, purpose)),
            made: 0,
            steps,
            swaps: Vec::new(),
            compares: usize::MAX,
        }
    }

    /// Looks at the tree, from time to time, since what was learnt is no more than a guess.
    pub fn look(&mut self, root: &Path) {
        if let Self::Random { generator, .. } = self {
            generator.look(root);
        }
    }

    /// The next step.
    pub fn next(&mut self) -> Option<Step> {
        match self {
            Self::Fixed(steps) => steps.next().cloned(),
            Self::Random {
                generator,
                made,
                steps,
                swaps,
                compares,
            } => {
                if swaps.first() == Some(made) {
                    swaps.remove(0);
                    return Some(Step {
                        op: Op::Swap,
                        user: 0,
                    });
                }
                if *compares < *made && is_time_to_compare(*made) {
                    *compares = *made;
                    return Some(Step {
                        op: Op::Compare,
                        user: 0,
                    });
                }
                if made >= steps {
                    return None;
                }
                *made += 1;
                Some(generator.next())
            }
        }
    }

    /// Learns what came of a step.
    pub fn learn(&mut self, step: &Step, outcome: &Outcome) {
        if let Self::Random { generator, .. } = self {
            generator.learn(step, outcome);
        }
    }
}
