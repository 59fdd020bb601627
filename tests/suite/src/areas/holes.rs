// SPDX-License-Identifier: GPL-2.0

//! Holes: finding them, and `fallocate`.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{fallocate, fstat, seek, FallocateFlags, SeekFrom};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::fiemap::extents;
use crate::support::must::{must, refused, same_bytes};

tests! {
    EVERYWHERE:
        are_found_in_a_lower_file,
        are_found_in_an_upper_file,
        are_punched,
        allocate;
    DISKS: extents_are_those_of_the_layer;
    TWICE:
        allocate_and_keep_the_size,
        zero_a_range,
        seek_beyond_the_end,
        seek_after_copy_up,
        allocate_needs_a_writable_descriptor,
        an_unknown_mode;
}

const MIB: u64 = 1 << 20;

/// A file with data at 1 MiB and at 3 MiB, 4 MiB long.
fn sparse(dir: &crate::support::dir::Dir, name: &str) {
    let file = dir.create(name, 0o644);
    must("write", file.write_all_at(&pattern(1, 65536), MIB));
    must("write", file.write_all_at(&pattern(2, 65536), 3 * MIB));
    must("ftruncate", file.set_len(4 * MIB));
    must("fsync", file.sync_all());
}

/// The ranges that hold data, as the file tells.
pub fn data_ranges(file: &File) -> Vec<(u64, u64)> {
    let mut ranges = Vec::new();
    let mut position = 0;
    loop {
        match seek(file, SeekFrom::Data(position)) {
            Ok(start) => {
                let end = must("SEEK_HOLE", seek(file, SeekFrom::Hole(start)));
                ranges.push((start, end));
                position = end;
            }
            Err(Errno::NXIO) => return ranges,
            Err(error) => panic!("SEEK_DATA: {error}"),
        }
    }
}

const RANGES: [(u64, u64); 2] = [(MIB, MIB + 65536), (3 * MIB, 3 * MIB + 65536)];

fn are_found_in_a_lower_file(bed: &Bed) {
    sparse(&bed.lower, "low");
    assert_eq!(data_ranges(&bed.mount().open_read("low")), RANGES);
}

fn are_found_in_an_upper_file(bed: &Bed) {
    sparse(&bed.upper, "up");
    let m = bed.mount();
    assert_eq!(data_ranges(&m.open_read("up")), RANGES);
    sparse(&m, "new");
    assert_eq!(data_ranges(&m.open_read("new")), RANGES);
}

fn are_punched(bed: &Bed) {
    let content = pattern(1, 1 << 20);
    bed.lower.file("low", &content);
    bed.upper.file("up", &content);
    let m = bed.mount();
    for name in ["low", "up"] {
        let reader = m.open_read(name);
        let file = m.open_rw(name);
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        must("fallocate", fallocate(&file, flags, 262_144, 131_072));
        must("fsync", file.sync_all());
        let mut want = content.clone();
        want[262_144..262_144 + 131_072].fill(0);
        same_bytes(name, &m.read(name), &want);
        let ranges = [(0, 262_144), (393_216, 1 << 20)];
        assert_eq!(data_ranges(&file), ranges);
        assert_eq!(data_ranges(&reader), ranges);
    }
    same_bytes("lower", &bed.lower.read("low"), &content);
}

fn allocate(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    let m = bed.mount();
    for name in ["low", "up"] {
        let file = m.open_rw(name);
        must(
            "fallocate",
            fallocate(&file, FallocateFlags::empty(), 0, 100_000),
        );
        assert_eq!(m.stat(name).st_size, 100_000);
        assert!(m.stat(name).st_blocks * 512 >= 100_000);
        let mut want = b"content".to_vec();
        want.resize(100_000, 0);
        same_bytes(name, &m.read(name), &want);
    }
}

fn allocate_and_keep_the_size(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let file = m.open_rw("low");
    must(
        "fallocate",
        fallocate(&file, FallocateFlags::KEEP_SIZE, 0, 1 << 20),
    );
    let stat = must("fstat", fstat(&file));
    assert_eq!(stat.st_size, 7);
    assert!(stat.st_blocks * 512 >= 1 << 20);
    assert_eq!(m.text("low"), "content");
}

fn zero_a_range(bed: &Bed) {
    let content = pattern(1, 65536);
    bed.lower.file("low", &content);
    let m = bed.mount();
    let file = m.open_rw("low");
    // What the upper filesystem cannot do, the overlay cannot either.
    let supported = {
        let probe = bed.upper.create("probe", 0o644);
        fallocate(&probe, FallocateFlags::ZERO_RANGE, 0, 4096)
    };
    let result = fallocate(&file, FallocateFlags::ZERO_RANGE, 1000, 10_000);
    assert_eq!(result.is_ok(), supported.is_ok());
    let mut want = content;
    match result {
        Ok(()) => want[1000..11_000].fill(0),
        Err(error) => assert_eq!(Some(error), supported.err()),
    }
    same_bytes("low", &m.read("low"), &want);
}

fn seek_beyond_the_end(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    let m = bed.mount();
    for name in ["low", "up"] {
        let file = m.open_read(name);
        refused(Errno::NXIO, seek(&file, SeekFrom::Data(7)));
        refused(Errno::NXIO, seek(&file, SeekFrom::Hole(100)));
        assert_eq!(must("SEEK_HOLE", seek(&file, SeekFrom::Hole(0))), 7);
        assert_eq!(must("SEEK_END", seek(&file, SeekFrom::End(100))), 107);
        refused(Errno::INVAL, seek(&file, SeekFrom::End(-8)));
    }
}

fn seek_after_copy_up(bed: &Bed) {
    sparse(&bed.lower, "low");
    let m = bed.mount();
    let early = m.open_read("low");
    let writer = m.open_rw("low");
    must("write", writer.write_all_at(&pattern(3, 65536), 8 * MIB));
    must("ftruncate", writer.set_len(16 * MIB));
    must("fsync", writer.sync_all());
    let ranges = data_ranges(&early);
    assert_eq!(ranges, data_ranges(&m.open_read("low")));
    // A copy may fill the rest of a mebibyte that has data.
    for (offset, data) in [
        (MIB, true),
        (6 * MIB, false),
        (8 * MIB, true),
        (12 * MIB, false),
    ] {
        let found = ranges
            .iter()
            .any(|&(start, end)| (start..end).contains(&offset));
        assert_eq!(found, data, "at {offset} of {ranges:?}");
    }
}

fn extents_are_those_of_the_layer(bed: &Bed) {
    sparse(&bed.lower, "low");
    sparse(&bed.upper, "up");
    let m = bed.mount();
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        let want = must("fiemap", extents(&layer.open_read(name)));
        assert_eq!(must("fiemap", extents(&m.open_read(name))), want);
        assert_eq!(want.0, 2);
    }
}

fn allocate_needs_a_writable_descriptor(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    refused(
        Errno::BADF,
        fallocate(m.open_read("low"), FallocateFlags::empty(), 0, 100),
    );
    refused(
        Errno::INVAL,
        fallocate(m.open_rw("low"), FallocateFlags::empty(), 0, 0),
    );
}

fn an_unknown_mode(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    refused(
        Errno::OPNOTSUPP,
        fallocate(
            m.open_rw("low"),
            FallocateFlags::from_bits_retain(0x8000),
            0,
            4096,
        ),
    );
}
