// SPDX-License-Identifier: GPL-2.0

//! Hard links with `index=on`: copy-up does not break them.

use std::io::Write;

use rustix::fs::{fstat, linkat, renameat_with, AtFlags, FileType, RenameFlags, CWD};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::index::{self, drop_caches, remount};
use crate::support::mapping::Map;
use crate::support::must::{must, refused};

tests! {
    EVERYWHERE:
        stay_one_file_after_copy_up,
        are_one_file_whatever_is_looked_up_first,
        counts_follow,
        counts_outlive_the_caches,
        numbers_are_kept;
    TWICE:
        by_descriptors_of_other_names,
        by_mappings_of_other_names,
        in_several_directories,
        numbers_in_listings,
        of_special_files_and_symlinks,
        unlinked_one_by_one,
        unlinked_without_a_copy_before,
        unlinked_while_open,
        of_a_file_linked_again,
        renamed,
        renamed_over,
        renamed_over_itself,
        exchanged,
        over_a_new_name_of_a_removed_one,
        a_name_that_was_removed_stays_removed,
        broken_before_stay_broken,
        without_an_index_break,
        a_file_with_one_link_is_not_indexed,
        a_temporary_file_that_is_linked,
        without_upper;
}

fn three(bed: &Bed) -> Dir {
    bed.lower.file("a", "content");
    bed.lower.link("a", "b");
    bed.lower.link("a", "c");
    bed.mount_with(index::ON)
}

#[track_caller]
fn assert_one(m: &Dir, names: &[&str], content: &str) {
    let first = m.stat(names[0]);
    for name in names {
        let stat = m.stat(name);
        assert_eq!(
            (stat.st_dev, stat.st_ino),
            (first.st_dev, first.st_ino),
            "{name}"
        );
        assert_eq!(stat.st_nlink as usize, names.len(), "count of {name}");
        assert_eq!(m.text(name), content, "{name}");
    }
}

fn stay_one_file_after_copy_up(bed: &Bed) {
    let m = three(bed);
    assert_one(&m, &["a", "b", "c"], "content");
    m.append("b", b", more");
    assert!(!bed.upper.exists("a"), "a needs no name in upper yet");
    assert_one(&m, &["a", "b", "c"], "content, more");
    m.chmod("c", 0o600);
    assert_eq!(m.mode("a"), 0o600);
    assert_eq!(bed.upper.stat("b").st_ino, bed.upper.stat("c").st_ino);
    for _ in 0..2 {
        let m = remount(bed, index::ON);
        assert_one(&m, &["a", "b", "c"], "content, more");
    }
    assert_eq!(bed.lower.text("a"), "content");
}

fn are_one_file_whatever_is_looked_up_first(bed: &Bed) {
    three(bed).append("b", b", more");
    for name in ["a", "b", "c"] {
        let m = remount(bed, index::ON);
        let file = m.open_rw(name);
        must("write", (&file).write_all(b"C"));
        for other in ["a", "b", "c"] {
            assert_eq!(m.text(other), "Content, more", "{name} then {other}");
            assert_eq!(must("fstat", fstat(&file)).st_ino, m.stat(other).st_ino);
        }
    }
}

fn counts_follow(bed: &Bed) {
    let m = three(bed);
    let held = m.open_read("c");
    let count = || must("fstat", fstat(&held)).st_nlink;
    assert_eq!(count(), 3);
    m.link("a", "d");
    assert_eq!((count(), m.stat("b").st_nlink), (4, 4));
    m.unlink("b");
    assert_eq!((count(), m.stat("d").st_nlink), (3, 3));
    m.rename("a", "e");
    assert_eq!((count(), m.stat("e").st_nlink), (3, 3));
    m.unlink("d");
    m.unlink("e");
    assert_eq!((count(), m.stat("c").st_nlink), (1, 1));
    m.unlink("c");
    assert_eq!(count(), 0);
}

fn counts_outlive_the_caches(bed: &Bed) {
    let mut m = three(bed);
    type Step<'a> = (fn(&Dir), &'a [&'a str]);
    let steps: [Step<'_>; 6] = [
        (|m| m.append("a", b"!"), &["a", "b", "c"]),
        (|m| m.link("b", "d"), &["a", "b", "c", "d"]),
        (|m| m.unlink("a"), &["b", "c", "d"]),
        (|m| m.rename("c", "e"), &["b", "d", "e"]),
        (|m| m.unlink("b"), &["d", "e"]),
        (|m| m.unlink("e"), &["d"]),
    ];
    for (step, names) in steps {
        step(&m);
        assert_one(&m, names, "content!");
        drop_caches();
        assert_one(&m, names, "content!");
        m = remount(bed, index::ON);
        assert_one(&m, names, "content!");
    }
}

fn numbers_are_kept(bed: &Bed) {
    let m = three(bed);
    let names = ["a", "b", "c"];
    let before = m.stat("a").st_ino;
    if bed.pair.one_filesystem() {
        assert_eq!(before, bed.lower.stat("a").st_ino);
    }
    let same = |m: &Dir| {
        for name in names {
            assert_eq!(m.stat(name).st_ino, before, "{name}");
            assert_eq!(m.stat(name).st_dev, m.stat("a").st_dev, "{name}");
        }
    };
    same(&m);
    m.append("b", b"!");
    same(&m);
    drop_caches();
    same(&m);
    m.chmod("c", 0o600);
    same(&m);
    same(&remount(bed, index::ON));
}

fn by_descriptors_of_other_names(bed: &Bed) {
    let m = three(bed);
    let early = m.open_read("a");
    m.write_at("b", 0, b"CONTENT");
    let mut bytes = [0; 7];
    must(
        "pread",
        std::os::unix::fs::FileExt::read_exact_at(&early, &mut bytes, 0),
    );
    assert_eq!(&bytes, b"CONTENT");
    m.chmod("c", 0o640);
    assert_eq!(must("fstat", fstat(&early)).st_mode & 0o777, 0o640);
    assert_eq!(must("fstat", fstat(&early)).st_nlink, 3);
}

fn by_mappings_of_other_names(bed: &Bed) {
    let m = three(bed);
    let early = m.open_read("a");
    let map = Map::shared_read(&early, 7);
    assert_eq!(map.bytes(), b"content");
    m.write_at("b", 0, b"CONTENT");
    assert_eq!(map.bytes(), b"CONTENT");
    assert_eq!(Map::shared_read(&early, 7).bytes(), b"CONTENT");
}

fn in_several_directories(bed: &Bed) {
    let (one, two) = (bed.lower.sub("one"), bed.lower.sub("two").sub("inner"));
    one.file("a", "content");
    must("link", rustix::fs::link(one.at("a"), two.at("b")));
    let m = bed.mount_with(index::ON);
    m.append("two/inner/b", b"!");
    assert!(!bed.upper.exists("one"));
    assert_eq!(m.text("one/a"), "content!");
    m.chown("one/a", 5, 6);
    assert_eq!(m.stat("two/inner/b").st_uid, 5);
    let m = remount(bed, index::ON);
    assert_eq!(m.stat("one/a").st_ino, m.stat("two/inner/b").st_ino);
    assert_eq!(m.stat("one/a").st_nlink, 2);
}

fn numbers_in_listings(bed: &Bed) {
    let m = three(bed);
    m.append("b", b"!");
    for _ in 0..2 {
        let listed = crate::support::listing::all(&bed.mnt.open_read(""));
        for name in ["a", "b", "c"] {
            let entry = listed.iter().find(|entry| entry.name == name);
            assert_eq!(
                entry.expect("listed").ino,
                bed.mnt.stat("a").st_ino,
                "{name}"
            );
        }
        remount(bed, index::ON);
    }
}

fn of_special_files_and_symlinks(bed: &Bed) {
    bed.lower.symlink("x", "link");
    bed.lower.node("fifo", FileType::Fifo, 0o644, (0, 0));
    bed.lower
        .node("char", FileType::CharacterDevice, 0o644, (1, 3));
    let names = ["link", "fifo", "char"];
    for name in names {
        let other = format!("{name}2");
        let linked = linkat(
            CWD,
            bed.lower.at(name),
            CWD,
            bed.lower.at(&other),
            AtFlags::empty(),
        );
        must("link", linked);
    }
    let m = bed.mount_with(index::ON);
    for name in names {
        m.chown(name, 7, 8);
    }
    for _ in 0..2 {
        let m = &bed.mnt;
        for name in names {
            let (one, two) = (m.stat(name), m.stat(&format!("{name}2")));
            assert_eq!(one.st_ino, two.st_ino, "{name}");
            assert_eq!((two.st_uid, two.st_gid, two.st_nlink), (7, 8, 2), "{name}");
            assert_eq!(one.st_mode, two.st_mode, "{name}");
        }
        remount(bed, index::ON);
    }
}

fn unlinked_one_by_one(bed: &Bed) {
    let m = three(bed);
    m.append("a", b"!");
    assert_eq!(index::names(bed).len(), 1);
    m.unlink("a");
    m.unlink("c");
    assert_one(&m, &["b"], "content!");
    assert_eq!(index::names(bed).len(), 1);
    m.unlink("b");
    assert!(index::names(bed).is_empty());
    assert!(m.names("").is_empty());
    assert!(remount(bed, index::ON).names("").is_empty());
}

fn unlinked_without_a_copy_before(bed: &Bed) {
    let m = three(bed);
    m.unlink("b");
    assert_one(&m, &["a", "c"], "content");
    let m = remount(bed, index::ON);
    assert_one(&m, &["a", "c"], "content");
    m.unlink("a");
    m.unlink("c");
    assert!(index::names(bed).is_empty());
}

fn unlinked_while_open(bed: &Bed) {
    let m = three(bed);
    let file = m.open_rw("a");
    for name in ["a", "b", "c"] {
        m.unlink(name);
    }
    must("write", (&file).write_all(b"C"));
    assert_eq!(must("fstat", fstat(&file)).st_nlink, 0);
    assert_eq!(must("fstat", fstat(&file)).st_size, 7);
    assert!(index::names(bed).is_empty());
    m.file("a", "new");
    assert_eq!(m.stat("a").st_nlink, 1);
}

fn of_a_file_linked_again(bed: &Bed) {
    bed.lower.sub("dir");
    let m = three(bed);
    m.link("b", "dir/d");
    assert_one(&m, &["a", "b", "c", "dir/d"], "content");
    m.append("dir/d", b"!");
    let m = remount(bed, index::ON);
    assert_one(&m, &["a", "b", "c", "dir/d"], "content!");
    refused(Errno::EXIST, rustix::fs::link(m.at("a"), m.at("c")));
    assert_one(&m, &["a", "b", "c", "dir/d"], "content!");
}

fn renamed(bed: &Bed) {
    bed.lower.sub("dir");
    let m = three(bed);
    m.rename("a", "dir/z");
    assert!(!m.exists("a"));
    assert_one(&m, &["b", "c", "dir/z"], "content");
    m.append("dir/z", b"!");
    let m = remount(bed, index::ON);
    assert!(!m.exists("a"));
    assert_one(&m, &["b", "c", "dir/z"], "content!");
}

fn renamed_over(bed: &Bed) {
    bed.lower.file("other", "other");
    let m = three(bed);
    let held = m.open_read("b");
    m.rename("other", "a");
    assert_eq!(m.text("a"), "other");
    assert_eq!(must("fstat", fstat(&held)).st_nlink, 2);
    drop(held);
    assert_one(&m, &["b", "c"], "content");
    let m = remount(bed, index::ON);
    assert_one(&m, &["b", "c"], "content");
    m.rename("a", "b");
    m.rename("b", "c");
    assert_eq!(m.text("c"), "other");
    assert!(index::names(bed).is_empty());
}

fn renamed_over_itself(bed: &Bed) {
    let m = three(bed);
    m.rename("a", "b");
    assert_one(&m, &["a", "b", "c"], "content");
    m.append("c", b"!");
    m.rename("c", "a");
    assert_one(&m, &["a", "b", "c"], "content!");
    assert_one(&remount(bed, index::ON), &["a", "b", "c"], "content!");
}

fn exchanged(bed: &Bed) {
    bed.lower.file("other", "other");
    let m = three(bed);
    let exchange =
        |one: &str, two: &str| renameat_with(CWD, m.at(one), CWD, m.at(two), RenameFlags::EXCHANGE);
    must("exchange", exchange("a", "other"));
    assert_one(&m, &["b", "c", "other"], "content");
    assert_eq!(m.text("a"), "other");
    must("exchange two links", exchange("b", "c"));
    assert_one(&remount(bed, index::ON), &["b", "c", "other"], "content");
}

fn over_a_new_name_of_a_removed_one(bed: &Bed) {
    let m = three(bed);
    m.unlink("a");
    m.link("b", "a");
    assert_one(&m, &["a", "b", "c"], "content");
    assert_one(&remount(bed, index::ON), &["a", "b", "c"], "content");
}

fn a_name_that_was_removed_stays_removed(bed: &Bed) {
    let m = three(bed);
    let held = m.open_read("a");
    m.unlink("a");
    must("fchmod", rustix::fs::fchmod(&held, 0o600.into()));
    assert!(!m.exists("a"));
    assert_eq!(m.mode("b"), 0o600);
    assert_one(&m, &["b", "c"], "content");
}

fn broken_before_stay_broken(bed: &Bed) {
    bed.lower.file("a", "content");
    bed.lower.link("a", "b");
    bed.mount().append("a", b"!");
    let m = remount(bed, index::ON);
    assert_eq!(
        (m.text("a"), m.text("b")),
        ("content!".into(), "content".into())
    );
    assert_ne!(m.stat("a").st_ino, m.stat("b").st_ino);
    m.append("b", b"?");
    assert_eq!(
        (m.text("a"), m.text("b")),
        ("content!".into(), "content?".into())
    );
    let m = remount(bed, index::ON);
    assert_eq!(
        (m.text("a"), m.text("b")),
        ("content!".into(), "content?".into())
    );
    assert_ne!(m.stat("a").st_ino, m.stat("b").st_ino);
}

fn without_an_index_break(bed: &Bed) {
    three(bed).append("a", b"!");
    // What is in upper is known by its own name only.
    let m = remount(bed, "index=off");
    assert_eq!(
        (m.text("a"), m.text("b")),
        ("content!".into(), "content".into())
    );
    m.append("c", b"?");
    assert_eq!(m.text("b"), "content");
}

fn a_file_with_one_link_is_not_indexed(bed: &Bed) {
    bed.lower.sub("dir").file("low", "content");
    let m = bed.mount_with(index::ON);
    m.append("dir/low", b"!");
    assert!(index::names(bed).is_empty());
    m.link("dir/low", "linked");
    m.unlink("dir/low");
    assert_eq!(remount(bed, index::ON).text("linked"), "content!");
}

fn a_temporary_file_that_is_linked(bed: &Bed) {
    three(bed);
    let m = remount(bed, index::ON);
    let file = m.open_temporary("");
    must("write", (&file).write_all(b"new"));
    let by_proc = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    let link = |name: &str| {
        let flags = AtFlags::SYMLINK_FOLLOW;
        linkat(CWD, by_proc.as_str(), CWD, m.at(name), flags)
    };
    must("linkat", link("one"));
    must("linkat", link("two"));
    assert_one(&m, &["one", "two"], "new");
    assert!(index::names(bed).is_empty());
    drop(file);
    assert_one(&remount(bed, index::ON), &["one", "two"], "new");
}

fn without_upper(bed: &Bed) {
    bed.below(1).file("a", "content");
    bed.below(1).link("a", "b");
    let options = format!("lowerdir={},index=on", bed.lowerdir());
    let m = must("mount", bed.try_mount(&options));
    assert_one(&m, &["a", "b"], "content");
}
