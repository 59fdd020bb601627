// SPDX-License-Identifier: GPL-2.0

//! One program on both overlays.

use std::{collections::BTreeMap, error::Error, fs};

use rustix::io::Errno;

use crate::{
    align,
    case::{self, Case, Plan},
    dump::{self, Dump, View},
    errno, exec, moves,
    op::{Op, Outcome, Step},
    rules::{self, Follow},
    side::Side,
    stage::{Bench, Stage},
};

/// A difference.
#[derive(Clone)]
pub struct Difference {
    /// What was compared.
    pub what: String,
    /// What differs.
    pub lines: Vec<String>,
}

/// How a trial ended.
pub enum Verdict {
    /// Both agree about all.
    Same,
    /// They do not agree.
    Different(Difference),
}

/// A trial that was made.
pub struct Trial {
    /// Its case, up to where it ended.
    pub case: Case,
    /// What came of each step on both.
    pub outcomes: Vec<[Outcome; 2]>,
    /// How often each rule was needed.
    pub rules: BTreeMap<&'static str, usize>,
    /// The end.
    pub verdict: Verdict,
}

/// Builds layers, mounts both, and runs the program until there is a difference.
pub fn run(bench: &Bench, plan: &Plan<'_>) -> Result<Trial, Box<dyn Error>> {
    let mut case = Case::default();
    let stage = Stage::build(bench, plan, &mut case)?;
    let mut running = Running {
        stage,
        outcomes: Vec::new(),
        rules: BTreeMap::new(),
        swapped: false,
    };
    let verdict = match running.run(bench, plan, &mut case) {
        Ok(()) => Verdict::Same,
        Err(verdict) => verdict,
    };
    let (outcomes, rules) = (running.outcomes, running.rules);
    match running.stage.clear() {
        Err(error) if matches!(verdict, Verdict::Same) => return Err(error),
        _ => {}
    }
    Ok(Trial {
        case,
        outcomes,
        rules,
        verdict,
    })
}

struct Running {
    stage: Stage,
    outcomes: Vec<[Outcome; 2]>,
    rules: BTreeMap<&'static str, usize>,
    swapped: bool,
}

fn different(what: &str, lines: Vec<String>) -> Result<(), Verdict> {
    if lines.is_empty() {
        return Ok(());
    }
    Err(Verdict::Different(Difference {
        what: what.to_owned(),
        lines,
    }))
}

impl Running {
    fn run(&mut self, bench: &Bench, plan: &Plan<'_>, case: &mut Case) -> Result<(), Verdict> {
        self.mount()?;
        let mut feed = case::program(plan);
        feed.look(&self.stage.sides[0].tree.root);
        while let Some(step) = feed.next() {
            case.steps.push(step.clone());
            match step.op {
                Op::Swap | Op::Remount => {
                    self.remount(step.op == Op::Swap)?;
                    self.outcomes.push([Ok(String::new()), Ok(String::new())]);
                }
                Op::Compare => {
                    self.compare()?;
                    self.outcomes.push([Ok(String::new()), Ok(String::new())]);
                }
                Op::DropCaches => {
                    // Worth a try: not all kernels let it be done.
                    let _ = fs::write("/proc/sys/vm/drop_caches", "3\n");
                    self.outcomes.push([Ok(String::new()), Ok(String::new())]);
                }
                Op::Flag { .. } if !self.stage.sides[0].tree.numbers.one_filesystem => {
                    // A filesystem may refuse flags that another one has. C has noted its own
                    // by then, and the file is protected from the next mount on.
                    self.outcomes.push([Err(Errno::NOSYS), Err(Errno::NOSYS)]);
                }
                _ => self.step(&step)?,
            }
            if let Some([outcome, _]) = self.outcomes.last() {
                feed.learn(&step, outcome);
            }
            if step.op == Op::Compare {
                feed.look(&self.stage.sides[0].tree.root);
            }
        }
        if let Some(plant) = bench.plant {
            if let Err(error) = plant.put(&self.stage.sides[1].upper) {
                eprintln!("rovl-random: planting {plant:?}: {error}");
            }
        }
        self.compare()?;
        // What is left in the caches is not all that there is.
        self.remount(false)?;
        self.compare()?;
        if bench.plant.is_some() {
            // Nothing else than what was planted is to be found.
            return Ok(());
        }
        self.move_directories()
    }

    /// What C refuses, on the overlay that is rovl's, when nothing is to be compared any more.
    fn move_directories(&mut self) -> Result<(), Verdict> {
        let Some((_, rovl)) = self.c_and_rovl() else {
            return Ok(());
        };
        let side = &mut self.stage.sides[rovl];
        side.as_c_does = false;
        if let Err(error) = side.unmount().and_then(|()| side.mount()) {
            let lines = vec![format!("{}: {}", side.driver, errno::name(error))];
            return different("mount without the options to do as C does", lines);
        }
        match moves::try_some(side) {
            Some((what, lines)) => different(&what, lines),
            None => Ok(()),
        }
    }

    fn mount(&mut self) -> Result<(), Verdict> {
        for side in &mut self.stage.sides {
            if let Err(error) = side.mount() {
                different(
                    "mount",
                    vec![format!("{}: {}", side.driver, errno::name(error))],
                )?;
            }
        }
        Ok(())
    }

    /// Unmounts both and mounts them again, by the other driver if drivers are to be
    /// swapped: then each must show what the first one showed.
    fn remount(&mut self, swap: bool) -> Result<(), Verdict> {
        let before = if swap {
            self.compare()?;
            Some(self.dumps())
        } else {
            None
        };
        for side in &mut self.stage.sides {
            if let Err(error) = side.unmount() {
                different(
                    "umount",
                    vec![format!("{}: {}", side.driver, errno::name(error))],
                )?;
            }
        }
        let names = self.names();
        if swap {
            let [one, two] = &mut self.stage.sides;
            self.swapped = true;
            std::mem::swap(&mut one.driver, &mut two.driver);
        }
        self.mount()?;
        if let Some(before) = before {
            let after = self.dumps();
            for side in [0, 1] {
                let lines = dump::differences(
                    (&format!("{} before", names[side]), &before[side]),
                    (&format!("{} after", self.names()[side]), &after[side]),
                    |_, _, _| false,
                );
                different("one upper layer by both drivers", lines)?;
            }
            self.compare()?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), Verdict> {
        let outcomes = self
            .stage
            .sides
            .each_mut()
            .map(|side| exec::step(&mut side.tree, step));
        self.outcomes.push(outcomes.clone());
        if self.c_and_rovl().is_some() {
            align::after(step, &outcomes, &self.stage.sides);
        }
        if outcomes[0] == outcomes[1] {
            return Ok(());
        }
        let rule = self
            .c_and_rovl()
            .and_then(|(c, rovl)| rules::find(step, &outcomes[c], &outcomes[rovl]));
        let Some(rule) = rule else {
            let names = self.names();
            let lines = (0..2)
                .map(|side| format!("{}: {}", names[side], crate::op::show(&outcomes[side])))
                .collect();
            return different(&step.to_string(), lines);
        };
        *self.rules.entry(rule.name).or_default() += 1;
        if rule.follow == Follow::CloseAll {
            for side in &mut self.stage.sides {
                side.tree.close_all();
            }
        }
        Ok(())
    }

    /// Which side is C's and which is rovl's, if there is one of each.
    fn c_and_rovl(&self) -> Option<(usize, usize)> {
        let [one, two] = self.stage.sides.each_ref().map(|side| side.driver.as_str());
        match (one, two) {
            ("overlay", "rovl") => Some((0, 1)),
            ("rovl", "overlay") => Some((1, 0)),
            _ => None,
        }
    }

    fn names(&self) -> [String; 2] {
        let [one, two] = &self.stage.sides;
        [format!("{} (1)", one.driver), format!("{} (2)", two.driver)]
    }

    fn dumps(&self) -> [Dump; 2] {
        self.stage.sides.each_ref().map(Side::dump)
    }

    fn compare(&self) -> Result<(), Verdict> {
        self.compare_by("overlays", Side::dump, |_, _, _| false)?;
        let c_and_rovl = self.c_and_rovl();
        let excuse = |field: &str, one: &str, two: &str| match c_and_rovl {
            // Once drivers were swapped, each upper layer is the work of both.
            Some((c, _)) if field == "xattrs" => {
                (c == 0 || self.swapped) && rules::excuses(one, two)
                    || (c == 1 || self.swapped) && rules::excuses(two, one)
            }
            _ => false,
        };
        let upper = |side: &Side| dump::take(&side.upper, View::Upper, &side.tree.numbers);
        self.compare_by("upper layers", upper, excuse)?;
        let index = |side: &Side| dump::take(&side.index(), View::Index, &side.tree.numbers);
        self.compare_by("indices", index, excuse)
    }

    fn compare_by(
        &self,
        what: &str,
        take: impl Fn(&Side) -> Dump,
        excuse: impl Fn(&str, &str, &str) -> bool,
    ) -> Result<(), Verdict> {
        let [one, two] = self.stage.sides.each_ref().map(take);
        let names = self.names();
        different(
            what,
            dump::differences((&names[0], &one), (&names[1], &two), excuse),
        )
    }
}
