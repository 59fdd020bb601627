// SPDX-License-Identifier: GPL-2.0

//! A disk in memory, most of which is zeros.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

/// The part of the disk that is there or not.
pub const BLOCK: usize = 4096;

type Block = Box<[u8; BLOCK]>;

/// What is on a disk.
pub struct Disk {
    len: u64,
    blocks: BTreeMap<u64, Block>,
}

impl Disk {
    /// What is in an image.
    pub fn read(path: &str) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut this = Self {
            len,
            blocks: BTreeMap::new(),
        };
        let mut block = Box::new([0; BLOCK]);
        for number in 0..len / BLOCK as u64 {
            file.read_exact(&mut block[..])?;
            if block.iter().any(|byte| *byte != 0) {
                this.blocks.insert(number, block.clone());
            }
        }
        Ok(this)
    }

    /// Writes to the disk.
    pub fn write(&mut self, at: u64, data: &[u8]) {
        let mut done = 0;
        while done < data.len() {
            let at = at + done as u64;
            let (number, inside) = (at / BLOCK as u64, (at % BLOCK as u64) as usize);
            let len = (BLOCK - inside).min(data.len() - done);
            let block = self
                .blocks
                .entry(number)
                .or_insert_with(|| Box::new([0; BLOCK]));
            block[inside..inside + len].copy_from_slice(&data[done..done + len]);
            done += len;
        }
    }

    /// Makes an image of it.
    pub fn save(&self, path: &str) -> io::Result<File> {
        let file = File::create(path)?;
        file.set_len(self.len)?;
        for (number, block) in &self.blocks {
            file.write_all_at(&block[..], number * BLOCK as u64)?;
        }
        Ok(file)
    }
}
