// SPDX-License-Identifier: GPL-2.0

//! Symbolic links.

use rustix::fs::{readlink, statat, AtFlags, FileType, Mode, OFlags, CWD};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::must::{must, refused};
use crate::support::process::{as_user, USER};

tests! {
    EVERYWHERE:
        targets_are_shown,
        long_targets,
        made_through_the_overlay;
    TWICE:
        are_followed,
        are_followed_on_the_overlay,
        dangling_and_circular,
        to_a_file_that_is_copied_up,
        writing_through_one_copies_up_the_target,
        creating_through_a_dangling_one,
        no_follow_is_obeyed,
        the_size_is_the_length_of_the_target,
        readlink_of_something_else,
        a_link_replaces_and_is_replaced,
        of_a_user;
}

fn targets_are_shown(bed: &Bed) {
    bed.lower.symlink("some/where", "low");
    bed.upper.symlink("/else/where", "up");
    bed.lower.symlink("hidden", "both");
    bed.upper.symlink("shown", "both");
    let m = bed.mount();
    assert_eq!(m.target("low"), "some/where");
    assert_eq!(m.target("up"), "/else/where");
    assert_eq!(m.target("both"), "shown");
    assert_eq!(m.mode("low"), 0o777);
}

fn long_targets(bed: &Bed) {
    // Past the limit (4095, on xfs 1024) the layer itself refuses.
    for length in [1, 59, 60, 255, 1000] {
        let target = "t".repeat(length);
        bed.lower.symlink(&target, &format!("low-{length}"));
        bed.upper.symlink(&target, &format!("up-{length}"));
    }
    let m = bed.mount();
    for length in [1, 59, 60, 255, 1000] {
        let target = "t".repeat(length);
        assert_eq!(m.target(&format!("low-{length}")), target);
        assert_eq!(m.target(&format!("up-{length}")), target);
        m.symlink(&target, &format!("new-{length}"));
        m.chown(&format!("low-{length}"), 1, 1);
        assert_eq!(bed.upper.target(&format!("new-{length}")), target);
        assert_eq!(bed.upper.target(&format!("low-{length}")), target);
    }
    refused(
        Errno::NAMETOOLONG,
        rustix::fs::symlink("t".repeat(4096), m.at("x")),
    );
}

fn made_through_the_overlay(bed: &Bed) {
    bed.lower.sub("dir");
    let m = bed.mount();
    m.symlink("target", "dir/link");
    assert_eq!(m.target("dir/link"), "target");
    assert_eq!(bed.upper.target("dir/link"), "target");
    refused(Errno::EXIST, rustix::fs::symlink("other", m.at("dir/link")));
    m.unlink("dir/link");
    assert!(!bed.upper.exists("dir/link"));
}

fn are_followed(bed: &Bed) {
    bed.lower.sub("dir").file("file", "content");
    bed.lower.symlink("dir/file", "to-file");
    bed.lower.symlink("dir", "to-dir");
    bed.upper.symlink("to-dir/file", "chain");
    let m = bed.mount();
    assert_eq!(m.text("to-file"), "content");
    assert_eq!(m.text("to-dir/file"), "content");
    assert_eq!(m.text("chain"), "content");
    assert_eq!(m.names("to-dir/"), ["file"]);
}

fn are_followed_on_the_overlay(bed: &Bed) {
    // The target of a lower link is what the overlay has there.
    bed.lower.symlink("target", "link");
    bed.lower.file("target", "from lower");
    bed.upper.file("target", "from upper");
    bed.lower.symlink("/proc/self/status", "absolute");
    let m = bed.mount();
    assert_eq!(m.text("link"), "from upper");
    assert!(m.text("absolute").contains("Pid:"));
}

fn dangling_and_circular(bed: &Bed) {
    bed.lower.symlink("nowhere", "dangling");
    bed.lower.symlink("two", "one");
    bed.upper.symlink("one", "two");
    let m = bed.mount();
    refused(Errno::NOENT, std::fs::read(m.at("dangling")));
    refused(Errno::LOOP, std::fs::read(m.at("one")));
    assert_eq!(m.kind("one"), FileType::Symlink);
}

fn to_a_file_that_is_copied_up(bed: &Bed) {
    bed.lower.file("target", "content");
    bed.lower.symlink("target", "link");
    let m = bed.mount();
    assert_eq!(m.text("link"), "content");
    m.file("target", "changed");
    assert_eq!(m.text("link"), "changed");
}

fn writing_through_one_copies_up_the_target(bed: &Bed) {
    bed.lower.file("target", "content");
    bed.lower.symlink("target", "link");
    let m = bed.mount();
    m.append("link", b", more");
    assert_eq!(bed.upper.names(""), ["target"]);
    assert_eq!(m.text("target"), "content, more");
}

fn creating_through_a_dangling_one(bed: &Bed) {
    bed.lower.symlink("new", "link");
    let m = bed.mount();
    m.file("link", "made");
    assert_eq!(m.text("new"), "made");
    assert_eq!(m.kind("link"), FileType::Symlink);
    refused(
        Errno::EXIST,
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(m.at("link")),
    );
}

fn no_follow_is_obeyed(bed: &Bed) {
    bed.lower.file("target", "content");
    bed.lower.symlink("target", "link");
    let m = bed.mount();
    refused(
        Errno::LOOP,
        rustix::fs::open(
            m.at("link"),
            OFlags::RDONLY | OFlags::NOFOLLOW,
            Mode::empty(),
        ),
    );
    let link = m.open("link", OFlags::PATH | OFlags::NOFOLLOW);
    let target = must("readlinkat", rustix::fs::readlinkat(&link, "", Vec::new()));
    assert_eq!(target.to_bytes(), b"target");
    let followed = must("stat", statat(CWD, m.at("link"), AtFlags::empty()));
    assert_eq!(followed.st_ino, m.stat("target").st_ino);
}

fn the_size_is_the_length_of_the_target(bed: &Bed) {
    bed.lower.symlink("12345", "low");
    bed.upper.symlink("1234567", "up");
    let m = bed.mount();
    assert_eq!(m.stat("low").st_size, 5);
    assert_eq!(m.stat("up").st_size, 7);
    m.chown("low", 1, 1);
    assert_eq!(m.stat("low").st_size, 5);
}

fn readlink_of_something_else(bed: &Bed) {
    bed.lower.file("file", "");
    bed.lower.sub("dir");
    let m = bed.mount();
    refused(Errno::INVAL, readlink(m.at("file"), Vec::new()));
    refused(Errno::INVAL, readlink(m.at("dir"), Vec::new()));
}

fn a_link_replaces_and_is_replaced(bed: &Bed) {
    bed.lower.file("file", "content");
    bed.lower.symlink("a", "link");
    let m = bed.mount();
    m.symlink("b", "new");
    m.rename("new", "link");
    assert_eq!(m.target("link"), "b");
    m.rename("link", "file");
    assert_eq!(m.target("file"), "b");
    assert!(!m.exists("link"));
    let m = bed.remount_fresh();
    assert_eq!(m.names(""), ["file"]);
    assert_eq!(m.target("file"), "b");
}

fn of_a_user(bed: &Bed) {
    bed.lower.sub_mode("dir", 0o777);
    bed.lower.symlink("target", "link");
    let m = bed.mount();
    as_user(USER, || {
        assert_eq!(m.target("link"), "target");
        m.symlink("mine", "dir/link");
        assert_eq!(m.target("dir/link"), "mine");
    });
    assert_eq!(bed.upper.stat("dir/link").st_uid, USER);
}
