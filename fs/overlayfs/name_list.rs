// SPDX-License-Identifier: GPL-2.0

//! Names in a directory of upper.

use core::ops::Range;
use kernel::prelude::*;
use vfs::{
    file::{killed, OpenFile},
    mount::PathRef, //
};

/// Names that were read of a directory, which may have changed since.
pub(crate) struct NameList {
    bytes: KVVec<u8>,
    names: KVVec<Range<usize>>,
}

impl NameList {
    /// The names in `dir`; none if it is not a directory.
    pub(crate) fn read(dir: PathRef<'_>) -> Result<Self> {
        Self::read_of_type(dir, |_| true)
    }

    /// As [`NameList::read`], those of which `wanted` says that their type matters: `DT_*`.
    pub(crate) fn read_of_type(dir: PathRef<'_>, wanted: impl Fn(u8) -> bool) -> Result<Self> {
        let mut list = Self {
            bytes: KVVec::new(),
            names: KVVec::new(),
        };
        if !dir.dentry().is_dir() {
            return Ok(list);
        }
        let mut file = OpenFile::open(dir, OpenFile::READ)?;
        file.read_dir(&mut |entry| {
            if killed() {
                return Err(EINTR);
            }
            match entry.name {
                b"." | b".." => Ok(()),
                _ if !wanted(entry.d_type) => Ok(()),
                name => list.push(name),
            }
        })?;
        Ok(list)
    }

    fn push(&mut self, name: &[u8]) -> Result {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name, GFP_KERNEL_ACCOUNT)?;
        Ok(self
            .names
            .push(start..self.bytes.len(), GFP_KERNEL_ACCOUNT)?)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        // Each is within.
        self.names
            .iter()
            .map_while(|range| self.bytes.get(range.clone()))
    }
}
