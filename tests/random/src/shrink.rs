// SPDX-License-Identifier: GPL-2.0

//! Makes a case small that shows a difference, by leaving out what is not needed.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use crate::{
    case::{Case, Plan},
    op::Step,
    stage::Bench,
    trial::{self, Trial, Verdict},
};

/// Shrinks a case for at most this time; returns the last trial that differed, and how many
/// were made. Any difference will do: the smallest case is the best to start with.
pub fn shrink(
    bench: &Bench,
    found: Trial,
    limit: Duration,
) -> Result<(Trial, usize), Box<dyn Error>> {
    let mut shrinking = Shrinking {
        bench,
        best: found,
        end: Instant::now() + limit,
        trials: 0,
    };
    // The trees may have differed before that was noticed, and not be compared at all on
    // the way, so this can fail: then the case as found is all there is to show.
    let again = shrinking.best.case.clone();
    if !shrinking.accepts(again)? {
        return Ok((shrinking.best, shrinking.trials));
    }
    loop {
        let before = size(&shrinking.best.case);
        shrinking.less_of(|case| &mut case.steps)?;
        shrinking.less_of(|case| &mut case.upper)?;
        for layer in (0..shrinking.best.case.layers.len()).rev() {
            if shrinking.best.case.layers.len() > 1 {
                let mut case = shrinking.best.case.clone();
                case.layers.remove(layer);
                if shrinking.accepts(case)? {
                    continue;
                }
            }
            shrinking.less_of(|case| &mut case.layers[layer].steps)?;
        }
        shrinking.by_root()?;
        if size(&shrinking.best.case) == before || Instant::now() > shrinking.end {
            return Ok((shrinking.best, shrinking.trials));
        }
    }
}

/// How much there is of a case.
fn size(case: &Case) -> usize {
    let layers: usize = case.layers.iter().map(|layer| 1 + layer.steps.len()).sum();
    layers + case.upper.len() + case.steps.len()
}

struct Shrinking<'a> {
    bench: &'a Bench,
    best: Trial,
    end: Instant,
    trials: usize,
}

impl Shrinking<'_> {
    /// Tries a case; keeps it if it differs still.
    fn accepts(&mut self, case: Case) -> Result<bool, Box<dyn Error>> {
        if Instant::now() > self.end {
            return Ok(false);
        }
        self.trials += 1;
        let trial = trial::run(self.bench, &Plan::Fixed(&case))?;
        let differs = matches!(trial.verdict, Verdict::Different(_));
        if differs {
            self.best = trial;
        }
        Ok(differs)
    }

    /// Leaves out ever smaller pieces of a list.
    fn less_of(
        &mut self,
        list: impl Fn(&mut Case) -> &mut Vec<Step>,
    ) -> Result<(), Box<dyn Error>> {
        let mut piece = list(&mut self.best.case).len();
        while piece > 0 {
            // From the end: what comes last needs what was before.
            let mut end = list(&mut self.best.case).len();
            while end > 0 && Instant::now() < self.end {
                let start = end.saturating_sub(piece);
                let mut case = self.best.case.clone();
                list(&mut case).drain(start..end);
                // A trial that differs earlier leaves less of the list.
                if self.accepts(case)? {
                    end = start.min(list(&mut self.best.case).len());
                } else {
                    end = start;
                }
            }
            piece /= 2;
        }
        Ok(())
    }

    /// Lets root do what another user did.
    fn by_root(&mut self) -> Result<(), Box<dyn Error>> {
        let mut at = 0;
        while at < self.best.case.steps.len() {
            if self.best.case.steps[at].user != 0 {
                let mut case = self.best.case.clone();
                case.steps[at].user = 0;
                self.accepts(case)?;
            }
            at += 1;
        }
        Ok(())
    }
}
