// SPDX-License-Identifier: GPL-2.0

//! What `/proc/self/maps` and its relatives tell about a mapping.

use crate::support::mapping::{Map, PAGE};
use crate::support::must::must;

/// One line of `/proc/self/maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The first address.
    pub start: usize,
    /// The address after the last.
    pub end: usize,
    /// Such as `r--s`.
    pub rights: String,
    /// The offset in the file.
    pub offset: usize,
    /// The device's numbers.
    pub device: (u32, u32),
    /// The inode number.
    pub inode: u64,
    /// The file's path.
    pub path: String,
}

fn parse(line: &str) -> Option<Line> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let rights = words.next()?.to_owned();
    let offset = usize::from_str_radix(words.next()?, 16).ok()?;
    let (major, minor) = words.next()?.split_once(':')?;
    Some(Line {
        start: usize::from_str_radix(start, 16).ok()?,
        end: usize::from_str_radix(end, 16).ok()?,
        rights,
        offset,
        device: (
            u32::from_str_radix(major, 16).ok()?,
            u32::from_str_radix(minor, 16).ok()?,
        ),
        inode: words.next()?.parse().ok()?,
        path: words.collect::<Vec<_>>().join(" "),
    })
}

/// The lines of the memory that a mapping was given.
#[track_caller]
pub fn lines_of(map: &Map) -> Vec<Line> {
    let start = map.address() as usize;
    let end = start + map.length().next_multiple_of(PAGE);
    must("read maps", std::fs::read_to_string("/proc/self/maps"))
        .lines()
        .map(|line| parse(line).unwrap_or_else(|| panic!("what is '{line}'?")))
        .filter(|line| line.start < end && line.end > start)
        .collect()
}

/// A value in KiB, such as `Rss`, of the VMA that a mapping begins with.
#[track_caller]
pub fn smaps(map: &Map, key: &str) -> usize {
    let text = must("read smaps", std::fs::read_to_string("/proc/self/smaps"));
    let start = format!("{:08x}-", map.address() as usize);
    text.lines()
        .skip_while(|line| !line.starts_with(&start))
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .unwrap_or_else(|| panic!("no {key} in smaps"))
}
