// SPDX-License-Identifier: GPL-2.0
//! What is said of a way of looking at the file.

use std::{fmt, io};

/// Why a way did not show what the file holds.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It showed other data.
    Stale,
    /// Something other than the data is wrong: this.
    Wrong(String),
    /// A call failed.
    Failed(io::Error),
    /// A call failed, and does through a new descriptor too: it is not offered.
    Missing(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// What a look at the file showed.
pub(crate) type Seen = Result<(), Trouble>;

/// That the data is as it should be, or stale.
pub(crate) fn current(is_current: bool) -> Seen {
    is_current.then_some(()).ok_or(Trouble::Stale)
}

/// That this holds, or what is wrong.
pub(crate) fn holds(holds: bool, what_if_not: impl FnOnce() -> String) -> Seen {
    holds
        .then_some(())
        .ok_or_else(|| Trouble::Wrong(what_if_not()))
}

/// What is reported of a way.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It showed what the file held.
    Coherent,
    /// It did not.
    Bad(Trouble),
    /// The kernel, the filesystem or a sandbox does not offer it.
    Unavailable(io::Error),
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coherent => write!(out, "coherent"),
            Self::Bad(Trouble::Stale) => write!(out, "STALE"),
            Self::Bad(Trouble::Wrong(what)) => write!(out, "WRONG: {what}"),
            Self::Bad(Trouble::Failed(error) | Trouble::Missing(error)) => {
                write!(out, "FAILED: {error}")
            }
            Self::Unavailable(error) => write!(out, "not offered here: {error}"),
        }
    }
}
