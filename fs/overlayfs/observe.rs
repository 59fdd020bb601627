// SPDX-License-Identifier: GPL-2.0

//! What is told of an overlay's work: its counters, and tracepoints.

use crate::{
    layered::Objects,
    layers::LayerIndex,
    Overlay, //
};
use core::cell::Cell;
use kernel::prelude::*;
use vfs::{
    dentry::{DentryOf, Name},
    inode::InodeOf,
    trace::{self, Copied, Reason}, //
};

/// What is known of a copy-up before it ends.
pub(crate) struct Progress {
    what: Cell<Copied>,
    bytes: Cell<u64>,
}

impl Progress {
    /// The data of the file is not copied.
    pub(crate) fn without_data(&self) {
        self.what.set(Copied::Metadata);
    }

    /// So many more bytes of data were copied.
    pub(crate) fn add_bytes(&self, bytes: i64) {
        let bytes = u64::try_from(bytes).unwrap_or(0);
        self.bytes.set(self.bytes.get().saturating_add(bytes));
    }
}

/// Copies an inode up, or what is missing of it, by `f`, and tells of that.
pub(crate) fn copy_up(
    dentry: &DentryOf<Overlay>,
    inode: &InodeOf<Overlay>,
    reason: Reason,
    what: Copied,
    f: impl FnOnce(&Progress) -> Result,
) -> Result {
    let begin = trace::CopyUp::begin();
    let progress = Progress {
        what: Cell::new(what),
        bytes: Cell::new(0),
    };
    let result = f(&progress);
    let (what, bytes) = (progress.what.get(), progress.bytes.get());
    let counters = &inode.super_data().counters;
    let mode = inode.mode();
    let counter = match what {
        _ if result.is_err() => &counters.copy_up_failed,
        Copied::Data => &counters.copy_up_metacopy_data,
        Copied::Metadata => &counters.copy_up_metadata,
        Copied::All if mode.is_reg() => &counters.copy_up_files,
        Copied::All if mode.is_dir() => &counters.copy_up_directories,
        Copied::All => &counters.copy_up_others,
    };
    counter.add(1);
    if bytes > 0 {
        counters.copy_up_bytes.add(bytes);
    }
    if let Some(begin) = begin {
        let event = trace::CopyUp {
            dentry,
            inode,
            reason,
            what,
            bytes,
            result,
        };
        event.end(&begin);
    }
    result
}

/// A whiteout was made that hides `name` in `dir`.
pub(crate) fn whiteout(dir: &InodeOf<Overlay>, name: Name<'_>) {
    dir.super_data().counters.whiteouts.add(1);
    trace::whiteout(dir, name);
}

/// A name was looked for in so many layers of `dir`.
pub(crate) fn lookup(dir: &InodeOf<Overlay>, name: Name<'_>, layers: u32, found: Option<&Objects>) {
    let counters = &dir.super_data().counters;
    counters.lookups.add(1);
    counters.lookup_layers.add(layers.into());
    let Some(found) = found else {
        return;
    };
    let highest = match &found.upper {
        Some(_) => Some(LayerIndex::UPPER),
        None => found.lower.first().map(|lower| lower.layer),
    };
    match highest {
        Some(layer) => counters.found_in(layer).add(1),
        None => {
            counters.lookups_negative.add(1);
            trace::lookup_miss(dir, name, layers);
        }
    }
}
