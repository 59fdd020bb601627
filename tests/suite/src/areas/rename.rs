// SPDX-License-Identifier: GPL-2.0

//! Renaming, without flags.

use std::os::unix::fs::FileExt;

use rustix::fs::{fstat, rename, FileType};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused};

tests! {
    EVERYWHERE:
        a_lower_file,
        an_upper_file,
        over_a_lower_file,
        into_other_directories,
        an_upper_directory,
        a_lower_directory_is_refused,
        special_files;
    TWICE:
        a_copied_up_file,
        over_an_upper_file,
        over_a_name_that_was_removed,
        an_upper_directory_over_an_empty_one,
        over_a_directory_with_entries_is_refused,
        a_merged_directory_is_refused,
        a_directory_over_a_whiteout_hides_what_was_below,
        onto_the_same_file,
        the_wrong_kinds_are_refused,
        into_itself_is_refused,
        what_is_missing,
        across_mounts_is_refused,
        an_open_file_follows,
        back_and_forth,
        the_old_name_is_free,
        by_a_user_without_the_right,
        nothing_is_left_in_work;
}

fn a_lower_file(bed: &Bed) {
    bed.lower.file("old", "from lower");
    let m = bed.mount();
    m.rename("old", "new");
    for _ in 0..2 {
        assert_eq!(bed.mnt.names(""), ["new"]);
        assert_eq!(bed.mnt.text("new"), "from lower");
        bed.remount_fresh();
    }
    assert!(bed.upper.is_whiteout("old"));
    assert_eq!(bed.upper.text("new"), "from lower");
    assert_eq!(bed.lower.names(""), ["old"]);
}

fn an_upper_file(bed: &Bed) {
    bed.upper.file("old", "from upper");
    let m = bed.mount();
    m.rename("old", "new");
    assert_eq!(m.text("new"), "from upper");
    assert_eq!(bed.upper.names(""), ["new"]);
}

fn a_copied_up_file(bed: &Bed) {
    bed.lower.file("old", "from lower");
    let m = bed.mount();
    m.append("old", b", more");
    m.rename("old", "new");
    for _ in 0..2 {
        assert_eq!(bed.mnt.names(""), ["new"]);
        assert_eq!(bed.mnt.text("new"), "from lower, more");
        bed.remount_fresh();
    }
}

fn over_a_lower_file(bed: &Bed) {
    bed.lower.file("low", "from lower");
    bed.lower.file("target", "replaced");
    bed.upper.file("up", "from upper");
    bed.lower.file("target2", "replaced");
    let m = bed.mount();
    m.rename("low", "target");
    m.rename("up", "target2");
    for _ in 0..2 {
        assert_eq!(bed.mnt.names(""), ["target", "target2"]);
        assert_eq!(bed.mnt.text("target"), "from lower");
        assert_eq!(bed.mnt.text("target2"), "from upper");
        bed.remount_fresh();
    }
    assert!(bed.upper.is_whiteout("low"));
    assert!(!bed.upper.exists("up"));
}

fn over_an_upper_file(bed: &Bed) {
    bed.lower.file("low", "from lower");
    bed.upper.file("up", "from upper");
    bed.upper.file("target", "replaced");
    let m = bed.mount();
    m.rename("low", "target");
    assert_eq!(m.text("target"), "from lower");
    m.rename("up", "target");
    assert_eq!(m.text("target"), "from upper");
    assert_eq!(bed.remount_fresh().names(""), ["target"]);
}

fn over_a_name_that_was_removed(bed: &Bed) {
    bed.lower.file("gone", "from lower");
    bed.lower.file("low", "content");
    let m = bed.mount();
    m.unlink("gone");
    m.rename("low", "gone");
    for _ in 0..2 {
        assert_eq!(bed.mnt.text("gone"), "content");
        assert_eq!(bed.mnt.names(""), ["gone"]);
        bed.remount_fresh();
    }
}

fn into_other_directories(bed: &Bed) {
    bed.lower.sub("low").file("a", "1");
    bed.lower.sub("both").file("b", "2");
    bed.upper.sub("both");
    bed.upper.sub("up").file("c", "3");
    let m = bed.mount();
    m.rename("low/a", "up/a");
    m.rename("both/b", "low/b");
    m.rename("up/c", "both/c");
    for _ in 0..2 {
        let m = &bed.mnt;
        assert_eq!(
            (m.names("low"), m.text("low/b")),
            (vec!["b".into()], "2".into())
        );
        assert_eq!(
            (m.names("both"), m.text("both/c")),
            (vec!["c".into()], "3".into())
        );
        assert_eq!(
            (m.names("up"), m.text("up/a")),
            (vec!["a".into()], "1".into())
        );
        bed.remount_fresh();
    }
    assert!(bed.upper.is_whiteout("low/a"));
    assert!(!bed.upper.exists("up/c"));
}

fn an_upper_directory(bed: &Bed) {
    bed.upper.sub("up").file("inside", "1");
    bed.lower.sub("low");
    let m = bed.mount();
    m.sub("new").file("inside", "2");
    m.rename("up", "up-renamed");
    m.rename("new", "low/moved");
    for _ in 0..2 {
        assert_eq!(bed.mnt.text("up-renamed/inside"), "1");
        assert_eq!(bed.mnt.text("low/moved/inside"), "2");
        assert_eq!(bed.mnt.names(""), ["low", "up-renamed"]);
        bed.remount_fresh();
    }
}

fn an_upper_directory_over_an_empty_one(bed: &Bed) {
    bed.lower.sub("low");
    bed.lower.sub("emptied").file("inside", "");
    bed.upper.sub("up");
    let m = bed.mount();
    m.unlink("emptied/inside");
    for target in ["low", "emptied", "up"] {
        m.sub("new").file(target, "");
        m.rename("new", target);
        assert_eq!(m.names(target), [target]);
    }
    let m = bed.remount_fresh();
    for target in ["low", "emptied", "up"] {
        assert_eq!(m.names(target), [target]);
    }
    assert_eq!(m.names(""), ["emptied", "low", "up"]);
}

fn over_a_directory_with_entries_is_refused(bed: &Bed) {
    bed.lower.sub("low").file("inside", "");
    bed.lower.sub("both").file("inside", "");
    bed.upper.sub("both");
    bed.upper.sub("up").file("inside", "");
    bed.upper.sub("new");
    let m = bed.mount();
    for target in ["low", "both", "up"] {
        refused(Errno::NOTEMPTY, rename(m.at("new"), m.at(target)));
        assert_eq!(m.names(target), ["inside"]);
    }
    assert!(m.exists("new"));
}

fn a_lower_directory_is_refused(bed: &Bed) {
    bed.lower.sub("low").file("inside", "");
    bed.lower.sub("other");
    let m = must("mount", bed.try_mount(&bed.strict_options()));
    refused(Errno::XDEV, rename(m.at("low"), m.at("new")));
    refused(Errno::XDEV, rename(m.at("low"), m.at("other/new")));
    assert_eq!(m.names("low"), ["inside"]);
    assert!(!m.exists("new"));
    bed.assert_work_is_empty();
}

fn a_merged_directory_is_refused(bed: &Bed) {
    bed.lower.sub("both").file("low", "");
    bed.upper.sub("both").file("up", "");
    let m = must("mount", bed.try_mount(&bed.strict_options()));
    refused(Errno::XDEV, rename(m.at("both"), m.at("new")));
    assert_eq!(m.names("both"), ["low", "up"]);
}

fn a_directory_over_a_whiteout_hides_what_was_below(bed: &Bed) {
    bed.lower.sub("dir").file("old", "");
    bed.upper.sub("new").file("inside", "");
    let m = bed.mount();
    m.unlink("dir/old");
    m.rmdir("dir");
    m.rename("new", "dir");
    for _ in 0..2 {
        assert_eq!(bed.mnt.names("dir"), ["inside"]);
        bed.remount_fresh();
    }
}

fn special_files(bed: &Bed) {
    let names = ["link", "fifo", "char", "sock"];
    bed.lower.symlink("x", "link");
    bed.lower.node("fifo", FileType::Fifo, 0o640, (0, 0));
    bed.lower
        .node("char", FileType::CharacterDevice, 0o640, (1, 3));
    bed.lower.node("sock", FileType::Socket, 0o640, (0, 0));
    let m = bed.mount();
    let kinds = names.map(|name| (m.kind(name), m.mode(name), m.stat(name).st_rdev));
    for name in names {
        m.rename(name, &format!("new-{name}"));
    }
    let m = bed.remount_fresh();
    let got = names.map(|name| {
        let name = format!("new-{name}");
        (m.kind(&name), m.mode(&name), m.stat(&name).st_rdev)
    });
    assert_eq!(got, kinds);
    assert_eq!(m.names("").len(), 4);
}

fn onto_the_same_file(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    bed.upper.link("up", "twin");
    let m = bed.mount();
    m.rename("low", "low");
    assert_eq!(m.text("low"), "content");
    // Two names of one file: POSIX wants nothing to happen.
    m.rename("up", "twin");
    assert_eq!(m.names(""), ["low", "twin", "up"]);
}

fn the_wrong_kinds_are_refused(bed: &Bed) {
    bed.lower.file("file", "");
    bed.lower.sub("dir");
    bed.upper.sub("up");
    let m = bed.mount();
    refused(Errno::ISDIR, rename(m.at("file"), m.at("dir")));
    refused(Errno::ISDIR, rename(m.at("file"), m.at("up")));
    refused(Errno::NOTDIR, rename(m.at("up"), m.at("file")));
    assert_eq!(m.names(""), ["dir", "file", "up"]);
}

fn into_itself_is_refused(bed: &Bed) {
    bed.upper.sub("up").sub("inner");
    let m = bed.mount();
    refused(Errno::INVAL, rename(m.at("up"), m.at("up/inner/moved")));
    refused(Errno::NOTEMPTY, rename(m.at("up/inner"), m.at("up")));
    refused(Errno::BUSY, rename(m.at("up/."), m.at("x")));
}

fn what_is_missing(bed: &Bed) {
    bed.lower.file("gone", "");
    bed.lower.file("low", "");
    bed.upper.whiteout("gone");
    let m = bed.mount();
    refused(Errno::NOENT, rename(m.at("none"), m.at("x")));
    refused(Errno::NOENT, rename(m.at("gone"), m.at("x")));
    refused(Errno::NOENT, rename(m.at("low"), m.at("none/x")));
    assert_eq!(m.names(""), ["low"]);
}

fn across_mounts_is_refused(bed: &Bed) {
    bed.lower.file("low", "");
    let m = bed.mount();
    let outside = bed.aside("outside");
    outside.file("file", "");
    refused(Errno::XDEV, rename(m.at("low"), outside.at("x")));
    refused(Errno::XDEV, rename(outside.at("file"), m.at("x")));
    refused(Errno::XDEV, rename(m.at("low"), bed.upper.at("x")));
}

fn an_open_file_follows(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    let m = bed.mount();
    for name in ["low", "up"] {
        let (reader, writer) = (m.open_read(name), m.open_rw(name));
        let new = format!("{name}-renamed");
        m.rename(name, &new);
        must("write", writer.write_all_at(b"CON", 0));
        let mut text = [0; 7];
        must("read", reader.read_exact_at(&mut text, 0));
        assert_eq!(&text, b"CONtent");
        assert_eq!(m.text(&new), "CONtent");
        assert_eq!(must("fstat", fstat(&reader)).st_ino, m.stat(&new).st_ino);
    }
}

fn back_and_forth(bed: &Bed) {
    bed.lower.file("a", "content");
    let m = bed.mount();
    for _ in 0..10 {
        m.rename("a", "b");
        m.rename("b", "a");
    }
    for _ in 0..2 {
        assert_eq!(bed.mnt.names(""), ["a"]);
        assert_eq!(bed.mnt.text("a"), "content");
        bed.remount_fresh();
    }
}

fn the_old_name_is_free(bed: &Bed) {
    bed.lower.file("name", "old");
    let m = bed.mount();
    m.rename("name", "moved");
    m.file("name", "new");
    for _ in 0..2 {
        let m: &Dir = &bed.mnt;
        assert_eq!(
            (m.text("name"), m.text("moved")),
            ("new".into(), "old".into())
        );
        bed.remount_fresh();
    }
}

fn by_a_user_without_the_right(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    crate::support::process::as_user(crate::support::process::USER, || {
        refused(Errno::ACCESS, rename(m.at("low"), m.at("new")));
    });
    assert!(bed.upper.names("").is_empty());
}

fn nothing_is_left_in_work(bed: &Bed) {
    bed.lower.sub("dir").file("a", "");
    bed.lower.file("b", "");
    let m = must("mount", bed.try_mount(&bed.strict_options()));
    m.rename("dir/a", "c");
    m.rename("b", "dir/a");
    m.rename("c", "b");
    m.sub("new");
    m.rename("new", "dir/new");
    refused(Errno::XDEV, rename(m.at("dir"), m.at("x")));
    bed.assert_work_is_empty();
}
