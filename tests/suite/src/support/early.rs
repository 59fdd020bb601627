// SPDX-License-Identifier: GPL-2.0

//! A lower file with a shared mapping made before its copy-up, and what the
//! mapping has to show.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::mapping::{Map, PAGE};
use crate::support::must::{must, same_bytes};

/// How long the files are unless a test says something else: five pages, the
/// last of them not full.
pub const LENGTH: usize = 20_000;

/// A file and its mapping. The descriptor that the mapping was made by is
/// closed.
pub struct Early {
    /// The mount.
    pub m: Dir,
    /// The file's name.
    pub name: String,
    /// The mapping, which may be longer or shorter than the file.
    pub map: Map,
    /// What the file says.
    pub content: Vec<u8>,
}

impl Early {
    /// A file whose mapping was read to its end, and one whose mapping was
    /// never touched.
    #[track_caller]
    pub fn both(bed: &Bed) -> [Self; 2] {
        Self::both_of(bed, LENGTH, LENGTH)
    }

    /// The same with other lengths of files and mappings.
    #[track_caller]
    pub fn both_of(bed: &Bed, file: usize, mapping: usize) -> [Self; 2] {
        let content = pattern(1, file);
        bed.lower.file("touched", &content);
        bed.lower.file("untouched", &content);
        let m = bed.mount();
        let [touched, untouched] = ["touched", "untouched"].map(|name| Self {
            m: m.clone(),
            name: name.to_owned(),
            map: Map::shared_read(&m.open_read(name), mapping),
            content: content.clone(),
        });
        touched.assert_current("before the copy-up");
        [touched, untouched]
    }

    /// A file whose mapping was read to its end.
    #[track_caller]
    pub fn touched(bed: &Bed) -> Self {
        let [touched, _] = Self::both(bed);
        touched
    }

    /// Opens the file for reading and writing, which copies it up.
    #[track_caller]
    pub fn open_rw(&self) -> File {
        self.m.open_rw(&self.name)
    }

    /// Takes note of a write.
    pub fn wrote(&mut self, at: usize, bytes: &[u8]) {
        let end = self.content.len().max(at + bytes.len());
        self.content.resize(end, 0);
        self.content[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Writes by this descriptor.
    #[track_caller]
    pub fn write(&mut self, file: &File, at: usize, bytes: &[u8]) {
        must("pwrite", file.write_all_at(bytes, at as u64));
        self.wrote(at, bytes);
    }

    /// Opens the file and writes all of it anew, as different bytes for each
    /// seed but 1.
    #[track_caller]
    pub fn rewrite(&mut self, seed: u64) {
        let file = self.open_rw();
        let bytes = pattern(seed, self.content.len());
        self.write(&file, 0, &bytes);
    }

    /// What a mapping of this length, from the file's start, has to show; what
    /// is beyond the file's last page is not to be touched.
    pub fn shown(&self, length: usize) -> Vec<u8> {
        let mut shown = self.content.clone();
        shown.resize(shown.len().next_multiple_of(PAGE).min(length), 0);
        shown
    }

    /// Fails unless the mapping shows what the file says.
    #[track_caller]
    pub fn assert_current(&self, when: &str) {
        self.assert_shown_by(&self.map, when);
    }

    /// Fails unless this mapping from the file's start shows what it says.
    #[track_caller]
    pub fn assert_shown_by(&self, map: &Map, when: &str) {
        let want = self.shown(map.length());
        let what = format!("{}, {when}", self.name);
        same_bytes(&what, &map.part(0, want.len()), &want);
    }
}
