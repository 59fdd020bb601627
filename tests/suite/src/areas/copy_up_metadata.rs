// SPDX-License-Identifier: GPL-2.0

//! The attributes of a file that is copied up.

use rustix::fs::{FileType, Stat};

use crate::harness::bed::Bed;
use crate::support::acl;
use crate::support::dir::Dir;
use crate::support::image::CAPABILITY;

tests! {
    EVERYWHERE: everything_is_kept, of_a_symlink, of_nodes;
    TWICE:
        every_mode,
        times_are_exact,
        times_before_the_epoch,
        many_attributes,
        the_change_itself_comes_on_top,
        a_lower_directory_without_rights,
        of_a_file_in_a_read_only_directory;
}

const ATIME: (i64, i64) = (1_234_567_890, 987_654_321);
const MTIME: (i64, i64) = (1_222_333_444, 123_456_789);

fn times(stat: &Stat) -> [(i64, i64); 2] {
    [
        (stat.st_atime, stat.st_atime_nsec as i64),
        (stat.st_mtime, stat.st_mtime_nsec as i64),
    ]
}

/// Fails unless the copied-up object has owner, mode and times.
#[track_caller]
fn assert_kept(bed: &Bed, name: &str, mode: u32) {
    for dir in [&bed.upper, &bed.mnt] {
        let stat = dir.stat(name);
        assert_eq!((stat.st_uid, stat.st_gid), (1234, 5678), "owner of {name}");
        assert_eq!(dir.mode(name), mode, "mode of {name}");
        assert_eq!(times(&stat), [ATIME, MTIME], "times of {name}");
    }
}

/// Gives owner, mode and times.
fn prepare(dir: &Dir, name: &str, mode: Option<u32>) {
    dir.chown(name, 1234, 5678);
    if let Some(mode) = mode {
        dir.chmod(name, mode);
    }
    dir.set_times(name, ATIME, MTIME);
}

/// Copies up without a change to anything that is compared.
fn copy_up(m: &Dir, name: &str) {
    m.set_xattr(name, "trusted.touched", b"");
}

fn everything_is_kept(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.set_xattr("low", "user.note", b"1");
    bed.lower.set_xattr("low", "trusted.note", b"2");
    bed.lower.set_xattr("low", "security.note", b"3");
    bed.lower
        .set_xattr("low", acl::ACCESS, &acl::with_user(77, 6));
    prepare(&bed.lower, "low", Some(0o2660));
    bed.lower
        .set_xattr("low", "security.capability", CAPABILITY);
    let m = bed.mount();
    copy_up(&m, "low");
    assert_kept(bed, "low", 0o2660);
    for key in [
        "user.note",
        "trusted.note",
        "security.note",
        "security.capability",
        acl::ACCESS,
    ] {
        let want = bed.lower.xattr("low", key);
        assert!(want.is_some(), "{key}");
        assert_eq!(bed.upper.xattr("low", key), want, "{key}");
        assert_eq!(m.xattr("low", key), want, "{key}");
    }
}

fn every_mode(bed: &Bed) {
    let modes = [
        0o0, 0o400, 0o644, 0o777, 0o1644, 0o2755, 0o4755, 0o6755, 0o7777,
    ];
    for mode in modes {
        let name = format!("{mode:o}");
        bed.lower.file(&name, "content");
        prepare(&bed.lower, &name, Some(mode));
    }
    let m = bed.mount();
    for mode in modes {
        let name = format!("{mode:o}");
        copy_up(&m, &name);
        assert_kept(bed, &name, mode);
    }
}

fn times_are_exact(bed: &Bed) {
    let all = [
        (0, 0),
        (1, 1),
        (1_700_000_000, 999_999_999),
        (2_147_483_648, 5),
    ];
    for (index, &time) in all.iter().enumerate() {
        bed.lower.file(&index.to_string(), "content");
        bed.lower.set_times(&index.to_string(), time, time);
    }
    let m = bed.mount();
    for (index, &time) in all.iter().enumerate() {
        copy_up(&m, &index.to_string());
        assert_eq!(times(&bed.upper.stat(&index.to_string())), [time, time]);
        assert_eq!(times(&m.stat(&index.to_string())), [time, time]);
    }
}

fn times_before_the_epoch(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.set_times("low", (-1000, 500), (-2000, 600));
    let m = bed.mount();
    copy_up(&m, "low");
    assert_eq!(times(&bed.upper.stat("low")), [(-1000, 500), (-2000, 600)]);
}

fn of_a_symlink(bed: &Bed) {
    bed.lower.symlink("some/target", "link");
    bed.lower.set_xattr("link", "trusted.note", b"1");
    prepare(&bed.lower, "link", None);
    let m = bed.mount();
    copy_up(&m, "link");
    // Looking at the target in the overlay may advance the access time.
    let stat = bed.upper.stat("link");
    assert_eq!((stat.st_uid, stat.st_gid), (1234, 5678));
    assert_eq!(times(&stat)[1], MTIME);
    assert_eq!(bed.upper.target("link"), "some/target");
    assert_eq!(
        bed.upper.xattr("link", "trusted.note").as_deref(),
        Some(&b"1"[..])
    );
}

fn of_nodes(bed: &Bed) {
    let nodes = [
        ("fifo", FileType::Fifo, (0, 0)),
        ("socket", FileType::Socket, (0, 0)),
        ("char", FileType::CharacterDevice, (1, 3)),
        ("block", FileType::BlockDevice, (259, 7)),
    ];
    for (name, kind, device) in nodes {
        bed.lower.node(name, kind, 0o600, device);
        prepare(&bed.lower, name, Some(0o621));
    }
    let m = bed.mount();
    for (name, kind, _) in nodes {
        copy_up(&m, name);
        assert_kept(bed, name, 0o621);
        assert_eq!(bed.upper.kind(name), kind);
        assert_eq!(bed.upper.stat(name).st_rdev, bed.lower.stat(name).st_rdev);
    }
}

fn many_attributes(bed: &Bed) {
    bed.lower.file("low", "content");
    for number in 0..10 {
        bed.lower
            .set_xattr("low", &format!("user.note-{number}"), &[number; 20]);
    }
    let m = bed.mount();
    copy_up(&m, "low");
    for number in 0..10 {
        let key = format!("user.note-{number}");
        assert_eq!(bed.upper.xattr("low", &key), Some(vec![number; 20]));
    }
}

fn the_change_itself_comes_on_top(bed: &Bed) {
    bed.lower.file("low", "content");
    prepare(&bed.lower, "low", Some(0o4755));
    let m = bed.mount();
    m.append("low", b", more");
    let stat = bed.upper.stat("low");
    assert_eq!((stat.st_uid, stat.st_gid), (1234, 5678));
    assert!(stat.st_mtime > MTIME.0);
    m.chmod("low", 0o640);
    assert_eq!(bed.upper.mode("low"), 0o640);
}

fn a_lower_directory_without_rights(bed: &Bed) {
    let dir = bed.lower.sub("dir");
    dir.file("low", "content");
    dir.chmod("", 0);
    let m = bed.mount();
    m.append("dir/low", b", more");
    assert_eq!(bed.upper.mode("dir"), 0);
    assert_eq!(m.mode("dir"), 0);
    assert_eq!(m.text("dir/low"), "content, more");
}

fn of_a_file_in_a_read_only_directory(bed: &Bed) {
    let dir = bed.lower.sub_mode("dir", 0o555);
    dir.file("own", "content");
    dir.chown("own", 1000, 1000);
    let m = bed.mount();
    crate::support::process::as_user(1000, || m.append("dir/own", b", more"));
    assert_eq!(m.text("dir/own"), "content, more");
    assert_eq!(bed.upper.mode("dir"), 0o555);
}
