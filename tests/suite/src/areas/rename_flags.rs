// SPDX-License-Identifier: GPL-2.0

//! `renameat2` with flags.

use rustix::fs::{renameat_with, RenameFlags, CWD};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused};

tests! {
    EVERYWHERE: noreplace, exchange_files;
    TWICE:
        exchange_a_file_and_a_directory,
        exchange_upper_directories,
        exchange_across_directories,
        exchange_a_lower_directory_is_refused,
        exchange_needs_both,
        whiteout_is_refused,
        unknown_flags_are_refused,
        noreplace_over_a_whiteout;
}

fn with(m: &Dir, old: &str, new: &str, flags: RenameFlags) -> Result<(), Errno> {
    renameat_with(CWD, m.at(old), CWD, m.at(new), flags)
}

fn noreplace(bed: &Bed) {
    bed.lower.file("low", "1");
    bed.lower.file("low-target", "");
    bed.upper.file("up-target", "");
    let m = bed.mount();
    for target in ["low-target", "up-target"] {
        refused(
            Errno::EXIST,
            with(&m, "low", target, RenameFlags::NOREPLACE),
        );
    }
    must("rename", with(&m, "low", "new", RenameFlags::NOREPLACE));
    assert_eq!(m.text("new"), "1");
    assert!(!m.exists("low"));
}

fn noreplace_over_a_whiteout(bed: &Bed) {
    bed.lower.file("low", "1");
    bed.lower.file("gone", "");
    bed.upper.whiteout("gone");
    let m = bed.mount();
    must("rename", with(&m, "low", "gone", RenameFlags::NOREPLACE));
    for _ in 0..2 {
        assert_eq!(bed.mnt.names(""), ["gone"]);
        assert_eq!(bed.mnt.text("gone"), "1");
        bed.remount_fresh();
    }
}

fn exchange_files(bed: &Bed) {
    bed.lower.file("low", "1");
    bed.lower.file("low2", "2");
    bed.upper.file("up", "3");
    let m = bed.mount();
    must("exchange", with(&m, "low", "low2", RenameFlags::EXCHANGE));
    assert_eq!((m.text("low"), m.text("low2")), ("2".into(), "1".into()));
    must("exchange", with(&m, "low", "up", RenameFlags::EXCHANGE));
    for _ in 0..2 {
        let m = &bed.mnt;
        let texts = ["low", "low2", "up"].map(|name| m.text(name));
        assert_eq!(texts, ["3", "1", "2"]);
        bed.remount_fresh();
    }
    assert_eq!(bed.lower.text("low"), "1");
}

fn exchange_a_file_and_a_directory(bed: &Bed) {
    bed.lower.file("low", "1");
    bed.upper.sub("up").file("inside", "2");
    let m = bed.mount();
    must("exchange", with(&m, "low", "up", RenameFlags::EXCHANGE));
    for _ in 0..2 {
        assert_eq!(bed.mnt.text("up"), "1");
        assert_eq!(bed.mnt.text("low/inside"), "2");
        bed.remount_fresh();
    }
}

fn exchange_upper_directories(bed: &Bed) {
    bed.upper.sub("a").file("in-a", "");
    bed.upper.sub("b").file("in-b", "");
    let m = bed.mount();
    must("exchange", with(&m, "a", "b", RenameFlags::EXCHANGE));
    for _ in 0..2 {
        assert_eq!(bed.mnt.names("a"), ["in-b"]);
        assert_eq!(bed.mnt.names("b"), ["in-a"]);
        bed.remount_fresh();
    }
}

fn exchange_across_directories(bed: &Bed) {
    bed.lower.sub("a").file("x", "1");
    bed.lower.sub("b").file("y", "2");
    let m = bed.mount();
    must("exchange", with(&m, "a/x", "b/y", RenameFlags::EXCHANGE));
    for _ in 0..2 {
        assert_eq!(bed.mnt.text("a/x"), "2");
        assert_eq!(bed.mnt.text("b/y"), "1");
        bed.remount_fresh();
    }
    bed.assert_work_is_empty();
}

fn exchange_a_lower_directory_is_refused(bed: &Bed) {
    bed.lower.sub("low").file("inside", "");
    bed.lower.sub("both").file("inside", "");
    bed.upper.sub("both");
    bed.upper.sub("up");
    bed.upper.file("file", "");
    let m = must("mount", bed.try_mount(&bed.strict_options()));
    for name in ["low", "both"] {
        for other in ["up", "file"] {
            refused(Errno::XDEV, with(&m, name, other, RenameFlags::EXCHANGE));
            refused(Errno::XDEV, with(&m, other, name, RenameFlags::EXCHANGE));
        }
        assert_eq!(m.names(name), ["inside"]);
    }
}

fn exchange_needs_both(bed: &Bed) {
    bed.lower.file("low", "");
    bed.lower.file("gone", "");
    bed.upper.whiteout("gone");
    let m = bed.mount();
    for name in ["none", "gone"] {
        refused(Errno::NOENT, with(&m, "low", name, RenameFlags::EXCHANGE));
        refused(Errno::NOENT, with(&m, name, "low", RenameFlags::EXCHANGE));
    }
    assert_eq!(m.names(""), ["low"]);
}

fn whiteout_is_refused(bed: &Bed) {
    bed.lower.file("low", "");
    bed.upper.file("up", "");
    let m = bed.mount();
    for name in ["low", "up"] {
        refused(Errno::INVAL, with(&m, name, "new", RenameFlags::WHITEOUT));
    }
    assert_eq!(m.names(""), ["low", "up"]);
}

fn unknown_flags_are_refused(bed: &Bed) {
    bed.lower.file("low", "");
    let m = bed.mount();
    let flags = [
        RenameFlags::from_bits_retain(1 << 10),
        RenameFlags::EXCHANGE | RenameFlags::NOREPLACE,
    ];
    for flags in flags {
        refused(Errno::INVAL, with(&m, "low", "new", flags));
    }
    assert_eq!(m.names(""), ["low"]);
}
