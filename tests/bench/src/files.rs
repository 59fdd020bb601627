// SPDX-License-Identifier: GPL-2.0

//! What layers are filled with.

use crate::{bed::Bed, Result};
use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

/// Makes a file of some size, and the directories that it is in.
pub fn put(layer: &Path, name: &str, size: usize) -> Result<()> {
    let path = layer.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let block = [7; 64 * 1024];
    let mut file = File::create(path)?;
    let mut left = size;
    while left > 0 {
        let length = left.min(block.len());
        file.write_all(&block[..length])?;
        left -= length;
    }
    Ok(())
}

/// Makes a directory in each lower layer, with so many files that no other layer has.
pub fn merge(bed: &Bed, name: &str, own: usize) -> Result<()> {
    for layer in 0..bed.layers() {
        let dir = bed.lower(layer).join(name);
        fs::create_dir_all(&dir)?;
        for i in 0..own {
            put(&dir, &format!("own-{layer}-{i}"), 0)?;
        }
    }
    Ok(())
}
