// SPDX-License-Identifier: GPL-2.0
//! The ways of looking at the file through what was opened before the copy-up.

mod data;
mod held;
mod mapped;
mod state;

use crate::{
    content::Content,
    holder::Holder,
    reader,
    verdict::{Seen, Trouble, Verdict},
};
use std::{io, path::Path, rc::Rc};

pub(crate) use data::compare;

/// A way of looking, with what it opened before the copy-up.
pub(crate) struct Way {
    name: &'static str,
    /// Whether a kernel, filesystem or sandbox may well not offer it.
    is_optional: bool,
    look: Box<dyn FnMut(&Content) -> Seen>,
    verdict: Verdict,
}

/// Opens what each way looks through.
pub(crate) fn open_all(path: &Path) -> io::Result<Vec<Way>> {
    let holder = Rc::new(Holder::start(path)?);
    let mut ways = data::open_all(path)?;
    ways.extend(state::open_all(path)?);
    ways.extend(mapped::open_all(path, &holder)?);
    ways.push(reader::open(path)?);
    ways.extend(held::open_all(path, &holder));
    ways.extend(data::open_all_that_sync(path)?);
    // Last, because the file is opened for writing to see it.
    ways.push(held::lease(path)?);
    Ok(ways)
}

impl Way {
    /// A way that every Linux offers.
    pub(crate) fn new(name: &'static str, look: impl FnMut(&Content) -> Seen + 'static) -> Self {
        Self {
            name,
            is_optional: false,
            look: Box::new(look),
            verdict: Verdict::Coherent,
        }
    }

    /// A way that is not always there: errors do not count until it has worked once.
    pub(crate) fn optional(
        name: &'static str,
        look: impl FnMut(&Content) -> Seen + 'static,
    ) -> Self {
        Self {
            is_optional: true,
            ..Self::new(name, look)
        }
    }

    /// What the report calls it.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// What was seen so far.
    pub(crate) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Looks whether the file holds `content`; what was bad stays bad.
    pub(crate) fn look(&mut self, content: &Content) {
        let was_offered = match self.verdict {
            Verdict::Coherent => !content.is_old(),
            Verdict::Bad(_) => return,
            Verdict::Unavailable(_) => false,
        };
        self.verdict = match (self.look)(content) {
            Ok(()) => Verdict::Coherent,
            Err(Trouble::Failed(error)) if self.is_optional && !was_offered => {
                Verdict::Unavailable(error)
            }
            Err(Trouble::Missing(error)) => Verdict::Unavailable(error),
            Err(trouble) => Verdict::Bad(trouble),
        };
    }
}

/// Gives again what was made, or the error that it met with, as often as needed.
fn made<T>(result: &mut io::Result<T>) -> io::Result<&mut T> {
    result.as_mut().map_err(|error| match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::other(error.to_string()),
    })
}
