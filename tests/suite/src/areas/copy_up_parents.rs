// SPDX-License-Identifier: GPL-2.0

//! The directories above what is copied up.

use rustix::fs::Stat;

use crate::harness::bed::Bed;
use crate::support::acl::{encode, Who, DEFAULT};
use crate::support::dir::Dir;

tests! {
    EVERYWHERE: come_with_their_attributes, keep_their_times;
    TWICE:
        of_a_new_file,
        of_a_removed_file,
        merged_ones_keep_the_upper_attributes,
        a_default_list_does_not_leak_into_the_copy,
        set_group_id_does_not_leak_into_the_copy,
        of_a_deep_tree,
        only_what_is_needed;
}

const ATIME: (i64, i64) = (1_234_567_890, 987_654_321);
const MTIME: (i64, i64) = (1_222_333_444, 123_456_789);

fn mtime(stat: &Stat) -> (i64, i64) {
    (stat.st_mtime, stat.st_mtime_nsec as i64)
}

fn tree(bed: &Bed) -> Dir {
    let a = bed.lower.sub("a");
    let b = a.sub("b");
    b.file("low", "content");
    for (dir, name, mode) in [(&a, "b", 0o2711), (&bed.lower, "a", 0o1777)] {
        dir.set_xattr(name, "user.note", name.as_bytes());
        dir.chown(name, 1234, 5678);
        dir.chmod(name, mode);
        dir.set_times(name, ATIME, MTIME);
    }
    bed.mount()
}

fn come_with_their_attributes(bed: &Bed) {
    let m = tree(bed);
    m.append("a/b/low", b", more");
    for (name, key, mode) in [("a", "a", 0o1777), ("a/b", "b", 0o2711)] {
        for dir in [&bed.upper, &m] {
            let stat = dir.stat(name);
            assert_eq!((stat.st_uid, stat.st_gid), (1234, 5678), "{name}");
            assert_eq!(dir.mode(name), mode, "{name}");
            assert_eq!(
                dir.xattr(name, "user.note").as_deref(),
                Some(key.as_bytes())
            );
        }
    }
}

fn keep_their_times(bed: &Bed) {
    let m = tree(bed);
    m.append("a/b/low", b", more");
    // Nothing in them changed, as far as anybody can see.
    for name in ["a", "a/b"] {
        assert_eq!(mtime(&m.stat(name)), MTIME, "{name}");
        assert_eq!(mtime(&bed.upper.stat(name)), MTIME, "{name}");
    }
    let m = bed.remount_fresh();
    assert_eq!(mtime(&m.stat("a/b")), MTIME);
}

fn of_a_new_file(bed: &Bed) {
    let m = tree(bed);
    m.file("a/b/new", "");
    assert_eq!(mtime(&m.stat("a")), MTIME);
    assert!(m.stat("a/b").st_mtime > MTIME.0);
    assert_eq!(m.names("a/b"), ["low", "new"]);
    // The directory has a set-group-ID bit, so the file gets its group.
    assert_eq!(bed.upper.stat("a/b/new").st_gid, 5678);
}

fn of_a_removed_file(bed: &Bed) {
    let m = tree(bed);
    m.unlink("a/b/low");
    assert_eq!(mtime(&m.stat("a")), MTIME);
    assert!(m.stat("a/b").st_mtime > MTIME.0);
    assert_eq!(bed.upper.mode("a/b"), 0o2711);
}

fn merged_ones_keep_the_upper_attributes(bed: &Bed) {
    bed.lower.sub_mode("dir", 0o700).file("low", "content");
    bed.upper.sub_mode("dir", 0o751);
    bed.upper.chown("dir", 9, 9);
    let m = bed.mount();
    m.append("dir/low", b", more");
    assert_eq!(m.mode("dir"), 0o751);
    assert_eq!(m.stat("dir").st_uid, 9);
}

fn a_default_list_does_not_leak_into_the_copy(bed: &Bed) {
    let dir = bed.lower.sub("dir");
    dir.file_mode("low", "content", 0o640);
    dir.sub("sub").file("low", "content");
    let list = encode(&[
        (Who::Owner, 7),
        (Who::User(77), 7),
        (Who::Group, 7),
        (Who::Mask, 7),
        (Who::Others, 7),
    ]);
    dir.set_xattr("", DEFAULT, &list);
    let m = bed.mount();
    m.append("dir/low", b", more");
    m.append("dir/sub/low", b", more");
    assert_eq!(bed.upper.mode("dir/low"), 0o640);
    for name in ["dir/low", "dir/sub", "dir/sub/low"] {
        for key in bed.upper.xattr_names(name) {
            assert!(!key.starts_with("system.posix_acl"), "{name} has {key}");
        }
    }
    assert_eq!(bed.upper.xattr("dir", DEFAULT), Some(list));
}

fn set_group_id_does_not_leak_into_the_copy(bed: &Bed) {
    let dir = bed.lower.sub("dir");
    dir.file("low", "content");
    dir.sub("sub").file("low", "content");
    dir.chown("", 0, 5678);
    dir.chmod("", 0o2755);
    let m = bed.mount();
    m.append("dir/low", b", more");
    m.append("dir/sub/low", b", more");
    for name in ["dir/low", "dir/sub", "dir/sub/low"] {
        assert_eq!(bed.upper.stat(name).st_gid, 0, "{name}");
        assert_eq!(bed.upper.mode(name) & 0o2000, 0, "{name}");
    }
}

fn of_a_deep_tree(bed: &Bed) {
    let mut path = String::new();
    for depth in 0..20 {
        path = format!("{path}d{depth}");
        bed.lower.sub_mode(&path, 0o700 + depth);
        path.push('/');
    }
    bed.lower.file(&format!("{path}low"), "content");
    let m = bed.mount();
    m.append(&format!("{path}low"), b", more");
    let mut path = String::new();
    for depth in 0..20 {
        path = format!("{path}d{depth}");
        assert_eq!(bed.upper.mode(&path), 0o700 + depth, "{path}");
        path.push('/');
    }
    assert_eq!(bed.upper.text(&format!("{path}low")), "content, more");
    bed.assert_work_is_empty();
}

fn only_what_is_needed(bed: &Bed) {
    bed.lower.sub("a").sub("b").file("low", "content");
    bed.lower.sub("a/c").file("low", "content");
    bed.lower.file("a/low", "content");
    let m = bed.mount();
    m.append("a/b/low", b", more");
    assert_eq!(bed.upper.names(""), ["a"]);
    assert_eq!(bed.upper.names("a"), ["b"]);
    assert_eq!(bed.upper.names("a/b"), ["low"]);
    assert_eq!(m.names("a"), ["b", "c", "low"]);
}
