// SPDX-License-Identifier: GPL-2.0

//! The data of a file that is copied up.

use std::os::unix::fs::FileExt;

use crate::areas::holes::data_ranges;
use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::fiemap;
use crate::support::must::{must, same_bytes};

tests! {
    EVERYWHERE: of_many_sizes, holes_are_kept, a_trailing_hole_is_kept;
    TWICE:
        eight_mebibytes,
        a_file_that_is_one_hole,
        many_small_extents,
        that_was_never_written_back,
        of_a_file_mapped_by_its_reader;
    REFLINK: extents_are_shared;
}

const SIZES: [usize; 7] = [0, 1, 4095, 4096, 4097, 65536, (1 << 20) + 3];

/// Fails unless the overlay and the upper layer have this content, and the
/// lower layer too.
#[track_caller]
fn assert_copied(bed: &Bed, name: &str, content: &[u8]) {
    same_bytes("in upper", &bed.upper.read(name), content);
    same_bytes("through the overlay", &bed.mnt.read(name), content);
    same_bytes("in lower", &bed.lower.read(name), content);
}

fn of_many_sizes(bed: &Bed) {
    for size in SIZES {
        bed.lower
            .file(&size.to_string(), pattern(size as u64, size));
    }
    let m = bed.mount();
    for size in SIZES {
        drop(m.open_rw(&size.to_string()));
        assert_copied(bed, &size.to_string(), &pattern(size as u64, size));
    }
    bed.remount_fresh();
    for size in SIZES {
        assert_copied(bed, &size.to_string(), &pattern(size as u64, size));
    }
}

fn eight_mebibytes(bed: &Bed) {
    let content = pattern(1, 8 << 20);
    bed.lower.file("low", &content);
    let m = bed.mount();
    m.chmod("low", 0o600);
    assert_copied(bed, "low", &content);
}

const MIB: u64 = 1 << 20;

fn holes_are_kept(bed: &Bed) {
    let file = bed.lower.create("low", 0o644);
    must("write", file.write_all_at(&pattern(1, 65536), 0));
    must("write", file.write_all_at(&pattern(2, 65536), 4 * MIB));
    must("write", file.write_all_at(&pattern(3, 5), 16 * MIB));
    must("fsync", file.sync_all());
    let ranges = data_ranges(&file);
    assert_eq!(ranges.len(), 3);
    let content = bed.lower.read("low");
    let m = bed.mount();
    m.chmod("low", 0o600);
    assert_copied(bed, "low", &content);
    let upper = bed.upper.open_read("low");
    must("fsync", upper.sync_all());
    let blocks = bed.upper.stat("low").st_blocks;
    // A copy may fill the rest of a mebibyte that has data.
    assert!(blocks * 512 < 4 << 20, "{blocks} blocks");
    let in_data = |offset| {
        data_ranges(&upper)
            .iter()
            .any(|&(start, end)| (start..end).contains(&offset))
    };
    for (offset, data) in [
        (0, true),
        (2 * MIB, false),
        (4 * MIB, true),
        (10 * MIB, false),
    ] {
        assert_eq!(in_data(offset), data, "at {offset}");
    }
}

fn a_trailing_hole_is_kept(bed: &Bed) {
    let file = bed.lower.create("low", 0o644);
    must("write", file.write_all_at(b"start", 0));
    must("ftruncate", file.set_len(8 * MIB + 1));
    must("fsync", file.sync_all());
    let m = bed.mount();
    m.chmod("low", 0o600);
    assert_eq!(bed.upper.stat("low").st_size, (8 * MIB + 1) as i64);
    assert_copied(bed, "low", &bed.lower.read("low"));
    must("fsync", bed.upper.open_read("low").sync_all());
    assert!(bed.upper.stat("low").st_blocks * 512 < 2 << 20);
}

fn a_file_that_is_one_hole(bed: &Bed) {
    must("ftruncate", bed.lower.create("low", 0o644).set_len(4 * MIB));
    let m = bed.mount();
    m.chmod("low", 0o600);
    assert_copied(bed, "low", &vec![0; 4 << 20]);
    must("fsync", bed.upper.open_read("low").sync_all());
    assert!(bed.upper.stat("low").st_blocks * 512 < 1 << 20);
}

fn many_small_extents(bed: &Bed) {
    let file = bed.lower.create("low", 0o644);
    for number in 0..64_u64 {
        must(
            "write",
            file.write_all_at(&pattern(number, 1000), number * 16384),
        );
    }
    must("fsync", file.sync_all());
    let content = bed.lower.read("low");
    bed.mount().chmod("low", 0o600);
    assert_copied(bed, "low", &content);
}

fn that_was_never_written_back(bed: &Bed) {
    let content = pattern(4, 300_000);
    bed.lower.file("low", &content);
    let m = bed.mount();
    m.append("low", b"");
    drop(m.open_rw("low"));
    assert_copied(bed, "low", &content);
}

fn of_a_file_mapped_by_its_reader(bed: &Bed) {
    let content = pattern(5, 300_000);
    bed.lower.file("low", &content);
    let m = bed.mount();
    let map = crate::areas::mmap::Map::shared_read(&m.open_read("low"), content.len());
    same_bytes("mapped", &map.bytes(), &content);
    m.chmod("low", 0o600);
    assert_copied(bed, "low", &content);
    same_bytes("mapped", &map.bytes(), &content);
}

fn extents_are_shared(bed: &Bed) {
    let content = pattern(6, 1 << 20);
    bed.lower.file("low", &content);
    must("fsync", bed.lower.open_rw("low").sync_all());
    let m = bed.mount();
    m.chmod("low", 0o600);
    assert_copied(bed, "low", &content);
    let (all, shared) = must("fiemap", fiemap::extents(&bed.upper.open_read("low")));
    assert!(all > 0);
    assert_eq!(shared, all, "extents shared with the lower file");
}
