// SPDX-License-Identifier: GPL-2.0

//! An operation with a fault in each of its steps, and what has to be true after each.

use std::cell::Cell;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::inject::{Injector, Outcome};
use crate::operation::Operation;
use crate::plant::Mistake;
use crate::scene::Scene;
use crate::snapshot::{self, Field, Tree};

/// What all trials have in common.
pub struct Bench {
    /// The filesystem type.
    pub fs: String,
    /// What looks at upper afterwards.
    pub other: String,
    /// Where the layers are.
    pub root: PathBuf,
    /// From one fault to the next.
    pub stride: usize,
    /// Whether to do everything twice, to look at failures in both ways.
    pub thorough: bool,
    /// Whether what is done is not looked at, which takes the most time.
    pub brief: bool,
    /// Makes faults.
    pub injector: Injector,
    /// What is done wrong on purpose.
    pub mistake: Option<Mistake>,
}

/// What was seen of an operation.
#[derive(Default)]
pub struct Tally {
    /// Faults that it met.
    pub faults: u32,
    /// Of those, how many made it fail.
    pub failed: u32,
}

/// Far more steps than any operation has.
const ENDLESS: usize = 100_000;

/// What trees of different mounts may differ in: numbers of objects that were created anew.
const ANEW: &[Field] = &[Field::Inode];

/// As well as how a later mount may differ from the first.
const LATER: &[Field] = &[Field::Inode, Field::Options];

/// Does the operation with a fault in each step.
pub fn run(bench: &Bench, operation: &Operation) -> Result<Tally, String> {
    let trial = Trial::new(bench, operation)?;
    let mut tally = Tally::default();
    // From the middle of the first stretch: for strides of 10 all numbers are odd. With
    // kmemleak each allocation is followed by one of its own, which may fail.
    for nth in (bench.stride.div_ceil(2)..ENDLESS).step_by(bench.stride) {
        if trial.with_fault(nth, &mut tally)? {
            continue;
        }
        if tally.faults == 0 {
            // There are fewer than that.
            trial.with_fault(1, &mut tally)?;
        }
        return trial.finish(tally);
    }
    Err("it never ends".into())
}

/// Says what was tried.
fn trying<T, E: Display>(what: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error}"))
}

struct Trial<'a> {
    bench: &'a Bench,
    operation: &'a Operation,
    /// What is seen before the operation, and after it.
    old: Tree,
    new: Tree,
    /// Mounts that became read-only.
    read_only: Cell<u32>,
}

impl<'a> Trial<'a> {
    /// Does it without a fault, to know what is right.
    fn new(bench: &'a Bench, operation: &'a Operation) -> Result<Self, String> {
        let mut trial = Self {
            bench,
            operation,
            old: Tree::new(),
            new: Tree::new(),
            read_only: Cell::new(0),
        };
        let mut scene = trial.scene()?;
        trying("mount", scene.have_mounted())?;
        trial.old = trial.seen(&scene);
        trying("leave", scene.leave())?;
        let mut scene = trial.scene()?;
        let (outcome, _) = trial.perform(&mut scene, 0)?;
        if outcome != Outcome::Done {
            return Err(format!("without a fault: {outcome}"));
        }
        (operation.inspect)(&scene, outcome).map_err(|why| format!("without a fault: {why}"))?;
        trying("mount", scene.have_mounted())?;
        trial.new = trial.seen(&scene);
        trying("leave", scene.leave())?;
        Ok(trial)
    }

    /// A full filesystem makes a mount read-only, and tmpfs says that it is full if it has no
    /// memory for an inode: that of `work` or of `index`.
    fn finish(&self, tally: Tally) -> Result<Tally, String> {
        match self.read_only.get() {
            0..=2 => Ok(tally),
            count => Err(format!("{count} mounts became read-only")),
        }
    }

    fn seen(&self, scene: &Scene) -> Tree {
        match self.bench.brief {
            true => Tree::new(),
            false => snapshot::of_mount(&scene.merged()),
        }
    }

    /// A new overlay in the state that the operation starts from.
    fn scene(&self) -> Result<Scene, String> {
        let Bench { fs, root, .. } = self.bench;
        let mut scene = trying("make layers", Scene::new(fs, root, self.operation))?;
        if !self.operation.mounts {
            trying("mount", scene.mount())?;
        }
        trying("prepare", (self.operation.prepare)(&mut scene))?;
        Ok(scene)
    }

    fn perform(&self, scene: &mut Scene, nth: usize) -> Result<(Outcome, bool), String> {
        let injector = &self.bench.injector;
        let run = || (self.operation.run)(scene);
        let performed = match self.operation.in_child {
            true => injector.in_child(nth, run),
            false => injector.here(nth, run),
        };
        trying("inject", performed)
    }

    /// Does it with the nth allocation failing, and tells whether there was one.
    fn with_fault(&self, nth: usize, tally: &mut Tally) -> Result<bool, String> {
        // What failed is tried again at once, or found by the next mount.
        let by_turns = (nth / self.bench.stride) % 2 == 0;
        let ways = match self.bench.thorough {
            true => &[true, false][..],
            false => &[by_turns],
        };
        let mut met = false;
        for again in ways {
            let once = self.once(nth, *again);
            let (outcome, injected) = once.map_err(|why| format!("fault {nth}: {why}"))?;
            met |= injected;
            tally.faults += u32::from(injected);
            tally.failed += u32::from(outcome != Outcome::Done);
        }
        Ok(met)
    }

    /// Does it with one fault, and looks at everything. If that makes it fail, it either
    /// has to succeed `again`, or the next mount has to find what there was before.
    fn once(&self, nth: usize, again: bool) -> Result<(Outcome, bool), String> {
        let mut scene = self.scene()?;
        let (outcome, injected) = self.perform(&mut scene, nth)?;
        let is_right = match injected {
            true => self.operation.may_end(outcome, &self.bench.fs),
            false => outcome == Outcome::Done,
        };
        if !is_right {
            return Err(format!("{outcome}"));
        }
        let said = move |why: String| format!("{outcome}, then {why}");
        self.look(&mut scene, outcome, again).map_err(said)?;
        Ok((outcome, injected))
    }

    fn look(&self, scene: &mut Scene, outcome: Outcome, again: bool) -> Result<(), String> {
        (self.operation.inspect)(scene, outcome)?;
        trying("mount", scene.have_mounted())?;
        let first = !(self.operation.mounts && trying("statvfs", scene.has_become_readonly())?);
        if !first {
            self.read_only.set(self.read_only.get() + 1);
            trying("umount", scene.unmount())?;
            trying("mount", scene.mount())?;
        }
        if let Some(mistake) = self.bench.mistake {
            trying("make a mistake", mistake.make(scene))?;
        }
        let mut wanted = match outcome {
            Outcome::Done => &self.new,
            Outcome::Failed(_) | Outcome::Killed(_) => &self.old,
        };
        // The first mount ever makes a UUID, which is an option; later ones find it.
        let (ignored, excused) = match outcome {
            Outcome::Done if first => (ANEW, &[][..]),
            Outcome::Done => (LATER, &[][..]),
            Outcome::Failed(_) | Outcome::Killed(_) => (LATER, self.operation.may_change),
        };
        let mut seen = self.seen(scene);
        let as_before = snapshot::same_but(wanted, &seen, ignored, excused);
        if self.operation.may_be_done && as_before.is_err() {
            wanted = &self.new;
        }
        snapshot::same_but(wanted, &seen, ignored, excused)?;
        if again && outcome != Outcome::Done {
            self.repeat(scene)?;
            wanted = &self.new;
            seen = self.seen(scene);
            snapshot::same(wanted, &seen, LATER).map_err(|why| format!("again: {why}"))?;
        }
        trying("leave", scene.leave())?;
        if self.bench.brief {
            return Ok(());
        }
        self.look_later(scene, &seen, again)
    }

    /// What failed succeeds now.
    fn repeat(&self, scene: &mut Scene) -> Result<(), String> {
        if self.operation.mounts {
            // It was mounted to be looked at.
            trying("umount", scene.unmount())?;
        }
        let (outcome, _) = self.perform(scene, 0)?;
        if outcome != Outcome::Done {
            return Err(format!("again: {outcome}"));
        }
        (self.operation.inspect)(scene, outcome).map_err(|why| format!("again: {why}"))?;
        trying("mount", scene.have_mounted())
    }

    /// The next mount finds the same; nothing is left over.
    fn look_later(&self, scene: &mut Scene, seen: &Tree, again: bool) -> Result<(), String> {
        let said = |why: String| format!("later: {why}");
        self.look_anew(scene, seen, &[Field::Options])
            .map_err(said)?;
        if again {
            return Ok(());
        }
        // So does the other driver.
        scene.fs = self.bench.other.clone();
        let said = |why: String| format!("later, on {}: {why}", self.bench.other);
        self.look_anew(scene, seen, LATER).map_err(said)
    }

    fn look_anew(&self, scene: &Scene, seen: &Tree, ignored: &[Field]) -> Result<(), String> {
        trying("forgive", scene.forgive())?;
        trying("mount", scene.mount())?;
        trying("forgive", scene.forgive())?;
        let later = self.seen(scene);
        let left = trying("list the work directory", scene.leftovers());
        trying("umount", scene.unmount())?;
        snapshot::same(seen, &later, ignored)?;
        match left?.as_slice() {
            [] => Ok(()),
            left => Err(format!("left over: {left:?}")),
        }
    }
}

/// What no operation may change.
pub fn lower_layers(root: &Path) -> Tree {
    let mut tree = snapshot::take(root);
    let writable = ["/upper", "/work", "/merged"];
    tree.retain(|path, _| !path.is_empty() && !writable.iter().any(|name| path.starts_with(name)));
    tree
}
