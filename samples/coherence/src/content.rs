// SPDX-License-Identifier: GPL-2.0
//! What the file holds: what it held before, and what is written.

use std::{fs::File, io, os::unix::fs::FileExt};

/// How much is written, and compared, in either place: at the start and behind the old end.
pub(crate) const STRETCH: usize = 64;

/// What a file holds at the two places that are written.
pub(crate) struct Content {
    /// The bytes at offset zero.
    pub(crate) head: [u8; STRETCH],
    /// Where the file ended before it was written.
    pub(crate) old_size: u64,
    /// The bytes from there on; `None` as long as there are none.
    pub(crate) tail: Option<[u8; STRETCH]>,
}

impl Content {
    /// What a file of this size holds now, before the copy-up.
    pub(crate) fn old(file: &File, old_size: u64) -> io::Result<Self> {
        let mut head = [0; STRETCH];
        file.read_exact_at(&mut head, 0)?;
        Ok(Self {
            head,
            old_size,
            tail: None,
        })
    }

    /// What is to be written in a round.
    pub(crate) fn written(round: u32, old_size: u64) -> Self {
        let line = |place| {
            let text = format!(
                "{place} of round {round}, by process {}",
                std::process::id()
            );
            let mut bytes = [b'.'; STRETCH];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            bytes[STRETCH - 1] = b'\n';
            bytes
        };
        Self {
            head: line("head"),
            old_size,
            tail: Some(line("tail")),
        }
    }

    /// Writes it to the file.
    pub(crate) fn write_to(&self, file: &File) -> io::Result<()> {
        file.write_all_at(&self.head, 0)?;
        if let Some(tail) = &self.tail {
            file.write_all_at(tail, self.old_size)?;
        }
        Ok(())
    }

    /// Whether it is what was there before the copy-up.
    pub(crate) fn is_old(&self) -> bool {
        self.tail.is_none()
    }

    /// The file's size when it holds this.
    pub(crate) fn size(&self) -> u64 {
        self.old_size + self.tail.map_or(0, |tail| tail.len() as u64)
    }
}
