// SPDX-License-Identifier: GPL-2.0

//! What `statx` tells beside what `stat` does.

use rustix::fs::{statx, AtFlags, FileType, StatxAttributes, StatxFlags, CWD};

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;

tests! {
    EVERYWHERE:
        of_the_layer_are_shown,
        of_a_copy_are_those_of_upper,
        one_mount_for_all;
    TWICE:
        without_asking_for_more,
        links_of_directories,
        the_mount_root_is_told;
}

type Statx = rustix::fs::Statx;

/// Everything that there is to ask for.
const ALL: StatxFlags = StatxFlags::ALL
    .union(StatxFlags::MNT_ID)
    .union(StatxFlags::DIOALIGN)
    .union(StatxFlags::from_bits_retain(
        0x1000 | 0x4000 | 0x8000 | 0x1_0000 | 0x2_0000,
    ));

#[track_caller]
fn ask(dir: &Dir, name: &str, what: StatxFlags) -> Statx {
    must(
        format_args!("statx of {dir}/{name}"),
        statx(CWD, dir.at(name), AtFlags::SYMLINK_NOFOLLOW, what),
    )
}

/// What is not the overlay's own, as text: all but the identity, and whether it
/// is the root of a mount.
fn of_the_object(stat: &Statx) -> String {
    let hidden = StatxAttributes::MOUNT_ROOT;
    let time = |time: rustix::fs::StatxTimestamp| format!("{}.{:09}", time.tv_sec, time.tv_nsec);
    [
        format!("mask {:#x}", stat.stx_mask),
        format!(
            "attributes {:#x} of {:#x}",
            stat.stx_attributes.difference(hidden).bits(),
            stat.stx_attributes_mask.difference(hidden).bits()
        ),
        format!("links {}", stat.stx_nlink),
        format!("owner {}:{}", stat.stx_uid, stat.stx_gid),
        format!("mode {:o}", stat.stx_mode),
        format!("size {}", stat.stx_size),
        format!("{} blocks, {}", stat.stx_blocks, stat.stx_blksize),
        format!("birth {}", time(stat.stx_btime)),
        format!("changed {}", time(stat.stx_ctime)),
        format!("modified {}", time(stat.stx_mtime)),
        format!("device {}:{}", stat.stx_rdev_major, stat.stx_rdev_minor),
        format!(
            "direct {} {} {}",
            stat.stx_dio_mem_align, stat.stx_dio_offset_align, stat.stx_dio_read_offset_align
        ),
        format!(
            "atomic {} {} {} {}",
            stat.stx_atomic_write_unit_min,
            stat.stx_atomic_write_unit_max,
            stat.stx_atomic_write_segments_max,
            stat.stx_atomic_write_unit_max_opt
        ),
        format!("subvolume {:#x}", stat.stx_subvol),
    ]
    .join(", ")
}

const KINDS: [&str; 5] = ["file", "dir", "link", "fifo", "null"];

fn make_kinds(layer: &Dir, prefix: &str) {
    layer.file_mode(&format!("{prefix}file"), vec![3; 10_000], 0o2640);
    layer.sub(&format!("{prefix}dir")).sub("below");
    layer.symlink("target", &format!("{prefix}link"));
    layer.node(&format!("{prefix}fifo"), FileType::Fifo, 0o600, (0, 0));
    let null = format!("{prefix}null");
    layer.node(&null, FileType::CharacterDevice, 0o666, (1, 3));
    // What is not allocated yet would be, between two looks.
    let file = layer.open_rw(&format!("{prefix}file"));
    must("fsync", file.sync_all());
}

fn of_the_layer_are_shown(bed: &Bed) {
    make_kinds(&bed.lower, "low-");
    make_kinds(&bed.upper, "up-");
    let m = bed.mount();
    for (layer, prefix) in [(&bed.lower, "low-"), (&bed.upper, "up-")] {
        for kind in KINDS {
            let name = format!("{prefix}{kind}");
            assert_eq!(
                of_the_object(&ask(&m, &name, ALL)),
                of_the_object(&ask(layer, &name, ALL)),
                "{name}"
            );
        }
    }
    assert!(bed
        .upper
        .names("")
        .iter()
        .all(|name| name.starts_with("up-")));
}

fn of_a_copy_are_those_of_upper(bed: &Bed) {
    make_kinds(&bed.lower, "");
    let m = bed.mount();
    for kind in KINDS {
        let before = ask(&m, kind, ALL);
        m.chown(kind, 1, 1);
        let (copy, upper) = (ask(&m, kind, ALL), ask(&bed.upper, kind, ALL));
        assert_eq!(copy.stx_ino, before.stx_ino, "{kind}");
        assert_eq!(copy.stx_mnt_id, before.stx_mnt_id, "{kind}");
        if kind != "dir" {
            assert_eq!(of_the_object(&copy), of_the_object(&upper), "{kind}");
        }
        let birth = |stat: &Statx| (stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec);
        assert_eq!(birth(&copy), birth(&upper), "{kind}");
    }
}

fn one_mount_for_all(bed: &Bed) {
    make_kinds(&bed.lower, "low-");
    make_kinds(&bed.upper, "up-");
    let m = bed.mount();
    let root = ask(&m, "", ALL).stx_mnt_id;
    assert_ne!(root, ask(&bed.lower, "", ALL).stx_mnt_id);
    assert_ne!(root, ask(&bed.upper, "", ALL).stx_mnt_id);
    for name in m.names("") {
        assert_eq!(ask(&m, &name, ALL).stx_mnt_id, root, "{name}");
    }
}

fn without_asking_for_more(bed: &Bed) {
    make_kinds(&bed.lower, "low-");
    make_kinds(&bed.upper, "up-");
    let m = bed.mount();
    for (layer, prefix) in [(&bed.lower, "low-"), (&bed.upper, "up-")] {
        for what in [StatxFlags::empty(), StatxFlags::TYPE, StatxFlags::SIZE] {
            let name = format!("{prefix}file");
            let (got, want) = (ask(&m, &name, what), ask(layer, &name, what));
            assert_eq!(got.stx_mask, want.stx_mask);
            assert_eq!(got.stx_mode, want.stx_mode);
            assert_eq!(got.stx_ino, m.stat(&name).st_ino);
        }
    }
}

fn links_of_directories(bed: &Bed) {
    for layer in [&bed.lower, &bed.upper] {
        layer.sub("both").sub("below");
    }
    bed.lower.sub("low").sub("below").sub("two");
    bed.upper.sub("up").sub("below");
    bed.lower.sub("copied").sub("below");
    let m = bed.mount();
    m.chmod("copied", 0o700);
    m.sub("new").sub("below");
    for name in ["both", "copied", ""] {
        assert_eq!(m.stat(name).st_nlink, 1, "{name}");
    }
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up"), (&bed.upper, "new")] {
        assert_eq!(m.stat(name).st_nlink, layer.stat(name).st_nlink, "{name}");
    }
}

fn the_mount_root_is_told(bed: &Bed) {
    bed.lower.sub("dir");
    let m = bed.mount();
    let is_root = |name| {
        let stat = ask(&m, name, ALL);
        assert!(stat
            .stx_attributes_mask
            .contains(StatxAttributes::MOUNT_ROOT));
        stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
    };
    assert!(is_root(""));
    assert!(!is_root("dir"));
}
