// SPDX-License-Identifier: GPL-2.0

//! Where rovl is meant to do otherwise than C overlayfs.
//!
//! Each rule says what it is about, why, and how the comparison goes on. The reasons in full
//! are in Documentation/filesystems/rovl-differences.rst.
//!
//! What C refuses and rovl does is in [`crate::moves`].

use rustix::io::Errno;

use crate::op::{Op, Outcome, Step, Target};

/// How two trees come together again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// They are the same.
    Nothing,
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
        // rovl looks whether a directory is empty, C leaves that to upper's filesystem if it
        // alone has the directory. POSIX knows both errors; xfs has the other one.
        name: "error of a rename to a directory that is not empty",
        follow: Follow::Nothing,
        applies: |op, c, rovl| {
            matches!(op, Op::Rename { .. })
                && *c == Err(Errno::EXIST)
                && *rovl == Err(Errno::NOTEMPTY)
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

/// An attribute of the format that C and rovl do not give to the same objects of an upper
/// layer.
struct Excuse {
    /// The attribute, with the value that it has then, in the namespace of the mount.
    attribute: &'static str,
    /// Whether C may have it where rovl does not.
    c_alone: bool,
    /// Whether rovl may have it where C does not.
    rovl_alone: bool,
}

const EXCUSES: [Excuse; 3] = [
    // C notes where a directory comes from before it knows that it cannot be renamed. A note
    // that is needed is noticed without: lower objects would be missed after the next mount.
    Excuse {
        attribute: "overlay.redirect=",
        c_alone: true,
        rovl_alone: false,
    },
    // The mark says only that listings have to look numbers up, which are compared. C marks
    // the parent of whatever it copies up; rovl does not if the copy has no origin, as that
    // of a file with several links. Both take the mark away when they list a directory that
    // does not need it.
    Excuse {
        attribute: "overlay.impure=y",
        c_alone: true,
        rovl_alone: false,
    },
    // C marks a directory before it knows that it cannot be renamed, and leaves that. A mark
    // that is needed is noticed without: lower objects would be seen after the next mount.
    Excuse {
        attribute: "overlay.opaque=y",
        c_alone: true,
        rovl_alone: false,
    },
];

/// Whether the lists of attributes of an object in C's upper layer and in rovl's may differ
/// as they do.
pub fn excuses(c: &str, rovl: &str) -> bool {
    let (c, rovl) = (&last_components(c, rovl), &last_components(rovl, c));
    let alone = |list: &str, other: &str| -> Vec<String> {
        list.split(' ')
            .filter(|attribute| !other.split(' ').any(|other| other == *attribute))
            .filter(|attribute| !attribute.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let excused = |attribute: &String, allowed: fn(&Excuse) -> bool| {
        let name = attribute
            .strip_prefix("trusted.")
            .or_else(|| attribute.strip_prefix("user."))
            .unwrap_or(attribute);
        EXCUSES
            .iter()
            .any(|excuse| name.starts_with(excuse.attribute) && allowed(excuse))
    };
    alone(c, rovl)
        .iter()
        .all(|attribute| excused(attribute, |excuse| excuse.c_alone))
        && alone(rovl, c)
            .iter()
            .all(|attribute| excused(attribute, |excuse| excuse.rovl_alone))
}

/// A list of attributes with the redirect as in the same directory, if that of the other list is
/// so: a rename to another directory makes C write the whole path before it fails.
fn last_components(list: &str, other: &str) -> String {
    const REDIRECT: &str = "trusted.overlay.redirect=";
    let is_relative = other
        .split(' ')
        .filter_map(|attribute| attribute.strip_prefix(REDIRECT))
        .any(|path| !path.starts_with('/'));
    list.split(' ')
        .map(|attribute| match attribute.rsplit_once('/') {
            Some((path, last)) if is_relative && path.starts_with(REDIRECT) => {
                format!("{REDIRECT}{last}")
            }
            _ => attribute.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// The rule for what came of a step on C and on rovl.
pub fn find(step: &Step, c: &Outcome, rovl: &Outcome) -> Option<&'static Rule> {
    RULES.iter().find(|rule| (rule.applies)(&step.op, c, rovl))
}
