// SPDX-License-Identifier: GPL-2.0

//! The log of the device-mapper target log-writes: `drivers/md/dm-log-writes.c`.
//!
//! A write is in the log when it is complete and a flush came after it, or it was
//! forced to the medium itself; a mark is at once. So what was written for an
//! operation comes after the mark before it, and what an operation has made durable
//! comes before the next mark.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
const FLUSH: u64 = 1 << 0;
const FUA: u64 = 1 << 1;
const DISCARD: u64 = 1 << 2;
const MARK: u64 = 1 << 3;
/// Bytes before the data of a mark.
const HEADER: usize = 32;

/// What happened at one time.
pub enum Event {
    /// Data, which is at a place in the log, was written to a place of the device.
    Write {
        at: u64,
        from: u64,
        len: usize,
        /// It was on the medium when it was complete.
        forced: bool,
    },
    /// All that was written is on the medium.
    Flush,
    /// So many operations are complete.
    Mark(usize),
}

/// A log.
pub struct Log {
    file: File,
    pub events: Vec<Event>,
}

impl Log {
    /// Reads the log in a file, from the mark of the first operation on.
    pub fn open(path: &str) -> io::Result<Self> {
        let file = File::open(path)?;
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0)?;
        let (magic, version) = (number(&header, 0), number(&header, 8));
        let (entries, sector) = (number(&header, 16), number(&header, 24) as u32 as u64);
        if magic != MAGIC || version != VERSION || sector < 512 {
            return Err(io::Error::other("not a log of log-writes"));
        }
        let mut events = Vec::new();
        let mut at = sector;
        for _ in 0..entries {
            file.read_exact_at(&mut header, at)?;
            let (to, len) = (number(&header, 0) * sector, number(&header, 8) * sector);
            let flags = number(&header, 16);
            let from = at + sector;
            at = from + len;
            if flags & DISCARD != 0 {
                return Err(io::Error::other("a discard, which nobody asked for"));
            }
            if flags & MARK != 0 {
                let mut text = vec![0; number(&header, 24) as usize];
                file.read_exact_at(&mut text, from - sector + HEADER as u64)?;
                // The target's own mark at the end is none of ours.
                if let Ok(mark) = String::from_utf8_lossy(&text).parse() {
                    events.push(Event::Mark(mark));
                }
                continue;
            }
            if flags & FLUSH != 0 {
                events.push(Event::Flush);
            }
            if len > 0 {
                events.push(Event::Write {
                    at: to,
                    from,
                    len: len as usize,
                    forced: flags & FUA != 0,
                });
            }
        }
        Ok(Self { file, events })
    }

    /// The data of a write.
    pub fn data(&self, from: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut data = vec![0; len];
        self.file.read_exact_at(&mut data, from)?;
        Ok(data)
    }

    /// Where the first operation begins.
    pub fn start(&self) -> Option<usize> {
        self.events
            .iter()
            .position(|event| matches!(event, Event::Mark(0)))
    }
}

fn number(bytes: &[u8; HEADER], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}
