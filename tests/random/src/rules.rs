// SPDX-License-Identifier: GPL-2.0

//! Where rovl is meant to do otherwise than C overlayfs.
//!
//! Each rule says what it is about, why, and how the comparison goes on. The reasons in full
//! are in Documentation/filesystems/rovl-differences.rst.

use rustix::io::Errno;

use crate::op::{Op, Outcome, Step, Target};

/// How two trees come together again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// The rename is done back. Upper has another history then, and is not compared
    /// any more.
    RenameBack,
    /// The object has no name: all descriptors are closed, so that nothing is left of it.
    CloseAll,
}

/// A difference that is meant.
pub struct Rule {
    /// For statistics.
    pub name: &'static str,
    /// What to do about it.
    pub follow: Follow,
    applies: fn(&Op, &Outcome, &Outcome) -> bool,
}

const RULES: [Rule; 2] = [
    Rule {
        // Without redirect_dir C cannot record where a directory came from.
        name: "rename of a lower directory",
        follow: Follow::RenameBack,
        applies: |op, c, rovl| {
            matches!(op, Op::Rename { .. }) && *c == Err(Errno::XDEV) && rovl.is_ok()
        },
    },
    Rule {
        // C gives the copy of a removed file its name back and meets the whiteout.
        // rovl makes a copy without a name.
        name: "change of a removed file",
        follow: Follow::CloseAll,
        applies: |op, c, rovl| {
            matches!(
                op,
                Op::Chmod {
                    target: Target::Slot(_),
                    ..
                } | Op::Chown {
                    target: Target::Slot(_),
                    ..
                } | Op::Utimens {
                    target: Target::Slot(_),
                    ..
                } | Op::SetXattr {
                    target: Target::Slot(_),
                    ..
                } | Op::RemoveXattr {
                    target: Target::Slot(_),
                    ..
                }
            ) && matches!(*c, Err(Errno::EXIST))
                && *rovl != Err(Errno::EXIST)
        },
    },
];

/// The rule for what came of a step on C and on rovl.
pub fn find(step: &Step, c: &Outcome, rovl: &Outcome) -> Option<&'static Rule> {
    RULES.iter().find(|rule| (rule.applies)(&step.op, c, rovl))
}
