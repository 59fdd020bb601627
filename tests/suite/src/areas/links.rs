// SPDX-License-Identifier: GPL-2.0

//! Hard links.

use rustix::fs::{fstat, link, linkat, AtFlags, FileType, CWD};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::must::{must, refused};
use crate::support::process::{as_user, USER};

tests! {
    EVERYWHERE:
        to_an_upper_file,
        to_a_lower_file,
        counts_follow;
    TWICE:
        to_a_lower_hard_link_breaks_it,
        lower_hard_links_are_shown,
        to_special_files,
        to_a_directory_is_refused,
        over_an_existing_name_is_refused,
        across_mounts_is_refused,
        over_a_whiteout,
        to_an_open_file_by_proc,
        by_a_user,
        of_what_is_missing,
        a_broken_link_is_one_file_by_all_its_names;
}

fn to_an_upper_file(bed: &Bed) {
    bed.upper.file("up", "content");
    bed.lower.sub("dir");
    let m = bed.mount();
    m.link("up", "dir/linked");
    assert_eq!(m.stat("dir/linked").st_ino, m.stat("up").st_ino);
    assert_eq!(m.stat("up").st_nlink, 2);
    m.append("dir/linked", b", more");
    assert_eq!(m.text("up"), "content, more");
    let m = bed.remount_fresh();
    assert_eq!(m.stat("dir/linked").st_ino, m.stat("up").st_ino);
}

fn to_a_lower_file(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.sub("dir");
    let m = bed.mount();
    m.link("low", "dir/linked");
    for _ in 0..2 {
        let m = &bed.mnt;
        assert_eq!(m.stat("dir/linked").st_ino, m.stat("low").st_ino);
        assert_eq!(m.stat("low").st_nlink, 2);
        assert_eq!(m.text("dir/linked"), "content");
        bed.remount_fresh();
    }
    bed.mnt.append("low", b", more");
    assert_eq!(bed.mnt.text("dir/linked"), "content, more");
    assert_eq!(
        bed.upper.stat("low").st_ino,
        bed.upper.stat("dir/linked").st_ino
    );
}

fn counts_follow(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    let m = bed.mount();
    for name in ["low", "up"] {
        let file = m.open_read(name);
        let count = || must("fstat", fstat(&file)).st_nlink;
        assert_eq!(count(), 1);
        m.link(name, "second");
        assert_eq!((count(), m.stat(name).st_nlink), (2, 2));
        m.link("second", "third");
        assert_eq!((count(), m.stat("third").st_nlink), (3, 3));
        m.unlink("second");
        assert_eq!(m.stat(name).st_nlink, 2);
        m.rename("third", "renamed");
        assert_eq!(m.stat("renamed").st_nlink, 2);
        m.unlink("renamed");
        assert_eq!(count(), 1);
        m.unlink(name);
        assert_eq!(count(), 0);
    }
}

fn lower_hard_links_are_shown(bed: &Bed) {
    bed.lower.file("one", "content");
    bed.lower.link("one", "two");
    let m = bed.mount();
    assert_eq!(m.stat("one").st_ino, m.stat("two").st_ino);
    assert_eq!(m.stat("one").st_nlink, 2);
}

fn to_a_lower_hard_link_breaks_it(bed: &Bed) {
    // Without an index, a copy-up makes one name a file of its own.
    bed.lower.file("one", "content");
    bed.lower.link("one", "two");
    let m = bed.mount();
    m.append("one", b", more");
    assert_eq!(m.text("one"), "content, more");
    assert_eq!(m.text("two"), "content");
    assert_eq!(m.stat("one").st_nlink, 1);
    assert_ne!(m.stat("one").st_ino, m.stat("two").st_ino);
    m.link("one", "three");
    assert_eq!(m.stat("three").st_ino, m.stat("one").st_ino);
    assert_eq!(m.stat("one").st_nlink, 2);
}

fn to_special_files(bed: &Bed) {
    let names = ["link", "fifo", "char"];
    bed.lower.symlink("x", "link");
    bed.lower.node("fifo", FileType::Fifo, 0o644, (0, 0));
    bed.lower
        .node("char", FileType::CharacterDevice, 0o644, (1, 3));
    let m = bed.mount();
    for name in names {
        let new = format!("new-{name}");
        m.link(name, &new);
        assert_eq!(m.kind(&new), m.kind(name));
        assert_eq!(m.stat(&new).st_ino, m.stat(name).st_ino);
    }
}

fn to_a_directory_is_refused(bed: &Bed) {
    bed.lower.sub("low");
    bed.upper.sub("up");
    let m = bed.mount();
    for name in ["low", "up"] {
        refused(Errno::PERM, link(m.at(name), m.at("new")));
    }
}

fn over_an_existing_name_is_refused(bed: &Bed) {
    bed.lower.file("low", "1");
    bed.lower.file("target", "2");
    let m = bed.mount();
    refused(Errno::EXIST, link(m.at("low"), m.at("target")));
    assert_eq!(m.text("target"), "2");
    assert!(bed.upper.names("").is_empty());
}

fn across_mounts_is_refused(bed: &Bed) {
    bed.lower.file("low", "");
    let m = bed.mount();
    let outside = bed.aside("outside");
    refused(Errno::XDEV, link(m.at("low"), outside.at("x")));
    refused(Errno::XDEV, link(bed.lower.at("low"), m.at("x")));
}

fn over_a_whiteout(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.file("gone", "");
    let m = bed.mount();
    m.unlink("gone");
    m.link("low", "gone");
    for _ in 0..2 {
        assert_eq!(bed.mnt.text("gone"), "content");
        assert_eq!(bed.mnt.stat("gone").st_nlink, 2);
        bed.remount_fresh();
    }
    bed.assert_work_is_empty();
}

fn to_an_open_file_by_proc(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let file = m.open_read("low");
    let by_proc = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    must(
        "linkat",
        linkat(
            CWD,
            by_proc.as_str(),
            CWD,
            m.at("linked"),
            AtFlags::SYMLINK_FOLLOW,
        ),
    );
    assert_eq!(m.text("linked"), "content");
    assert_eq!(m.stat("linked").st_ino, m.stat("low").st_ino);
    m.unlink("low");
    m.unlink("linked");
    refused(
        Errno::NOENT,
        linkat(
            CWD,
            by_proc.as_str(),
            CWD,
            m.at("again"),
            AtFlags::SYMLINK_FOLLOW,
        ),
    );
}

fn by_a_user(bed: &Bed) {
    let dir = bed.lower.sub_mode("dir", 0o777);
    dir.file("own", "content");
    dir.chown("own", USER, USER);
    let m = bed.mount();
    as_user(USER, || {
        m.link("dir/own", "dir/linked");
        assert_eq!(m.stat("dir/linked").st_nlink, 2);
        refused(Errno::ACCESS, link(m.at("dir/own"), m.at("linked")));
    });
    assert_eq!(bed.upper.stat("dir/linked").st_uid, USER);
}

fn of_what_is_missing(bed: &Bed) {
    let m = bed.mount();
    refused(Errno::NOENT, link(m.at("none"), m.at("x")));
    m.file("file", "");
    refused(Errno::NOENT, link(m.at("file"), m.at("none/x")));
}

fn a_broken_link_is_one_file_by_all_its_names(bed: &Bed) {
    bed.lower.file("a", "content");
    bed.lower.link("a", "b");
    let m = bed.mount();
    // The copy stays in use, while its second name is forgotten and found anew.
    let file = m.open_rw("a");
    m.link("a", "c");
    must(
        "drop caches",
        std::fs::write("/proc/sys/vm/drop_caches", "2"),
    );
    m.chmod("c", 0o600);
    assert_eq!(m.mode("a"), 0o600);
    assert_eq!(m.stat("a").st_ino, m.stat("c").st_ino);
    must(
        "flock",
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive),
    );
    let other = m.open_rw("c");
    refused(
        Errno::WOULDBLOCK,
        rustix::fs::flock(&other, rustix::fs::FlockOperation::NonBlockingLockExclusive),
    );
}
