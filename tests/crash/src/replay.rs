// SPDX-License-Identifier: GPL-2.0

//! What a disk may be like after a crash at some point of the log.
//!
//! What was flushed is there. Of what was written since any part may be there, in
//! blocks; what was forced to the medium is.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::disk::{Disk, BLOCK};
use crate::log::{Event, Log};
use crate::rng::Rng;

/// What happens to writes that were not flushed.
#[derive(Clone, Copy, Debug)]
pub enum Unflushed {
    Kept,
    Lost,
    /// Each block is kept or lost.
    Some,
}

/// A log that is replayed from its beginning to its end.
pub struct Replay<'a> {
    log: &'a Log,
    /// What is on the medium for certain.
    disk: Disk,
    /// The events that come after that.
    flushed: usize,
    /// Whether the last flush and all that came after it does nothing, which no disk may
    /// do.
    plant: bool,
}

impl<'a> Replay<'a> {
    /// Begins with the disk that the log was begun with.
    pub fn new(log: &'a Log, disk: Disk, plant: bool) -> Self {
        Self {
            log,
            disk,
            flushed: 0,
            plant,
        }
    }

    /// Makes an image of the disk as it may be after so many events, at least as many as
    /// before, and says how many operations were complete.
    pub fn crash(
        &mut self,
        events: usize,
        unflushed: Unflushed,
        rng: &mut Rng,
        path: &str,
    ) -> io::Result<usize> {
        let log = &self.log.events[..events];
        let flushes = (0..events).filter(|&at| matches!(log[at], Event::Flush));
        let flushed = flushes.rev().nth(usize::from(self.plant));
        self.flush(flushed.map_or(0, |last| last + 1))?;
        let image = self.disk.save(path)?;
        let lost = if self.plant { events } else { self.flushed };
        for event in &log[lost..] {
            if let Event::Write {
                at,
                from,
                len,
                forced,
            } = event
            {
                let data = self.log.data(*from, *len)?;
                let how = if *forced { Unflushed::Kept } else { unflushed };
                put(&image, *at, &data, how, rng)?;
            }
        }
        let mut marks = log.iter().rev().filter_map(|event| match event {
            Event::Mark(completed) => Some(*completed),
            _ => None,
        });
        Ok(marks.next().unwrap_or(0))
    }

    fn flush(&mut self, until: usize) -> io::Result<()> {
        for event in &self.log.events[self.flushed..until] {
            if let Event::Write { at, from, len, .. } = event {
                self.disk.write(*at, &self.log.data(*from, *len)?);
            }
        }
        self.flushed = until;
        Ok(())
    }
}

fn put(image: &File, at: u64, data: &[u8], how: Unflushed, rng: &mut Rng) -> io::Result<()> {
    for (number, block) in data.chunks(BLOCK).enumerate() {
        let kept = match how {
            Unflushed::Kept => true,
            Unflushed::Lost => false,
            Unflushed::Some => rng.percent(50),
        };
        if kept {
            image.write_all_at(block, at + (number * BLOCK) as u64)?;
        }
    }
    Ok(())
}
