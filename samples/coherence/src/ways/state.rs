// SPDX-License-Identifier: GPL-2.0
//! System calls that tell something about the file.

use super::Way;
use crate::{
    content::Content,
    sys::{
        mapping::Mapping,
        query::{self, Pages},
    },
    verdict::{current, holds, Seen, Trouble},
};
use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

/// Opens a descriptor for each of these ways.
pub(super) fn open_all(path: &Path) -> io::Result<Vec<Way>> {
    let open = || File::open(path);
    let path = path.to_owned();
    let mut ways = Vec::new();

    let mut file = open()?;
    ways.push(Way::new("lseek SEEK_END", move |content| {
        current(file.seek(SeekFrom::End(0))? == content.size())
    }));

    let file = open()?;
    ways.push(Way::new("lseek SEEK_DATA+HOLE", move |content| {
        compare_seek(&file, content)
    }));

    let (file, by_path) = (open()?, path.clone());
    ways.push(Way::new("fstat", move |content| {
        compare_attributes(&file, &by_path, content)
    }));

    ways.push(identity(open()?, path.clone())?);

    // The next two say more while what was written is in memory only, which the third ends.
    let (file, by_path) = (open()?, path.clone());
    ways.push(Way::optional("cachestat", move |_| {
        compare_pages(&file, &by_path)
    }));

    let (file, by_path) = (open()?, path.clone());
    ways.push(Way::new("fsync", move |_| {
        file.sync_all()?;
        // Where the pages cannot be counted, that it did not fail has to do.
        let dirty = query::pages(&File::open(&by_path)?).map_or(0, |pages| pages.unwritten);
        holds(dirty == 0, || format!("{dirty} pages are not written yet"))
    }));

    let (file, by_path) = (open()?, path);
    ways.push(Way::optional("fiemap", move |content| {
        compare_extents(&file, &by_path, content)
    }));
    Ok(ways)
}

/// There is data from the old end on once it is written, and the hole that every file ends with.
fn compare_seek(file: &File, content: &Content) -> Seen {
    let written = !content.is_old();
    let data = query::seek_data(file, content.old_size)?;
    current(data == written.then_some(content.old_size))?;
    let hole = query::seek_hole(file, content.old_size)?;
    current(hole == written.then_some(content.size()))
}

fn compare_attributes(file: &File, path: &Path, content: &Content) -> Seen {
    let (by_file, by_path) = (file.metadata()?, fs::metadata(path)?);
    current(
        by_file.size() == content.size()
            && by_file.size() == by_path.size()
            && by_file.blocks() == by_path.blocks()
            && by_file.modified()? == by_path.modified()?,
    )
}

/// Compares with a descriptor opened now.
fn compare_pages(file: &File, path: &Path) -> Seen {
    let fresh = File::open(path)?;
    let mut pages = [Pages::default(); 2];
    // What was written may be on its way to the disk just now.
    for _ in 0..5 {
        file.read_at(&mut [0], 0)?;
        pages = [query::pages(file)?, query::pages(&fresh)?];
        if pages[0] == pages[1] {
            break;
        }
    }
    if pages[0].cached == 0 && pages[1].cached == 0 {
        Err(io::Error::other("counts no pages of a file that was read"))?;
    }
    holds(pages[0] == pages[1], || {
        format!("{}, by a new descriptor {}", pages[0], pages[1])
    })
}

/// Compares with a descriptor opened now, at the two places that are written.
fn compare_extents(file: &File, path: &Path, content: &Content) -> Seen {
    let fresh = File::open(path)?;
    let places = [0, content.old_size];
    for at in &places[..if content.is_old() { 1 } else { 2 }] {
        let expected = query::extents(&fresh, *at, 1).map_err(Trouble::Missing)?;
        current(!expected.is_empty() && query::extents(file, *at, 1)? == expected)?;
    }
    Ok(())
}

/// Device and inode stay, and are those of the name and of a mapping.
fn identity(file: File, path: PathBuf) -> io::Result<Way> {
    let mapping = Mapping::new(&file, 1)?;
    let number = |of: fs::Metadata| (of.dev(), of.ino());
    let first = number(file.metadata()?);
    Ok(Way::new("identity", move |_| {
        let seen = [
            ("became", number(file.metadata()?)),
            ("is by name", number(fs::metadata(&path)?)),
            ("is in /proc/self/maps", number_in_maps(&mapping)?),
        ];
        seen.into_iter().try_for_each(|(what, now)| {
            holds(now == first, || {
                format!("st_dev {:#x} st_ino {}", first.0, first.1)
                    + &format!(" {what} {:#x} {}", now.0, now.1)
            })
        })
    }))
}

/// Device and inode that /proc/self/maps shows for a mapping.
fn number_in_maps(mapping: &Mapping) -> io::Result<(u64, u64)> {
    let start = format!("{:08x}-", mapping.address());
    let maps = fs::read_to_string("/proc/self/maps")?;
    maps.lines()
        .find(|line| line.starts_with(&start))
        .and_then(|line| {
            let mut fields = line.split_ascii_whitespace().skip(3);
            let (major, minor) = fields.next()?.split_once(':')?;
            let device = query::device(
                u64::from_str_radix(major, 16).ok()?,
                u64::from_str_radix(minor, 16).ok()?,
            );
            Some((device, fields.next()?.parse().ok()?))
        })
        .ok_or_else(|| io::Error::other("/proc/self/maps lacks a mapping"))
}
