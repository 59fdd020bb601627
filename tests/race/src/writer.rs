// SPDX-License-Identifier: GPL-2.0

//! Copies files up, and writes them.

use crate::{arena::Arena, file_name, FILES, PAGE, PAGES, WRITES};
use std::{fs::OpenOptions, io, os::unix::fs::FileExt, path::Path};

/// Writes every `step`-th file from `first` on.
pub fn run(arena: &Arena, merged: &Path, first: usize, step: usize) -> io::Result<()> {
    for index in (first..FILES).step_by(step) {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(merged.join(file_name(index)))?;
        for number in 1..=WRITES {
            for page in 0..PAGES {
                file.write_all_at(&number.to_ne_bytes(), (page * PAGE) as u64)?;
            }
            arena.announce(index, number);
            std::thread::yield_now();
        }
    }
    Ok(())
}
