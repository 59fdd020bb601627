// SPDX-License-Identifier: GPL-2.0

//! What is written to files, and what may be found there after a crash.
//!
//! What is made durable is there. Of what was written since, any byte may be old or
//! new, since pages are written in any order; the file may have any size between the
//! smallest and the largest that it had since; and where it has grown, zeros are what
//! filesystems show until the data is written. A copy-up is not in this list: what
//! nobody wrote to is all there.

use crate::history::History;
use crate::model::{Change, Id};
use crate::op::Sync;

/// What the operation with this number writes; no byte is zero.
pub fn written(number: usize, at: u64, len: usize) -> Vec<u8> {
    let salt = number as u64 * 41 + 7;
    (at..at + len as u64)
        .map(|at| ((salt + at * 13 + (at >> 8) * 101) % 255) as u8 + 1)
        .collect()
}

/// What the layer has in a file.
pub fn initial(id: Id, len: usize) -> Vec<u8> {
    written(1_000_000 + id, 0, len)
}

/// What a file may have in it.
pub struct Permitted {
    /// All that it has been since it was last durable, in this order.
    contents: Vec<Vec<u8>>,
}

impl Permitted {
    /// What the file may have in it when the first `completed` operations are done, and
    /// the next one perhaps.
    pub fn of(history: &History, id: Id, completed: usize) -> Self {
        let mut this = Self {
            contents: vec![history.initial(id)],
        };
        for (number, step) in history.steps.iter().enumerate().take(completed + 1) {
            if let Some((_, change)) = step.change.as_ref().filter(|(of, _)| *of == id) {
                this.change(number, change);
            }
            if number < completed {
                match (&step.sync, &step.change) {
                    (Some((Sync::Written, of)), Some((_, Change::Write { at, len })))
                        if *of == Some(id) =>
                    {
                        for content in &mut this.contents {
                            put(content, *at, &written(number, *at, *len));
                        }
                    }
                    (Some((Sync::Written, _)), _) | (None, _) => {}
                    (Some((_, of)), _) if of.is_none_or(|of| of == id) => {
                        this.contents.drain(..this.contents.len() - 1);
                    }
                    (Some(_), _) => {}
                }
            }
        }
        this
    }

    fn change(&mut self, number: usize, change: &Change) {
        let mut content = self.contents.last().cloned().unwrap_or_default();
        match change {
            Change::Write { at, len } => put(&mut content, *at, &written(number, *at, *len)),
            Change::Truncate { len } => content.resize(*len as usize, 0),
        }
        self.contents.push(content);
    }

    /// Says what is wrong with what was found.
    pub fn check(&self, found: &[u8]) -> Result<(), String> {
        let sizes = || self.contents.iter().map(Vec::len);
        let smallest = sizes().min().unwrap_or(0);
        let largest = sizes().max().unwrap_or(0);
        if !(smallest..=largest).contains(&found.len()) {
            return Err(format!(
                "has {} bytes, not {smallest} to {largest}",
                found.len()
            ));
        }
        let is_permitted = |at: usize, byte: u8| {
            byte == 0 && at >= smallest
                || self
                    .contents
                    .iter()
                    .any(|content| content.get(at) == Some(&byte))
        };
        match (0..found.len()).find(|&at| !is_permitted(at, found[at])) {
            None => Ok(()),
            Some(at) => Err(format!(
                "has the byte {} at {at} of {}, which is none of the {} that it had since it was \
                 durable",
                found[at],
                found.len(),
                self.contents.len()
            )),
        }
    }
}

fn put(content: &mut Vec<u8>, at: u64, data: &[u8]) {
    let (at, end) = (at as usize, at as usize + data.len());
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(data);
}
