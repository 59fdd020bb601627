// SPDX-License-Identifier: GPL-2.0

//! Device and inode numbers: one object keeps one identity.

use rustix::fs::{fstat, FileType};

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;

tests! {
    EVERYWHERE:
        the_device_is_the_overlay_for_every_object,
        numbers_differ_between_files,
        a_file_keeps_its_number_at_copy_up,
        a_directory_keeps_its_number_at_copy_up,
        a_descriptor_and_its_path_agree,
        a_renamed_file_keeps_its_number,
        numbers_last_until_the_next_mount,
        numbers_of_files_outlive_the_caches,
        numbers_of_directories_outlive_the_caches,
        a_new_file_has_a_number_of_its_own,
        special_files_keep_their_numbers;
}

fn identity(m: &Dir, name: &str) -> (u64, u64) {
    let stat = m.stat(name);
    (stat.st_dev, stat.st_ino)
}

fn the_device_is_the_overlay_for_every_object(bed: &Bed) {
    for (layer, prefix) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file(&format!("{prefix}-file"), "");
        layer.sub(&format!("{prefix}-dir"));
        layer.symlink("x", &format!("{prefix}-link"));
        layer.node(&format!("{prefix}-fifo"), FileType::Fifo, 0o644, (0, 0));
        layer.node(
            &format!("{prefix}-char"),
            FileType::CharacterDevice,
            0o644,
            (1, 5),
        );
    }
    bed.lower.file("copied", "");
    let m = bed.mount();
    m.append("copied", b"more");
    let device = m.stat("").st_dev;
    assert_ne!(device, bed.upper.stat("").st_dev);
    for name in m.names("") {
        assert_eq!(m.stat(&name).st_dev, device, "{name}");
    }
}

fn numbers_differ_between_files(bed: &Bed) {
    for number in 0..20 {
        bed.lower.file(&format!("low-{number}"), "");
        bed.upper.file(&format!("up-{number}"), "");
        bed.below(1).file(&format!("bottom-{number}"), "");
    }
    let m = bed.mount();
    let mut identities: Vec<_> = m.names("").iter().map(|name| identity(&m, name)).collect();
    identities.push(identity(&m, ""));
    identities.sort_unstable();
    let count = identities.len();
    identities.dedup();
    assert_eq!(identities.len(), count);
    assert_eq!(count, 61);
}

fn a_file_keeps_its_number_at_copy_up(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let before = identity(&m, "low");
    m.append("low", b"more");
    assert_eq!(identity(&m, "low"), before);
    m.chmod("low", 0o600);
    assert_eq!(identity(&m, "low"), before);
}

fn a_directory_keeps_its_number_at_copy_up(bed: &Bed) {
    bed.lower.sub("dir").sub("inner");
    let m = bed.mount();
    let before = (identity(&m, "dir"), identity(&m, "dir/inner"));
    m.file("dir/inner/new", "");
    assert_eq!((identity(&m, "dir"), identity(&m, "dir/inner")), before);
}

fn a_descriptor_and_its_path_agree(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    let m = bed.mount();
    let files = ["low", "up"].map(|name| (name, m.open_read(name)));
    let assert_agree = || {
        for (name, file) in &files {
            let stat = must("fstat", fstat(file));
            assert_eq!((stat.st_dev, stat.st_ino), identity(&m, name), "{name}");
        }
    };
    assert_agree();
    m.append("low", b"more");
    m.append("up", b"more");
    assert_agree();
}

fn a_renamed_file_keeps_its_number(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.file("copied", "content");
    bed.lower.sub("dir");
    let m = bed.mount();
    m.append("copied", b"more");
    let numbers = ["low", "copied"].map(|name| identity(&m, name));
    m.rename("low", "dir/low");
    m.rename("copied", "dir/copied");
    assert_eq!(
        ["dir/low", "dir/copied"].map(|name| identity(&m, name)),
        numbers
    );
}

fn numbers_last_until_the_next_mount(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.file("copied", "content");
    bed.lower.file("renamed", "content");
    bed.upper.file("up", "content");
    let m = bed.mount();
    m.append("copied", b"more");
    m.append("renamed", b"more");
    m.rename("renamed", "moved");
    let names = ["low", "copied", "moved", "up"];
    let before = names.map(|name| m.stat(name).st_ino);
    let m = bed.remount_fresh();
    assert_eq!(names.map(|name| m.stat(name).st_ino), before);
}

#[track_caller]
fn assert_outlive_the_caches(m: &Dir, names: &[&str]) {
    let identities = || {
        names
            .iter()
            .map(|name| identity(m, name))
            .collect::<Vec<_>>()
    };
    let before = identities();
    rustix::fs::sync();
    must(
        "drop caches",
        std::fs::write("/proc/sys/vm/drop_caches", "3"),
    );
    assert_eq!(identities(), before);
}

fn numbers_of_files_outlive_the_caches(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.file("copied", "content");
    bed.upper.file("up", "content");
    let m = bed.mount();
    m.append("copied", b"more");
    m.file("new", "");
    assert_outlive_the_caches(&m, &["low", "copied", "up", "new"]);
}

fn numbers_of_directories_outlive_the_caches(bed: &Bed) {
    bed.lower.sub("low");
    bed.lower.sub("copied");
    bed.upper.sub("up");
    let m = bed.mount();
    m.file("copied/new", "");
    assert_outlive_the_caches(&m, &["low", "copied", "up"]);
}

fn a_new_file_has_a_number_of_its_own(bed: &Bed) {
    bed.lower.file("name", "content");
    let m = bed.mount();
    let held = m.open_read("name");
    let before = identity(&m, "name");
    m.unlink("name");
    m.file("name", "another");
    assert_ne!(identity(&m, "name"), before);
    let stat = must("fstat", fstat(&held));
    assert_eq!((stat.st_dev, stat.st_ino), before);
}

fn special_files_keep_their_numbers(bed: &Bed) {
    bed.lower.symlink("x", "link");
    bed.lower.node("fifo", FileType::Fifo, 0o644, (0, 0));
    bed.lower
        .node("char", FileType::CharacterDevice, 0o644, (1, 5));
    let m = bed.mount();
    let names = ["link", "fifo", "char"];
    let before = names.map(|name| identity(&m, name));
    for name in names {
        m.chown(name, 1, 1);
        assert!(bed.upper.exists(name));
    }
    assert_eq!(names.map(|name| identity(&m, name)), before);
}
