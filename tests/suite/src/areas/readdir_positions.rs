// SPDX-License-Identifier: GPL-2.0

//! Positions in a directory, and directories that change while they are read.

use std::collections::BTreeSet;

use rustix::fs::{seek, SeekFrom};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::listing;
use crate::support::must::{must, refused};

tests! {
    EVERYWHERE: any_position_continues_there, rewinding_repeats_the_same;
    TWICE:
        after_the_end_nothing_comes,
        rewinding_shows_new_names,
        rewinding_omits_removed_names,
        a_position_outlives_changes,
        two_descriptors_are_independent,
        a_descriptor_from_before_the_copy_up_of_the_directory,
        removing_while_reading_reaches_everything,
        a_removed_directory_lists_nothing,
        the_position_of_a_duplicate_is_shared,
        a_buffer_too_small_for_one_entry,
        invalid_positions;
}

const COUNT: usize = 60;

/// A merged directory of [`COUNT`] entries.
fn merged(bed: &Bed) -> Dir {
    let low = bed.lower.sub("dir");
    let up = bed.upper.sub("dir");
    for number in 0..COUNT {
        let layer = if number % 3 == 0 { &up } else { &low };
        layer.file(&format!("file-{number}"), "");
    }
    bed.mount()
}

fn any_position_continues_there(bed: &Bed) {
    bed.lower.sub("low").file("a", "");
    bed.upper.sub("up").file("a", "");
    let m = merged(bed);
    for name in ["dir", "low", "up"] {
        let dir = m.open_read(name);
        let all = listing::rest(&dir);
        for (index, entry) in all.iter().enumerate() {
            listing::seek_to(&dir, entry.next);
            let rest = listing::rest_by(&dir, 512);
            assert_eq!(
                listing::names(&rest),
                listing::names(&all[index + 1..]),
                "from the position after '{}'",
                entry.name
            );
        }
    }
}

fn rewinding_repeats_the_same(bed: &Bed) {
    let m = merged(bed);
    let dir = m.open_read("dir");
    let first = listing::rest(&dir);
    assert_eq!(first.len(), COUNT + 2);
    assert_eq!(listing::all(&dir), first);
    listing::seek_to(&dir, 0);
    must("getdents64", listing::chunk(&dir, 512));
    assert_eq!(listing::all(&dir), first);
}

fn after_the_end_nothing_comes(bed: &Bed) {
    let m = merged(bed);
    let dir = m.open_read("dir");
    listing::rest(&dir);
    for _ in 0..2 {
        assert!(must("getdents64", listing::chunk(&dir, 4096)).is_empty());
    }
}

fn rewinding_shows_new_names(bed: &Bed) {
    let m = merged(bed);
    let dir = m.open_read("dir");
    listing::rest(&dir);
    m.file("dir/new", "");
    m.sub("dir/new-dir");
    let names = listing::all(&dir);
    let names = listing::names(&names);
    assert_eq!(names.len(), COUNT + 4);
    assert!(names.contains(&"new") && names.contains(&"new-dir"));
}

fn rewinding_omits_removed_names(bed: &Bed) {
    let m = merged(bed);
    let dir = m.open_read("dir");
    listing::rest(&dir);
    m.unlink("dir/file-0");
    m.unlink("dir/file-1");
    m.rename("dir/file-2", "dir/moved");
    let names = listing::all(&dir);
    let names = listing::names(&names);
    assert_eq!(names.len(), COUNT + 2 - 2);
    for gone in ["file-0", "file-1", "file-2"] {
        assert!(!names.contains(&gone), "{gone}");
    }
    assert!(names.contains(&"moved"));
}

fn a_position_outlives_changes(bed: &Bed) {
    let m = merged(bed);
    let dir = m.open_read("dir");
    let mut seen: Vec<_> = must("getdents64", listing::chunk(&dir, 1024))
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert!(seen.len() < COUNT);
    m.file("dir/new", "");
    let removed = (0..COUNT)
        .map(|number| format!("file-{number}"))
        .find(|name| !seen.contains(name))
        .expect("an unseen name");
    m.unlink(&format!("dir/{removed}"));
    seen.extend(listing::rest(&dir).into_iter().map(|entry| entry.name));
    // What neither came nor went is seen exactly once.
    for name in (0..COUNT).map(|number| format!("file-{number}")) {
        let count = seen.iter().filter(|seen| **seen == name).count();
        if name != removed {
            assert_eq!(count, 1, "{name}");
        }
    }
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len());
}

fn two_descriptors_are_independent(bed: &Bed) {
    let m = merged(bed);
    let (one, two) = (m.open_read("dir"), m.open_read("dir"));
    let start = must("getdents64", listing::chunk(&one, 512));
    let all = listing::rest(&two);
    let rest = listing::rest(&one);
    assert_eq!(start.len() + rest.len(), all.len());
}

fn a_descriptor_from_before_the_copy_up_of_the_directory(bed: &Bed) {
    let low = bed.lower.sub("dir");
    low.file("a", "");
    low.file("b", "");
    let m = bed.mount();
    let dir = m.open_read("dir");
    assert_eq!(listing::rest(&dir).len(), 4);
    m.file("dir/c", "");
    m.unlink("dir/a");
    assert!(bed.upper.exists("dir"));
    let entries = listing::all(&dir);
    let mut names = listing::names(&entries);
    names.sort_unstable();
    assert_eq!(names, [".", "..", "b", "c"]);
}

fn removing_while_reading_reaches_everything(bed: &Bed) {
    let m = merged(bed);
    let dir = m.open_read("dir");
    loop {
        let some = must("getdents64", listing::chunk(&dir, 512));
        if some.is_empty() {
            break;
        }
        for entry in some {
            if !entry.name.starts_with('.') {
                m.unlink(&format!("dir/{}", entry.name));
            }
        }
    }
    assert!(m.names("dir").is_empty());
    m.rmdir("dir");
}

fn a_removed_directory_lists_nothing(bed: &Bed) {
    bed.lower.sub("low");
    bed.lower.sub("both");
    bed.upper.sub("both");
    bed.upper.sub("up");
    let m = bed.mount();
    for name in ["low", "both", "up"] {
        let dir = m.open_read(name);
        m.rmdir(name);
        refused(Errno::NOENT, listing::chunk(&dir, 4096));
    }
}

fn the_position_of_a_duplicate_is_shared(bed: &Bed) {
    let m = merged(bed);
    let dir = m.open_read("dir");
    let twin = must("dup", dir.try_clone());
    let start = must("getdents64", listing::chunk(&dir, 512));
    let rest = listing::rest(&twin);
    assert_eq!(start.len() + rest.len(), COUNT + 2);
    assert!(must("getdents64", listing::chunk(&dir, 512)).is_empty());
}

fn a_buffer_too_small_for_one_entry(bed: &Bed) {
    let name = "n".repeat(200);
    bed.lower.sub("low").file(&name, "");
    bed.lower.sub("both").file(&name, "");
    bed.upper.sub("both");
    let m = bed.mount();
    for dir in ["low", "both"] {
        let dir = m.open_read(dir);
        let (mut got, mut refusal) = (0, None);
        while refusal.is_none() {
            match listing::chunk(&dir, 100) {
                Ok(some) if some.is_empty() => break,
                Ok(some) => got += some.len(),
                Err(error) => refusal = Some(error),
            }
        }
        assert_eq!(refusal, Some(Errno::INVAL));
        assert_eq!(got + listing::rest(&dir).len(), 3);
    }
}

fn invalid_positions(bed: &Bed) {
    let m = merged(bed);
    let dir = m.open_read("dir");
    refused(Errno::INVAL, seek(&dir, SeekFrom::Current(-1)));
    // SAFETY: lseek takes no memory.
    let result = unsafe { libc::lseek(std::os::fd::AsRawFd::as_raw_fd(&dir), -1, libc::SEEK_SET) };
    assert_eq!(result, -1);
    assert_eq!(listing::rest(&dir).len(), COUNT + 2);
}
