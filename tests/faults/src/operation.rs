// SPDX-License-Identifier: GPL-2.0

//! What an operation is, and what is right about it.

use rustix::io::Errno;

use crate::inject::Outcome;
use crate::layers::MANY;
use crate::scene::Scene;
use crate::snapshot::Field;

/// Something that is done, a fault in each step of it.
pub struct Operation {
    /// What it is called.
    pub name: &'static str,
    /// Mount options, after a comma.
    pub options: &'static str,
    /// A layer of data only.
    pub data_only: &'static str,
    /// Whether there is upper.
    pub has_upper: bool,
    /// Whether all layers between the two are there.
    pub many: bool,
    /// Whether a layer with a program is there, too.
    pub program: bool,
    /// Whether the overlay is mounted by itself.
    pub mounts: bool,
    /// Whether it is done in a process of its own.
    pub in_child: bool,
    /// Whether it is about what only rovl does.
    pub is_beyond_c: bool,
    /// Whether one that failed may have been done all the same.
    pub may_be_done: bool,
    /// What a failed one may have changed: fields of objects.
    pub may_change: &'static [(&'static str, Field)],
    /// Brings the overlay into the state that it starts from.
    pub prepare: Step,
    /// Does it.
    pub run: Step,
    /// Looks at what a process holds, once it is done or has failed.
    pub inspect: fn(&Scene, Outcome) -> Result<(), String>,
    /// How it may end besides, and why.
    pub may_end: &'static [(Outcome, &'static str)],
}

/// How all operations may end, and why.
const ENDS: &[(Outcome, &str)] = &[
    (Outcome::Failed(Errno::NOMEM), "there was no memory"),
    (
        Outcome::Failed(Errno::NOSPC),
        "what tmpfs says if there is no memory for an inode",
    ),
];

/// How they may end on C overlayfs, too.
const ENDS_OF_C: &[(Outcome, &str)] = &[(
    Outcome::Failed(Errno::IO),
    "what copy-up says if names cannot be locked, for want of memory or whatever else",
)];

/// A part of an operation.
pub type Step = fn(&mut Scene) -> Result<(), Errno>;

impl Operation {
    /// An operation on an overlay of two lower layers and upper.
    pub const fn new(name: &'static str, run: Step) -> Self {
        Self {
            name,
            options: "",
            data_only: "",
            has_upper: true,
            many: false,
            program: false,
            mounts: false,
            in_child: false,
            is_beyond_c: false,
            may_be_done: false,
            may_change: &[],
            prepare: |_| Ok(()),
            run,
            inspect: |_, _| Ok(()),
            may_end: &[],
        }
    }

    /// Whether an outcome is one that there may be, on a type of filesystem.
    pub fn may_end(&self, outcome: Outcome, fs: &str) -> bool {
        let c = if fs == "overlay" { ENDS_OF_C } else { &[] };
        let named = ENDS.iter().chain(c).chain(self.may_end);
        outcome == Outcome::Done || named.map(|(end, _)| *end).any(|end| end == outcome)
    }

    /// Lower layers, the highest first.
    pub fn lower(&self) -> Vec<String> {
        if !self.data_only.is_empty() {
            // Not with others: C lists the whiteouts of a directory of one layer.
            return vec!["lazy".into()];
        }
        let mut names = vec![String::from("top")];
        if self.many {
            names.extend((0..MANY).map(|number| format!("m{number}")));
        }
        if self.program {
            names.push("program".into());
        }
        names.push("base".into());
        names
    }
}
