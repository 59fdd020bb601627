// SPDX-License-Identifier: GPL-2.0

//! A file whose attributes and whose data are copied up one after the other is
//! one file all the time: descriptors and mappings from before each step show
//! what is written after the last.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{fadvise, fstat, seek, statfs, Advice, SeekFrom};

use crate::areas::holes::data_ranges;
use crate::harness::bed::Bed;
use crate::support::board::Board;
use crate::support::content::pattern;
use crate::support::fiemap::extents;
use crate::support::mapping::Map;
use crate::support::metacopy::{assert_without_data, is_one, ON};
use crate::support::must::{must, same_bytes};
use crate::support::process::Child;
use crate::support::readers;

tests! {
    EVERYWHERE:
        descriptors,
        mappings,
        mappings_and_truncation,
        mappings_of_others;
    DISKS: extents_are_those_of_the_data;
    TWICE:
        mappings_of_descriptors_from_before,
        sizes_and_times,
        positions,
        syncing,
        advice,
        the_data_is_copied_while_it_is_read,
        attributes_change_while_the_data_is_copied;
}

const LENGTH: usize = 40_003;

/// Reads a file by every way through each of the descriptors.
#[track_caller]
fn assert_reads(bed: &Bed, files: &[File], content: &[u8], when: &str) {
    let m = &bed.mnt;
    for (index, file) in files.iter().enumerate() {
        for (name, way) in readers::WAYS {
            if *name == "copy_file_range" && !bed.pair.one_filesystem() {
                continue;
            }
            let what = format!("descriptor {index}, {name}, {when}");
            same_bytes(&what, &must(&what, way(file, 0, LENGTH + 1000, m)), content);
        }
    }
}

fn descriptors(bed: &Bed) {
    let mut content = pattern(1, LENGTH);
    bed.lower.file("low", &content);
    let m = bed.mount_with(ON);
    let mut files = vec![m.open_read("low"), m.open_read("low")];
    assert_reads(bed, &files[..1], &content, "in lower");
    m.chmod("low", 0o640);
    assert_without_data(bed, "low");
    files.push(m.open_read("low"));
    files.push(m.open_read("low"));
    assert_reads(bed, &files[..3], &content, "as a metacopy");
    let writer = m.open_rw("low");
    assert!(!is_one(&bed.upper, "low"));
    files.push(m.open_read("low"));
    must("write", writer.write_all_at(b"written", 10_000));
    content[10_000..10_007].copy_from_slice(b"written");
    assert_reads(bed, &files, &content, "in upper");
    m.chmod("low", 0o600);
    must("truncate", writer.set_len(20_000));
    content.truncate(20_000);
    assert_reads(bed, &files, &content, "truncated");
    let stats: Vec<_> = files
        .iter()
        .map(|file| must("fstat", fstat(file)))
        .collect();
    assert!(stats.iter().all(|stat| stat.st_size == 20_000));
    assert!(stats.iter().all(|stat| stat.st_mode & 0o7777 == 0o600));
    assert!(stats.iter().all(|stat| stat.st_ino == stats[0].st_ino));
}

#[track_caller]
fn assert_shown(maps: &[Map], content: &[u8], when: &str) {
    for (index, map) in maps.iter().enumerate() {
        same_bytes(&format!("mapping {index} {when}"), &map.bytes(), content);
    }
}

fn mappings(bed: &Bed) {
    let mut content = pattern(1, LENGTH);
    bed.lower.file("low", &content);
    let m = bed.mount_with(ON);
    let map = || Map::shared_read(&m.open_read("low"), LENGTH);
    let mut maps = vec![map(), map()];
    // The others are not looked at before the data moves.
    assert_shown(&maps[..1], &content, "in lower");
    m.chmod("low", 0o640);
    assert_shown(&maps[..1], &content, "as a metacopy");
    maps.push(map());
    maps.push(map());
    assert_shown(&maps[2..3], &content, "as a metacopy");
    let writer = m.open_rw("low");
    maps.push(map());
    must("write", writer.write_all_at(b"written", 10_000));
    content[10_000..10_007].copy_from_slice(b"written");
    assert_shown(&maps, &content, "in upper");
    let writes = Map::shared_write(&writer, LENGTH);
    writes.set(20_000, b"by a mapping");
    content[20_000..20_012].copy_from_slice(b"by a mapping");
    assert_shown(&maps, &content, "written by a mapping");
    same_bytes("lower", &bed.lower.read("low"), &pattern(1, LENGTH));
}

fn mappings_of_descriptors_from_before(bed: &Bed) {
    let mut content = pattern(1, LENGTH);
    bed.lower.file("low", &content);
    let m = bed.mount_with(ON);
    let first = m.open_read("low");
    m.chmod("low", 0o640);
    let second = m.open_read("low");
    let mut maps = vec![
        Map::shared_read(&first, LENGTH),
        Map::shared_read(&second, LENGTH),
    ];
    assert_shown(&maps, &content, "as a metacopy");
    m.write_at("low", 100, b"written");
    content[100..107].copy_from_slice(b"written");
    maps.push(Map::shared_read(&first, LENGTH));
    maps.push(Map::shared_read(&second, LENGTH));
    assert_shown(&maps, &content, "in upper");
}

fn mappings_and_truncation(bed: &Bed) {
    let content = pattern(1, LENGTH);
    for name in ["truncated", "created"] {
        bed.lower.file(name, &content);
    }
    let m = bed.mount_with(ON);
    for name in ["truncated", "created"] {
        let before = Map::shared_read(&m.open_read(name), LENGTH);
        m.chmod(name, 0o640);
        let between = Map::shared_read(&m.open_read(name), LENGTH);
        assert_eq!(before.byte(0), content[0]);
        assert_eq!(between.byte(0), content[0]);
        let new = pattern(2, LENGTH);
        if name == "created" {
            m.file(name, &new);
        } else {
            let file = m.open_rw(name);
            must("truncate", file.set_len(0));
            must("write", file.write_all_at(&new, 0));
        }
        assert_shown(&[before, between], &new, name);
    }
}

fn mappings_of_others(bed: &Bed) {
    const READY: usize = 0;
    const STEP: usize = 1;
    let content = pattern(1, LENGTH);
    bed.lower.file("low", &content);
    let m = bed.mount_with(ON);
    let early = Map::shared_read(&m.open_read("low"), LENGTH);
    let board = Board::new();
    let children: Vec<_> = (0..3)
        .map(|_| {
            Child::spawn(|| {
                same_bytes("before", &early.bytes(), &content);
                board.count(READY);
                board.wait(STEP, 1);
                let between = Map::shared_read(&m.open_read("low"), LENGTH);
                same_bytes("between", &between.bytes(), &content);
                same_bytes("between", &early.bytes(), &content);
                board.count(READY);
                board.wait(STEP, 2);
                let new = pattern(2, LENGTH);
                same_bytes("after", &early.bytes(), &new);
                same_bytes("after", &between.bytes(), &new);
            })
        })
        .collect();
    board.wait(READY, 3);
    m.chmod("low", 0o640);
    board.count(STEP);
    board.wait(READY, 6);
    m.write_at("low", 0, &pattern(2, LENGTH));
    board.count(STEP);
    for child in children {
        child.join();
    }
}

fn extents_are_those_of_the_data(bed: &Bed) {
    let file = bed.lower.create("low", 0o644);
    must("write", file.write_all_at(&pattern(1, 65536), 1 << 20));
    must("write", file.write_all_at(&pattern(1, 65536), 3 << 20));
    must("fsync", file.sync_all());
    let want = must("fiemap", extents(&file));
    drop(file);
    let ranges = data_ranges(&bed.lower.open_read("low"));
    let m = bed.mount_with(ON);
    let before = m.open_read("low");
    m.chmod("low", 0o600);
    let between = m.open_read("low");
    for file in [&before, &between] {
        assert_eq!(must("fiemap", extents(file)), want);
        assert_eq!(data_ranges(file), ranges);
    }
    m.write_at("low", 5 << 20, &pattern(1, 65536));
    must("fsync", m.open_rw("low").sync_all());
    let upper = bed.upper.open_read("low");
    for file in [&before, &between] {
        assert_eq!(
            must("fiemap", extents(file)),
            must("fiemap", extents(&upper))
        );
        assert_eq!(data_ranges(file), data_ranges(&upper));
    }
}

fn sizes_and_times(bed: &Bed) {
    bed.lower.file("low", pattern(1, LENGTH));
    let m = bed.mount_with(ON);
    let file = m.open_read("low");
    let before = must("fstat", fstat(&file));
    m.set_times("low", (5, 6), (7, 8));
    let between = must("fstat", fstat(&file));
    assert_eq!(between.st_mtime, 7);
    assert_eq!(between.st_size, before.st_size);
    assert_eq!(between.st_ino, before.st_ino);
    assert_eq!(between.st_dev, before.st_dev);
    m.append("low", b"more");
    let after = must("fstat", fstat(&file));
    assert!(after.st_mtime > 7);
    assert_eq!(after.st_size, before.st_size + 4);
    assert_eq!(after.st_ino, before.st_ino);
}

fn positions(bed: &Bed) {
    bed.lower.file("low", pattern(1, LENGTH));
    let m = bed.mount_with(ON);
    let file = m.open_read("low");
    let end = |file: &File| must("lseek", seek(file, SeekFrom::End(0)));
    assert_eq!(end(&file), LENGTH as u64);
    m.chmod("low", 0o600);
    assert_eq!(end(&file), LENGTH as u64);
    m.append("low", b"more");
    assert_eq!(end(&file), LENGTH as u64 + 4);
}

fn syncing(bed: &Bed) {
    bed.lower.file("low", pattern(1, LENGTH));
    let m = bed.mount_with(ON);
    let first = m.open_read("low");
    m.chmod("low", 0o600);
    let second = m.open_read("low");
    for file in [&first, &second] {
        must("fsync", file.sync_all());
        must("fdatasync", file.sync_data());
        must("fstatfs", rustix::fs::fstatfs(file));
    }
    must("statfs", statfs(m.at("low")));
    assert_without_data(bed, "low");
    m.write_at("low", 0, b"written");
    for file in [&first, &second] {
        must("fsync", file.sync_all());
        must("fdatasync", file.sync_data());
        let mut got = [0; 7];
        must("read", file.read_exact_at(&mut got, 0));
        assert_eq!(&got, b"written");
    }
}

fn advice(bed: &Bed) {
    let content = pattern(1, LENGTH);
    bed.lower.file("low", &content);
    let m = bed.mount_with(ON);
    m.chmod("low", 0o600);
    let file = m.open_read("low");
    for advice in [Advice::WillNeed, Advice::DontNeed, Advice::Sequential] {
        must("fadvise", fadvise(&file, 0, None, advice));
    }
    let mut got = vec![0; LENGTH];
    must("read", file.read_exact_at(&mut got, 0));
    same_bytes("after advice", &got, &content);
    assert_without_data(bed, "low");
}

/// Readers see old content or new, and never old content again.
fn the_data_is_copied_while_it_is_read(bed: &Bed) {
    const SIZE: usize = 1 << 20;
    const READY: usize = 0;
    const DONE: usize = 1;
    let m = {
        for round in 0..8 {
            bed.lower.file(&format!("{round}"), vec![1; SIZE]);
        }
        bed.mount_with(ON)
    };
    for round in 0..8 {
        let name = format!("{round}");
        let board = Board::new();
        let file = m.open_read(&name);
        m.chmod(&name, 0o600);
        let between = m.open_read(&name);
        let maps = [
            Map::shared_read(&file, SIZE),
            Map::shared_read(&between, SIZE),
        ];
        let child = Child::spawn(|| {
            board.count(READY);
            let mut new = false;
            let at = (round * 131_072) % SIZE;
            while !new || board.get(DONE) == 0 {
                let done = board.get(DONE) > 0;
                let mut byte = [0];
                let mut seen = vec![];
                for file in [&file, &between] {
                    must("read", file.read_exact_at(&mut byte, at as u64));
                    seen.push(byte[0]);
                }
                seen.extend(maps.iter().map(|map| map.byte(at)));
                for byte in seen {
                    assert!(byte == 1 || byte == 2);
                    assert!(byte == 2 || !new, "old content again");
                    new |= byte == 2;
                }
                assert!(new || !done, "old content after the write");
            }
        });
        board.wait(READY, 1);
        m.write_at(&name, 0, &vec![2; SIZE]);
        board.count(DONE);
        child.join();
    }
}

/// The copy of the data takes back what it does to attributes, but nothing that
/// others do meanwhile.
fn attributes_change_while_the_data_is_copied(bed: &Bed) {
    const SIZE: usize = 8 << 20;
    for round in 0..6 {
        bed.lower.file(&format!("{round}"), vec![1; SIZE]);
    }
    let m = bed.mount_with(ON);
    for round in 0..6 {
        let name = format!("{round}");
        m.chmod(&name, 0o6755);
        m.set_xattr(
            &name,
            "security.capability",
            crate::support::image::CAPABILITY,
        );
        let child = Child::spawn(|| drop(m.open_rw(&name)));
        std::thread::sleep(std::time::Duration::from_millis(round));
        m.remove_xattr(&name, "security.capability");
        m.chmod(&name, 0o640);
        m.set_times(&name, (5, 6), (7, 8));
        child.join();
        for dir in [&m, &bed.upper] {
            assert_eq!(dir.xattr(&name, "security.capability"), None);
            assert_eq!(dir.mode(&name), 0o640);
            assert_eq!(dir.stat(&name).st_mtime, 7);
        }
        assert!(!is_one(&bed.upper, &name));
    }
}
