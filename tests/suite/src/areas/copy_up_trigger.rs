// SPDX-License-Identifier: GPL-2.0

//! What copies a file up, and what does not.

use std::os::unix::fs::FileExt;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused};

tests! {
    EVERYWHERE: by_every_change, by_no_look;
    TWICE:
        by_open_alone,
        by_open_with_truncation,
        by_truncate,
        by_chmod,
        by_chown,
        by_utimens,
        by_setxattr,
        by_link,
        by_rename,
        not_by_a_refused_open,
        not_by_a_change_of_the_directory,
        only_once,
        from_each_of_several_layers,
        of_a_file_open_for_reading;
}

/// Fails unless `change` copies `low` up, whole.
#[track_caller]
fn copies_up(bed: &Bed, name_after: &str, change: impl FnOnce(&Dir)) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    assert_eq!(m.text("low"), "content");
    assert!(!bed.upper.exists("low"));
    change(&m);
    assert_eq!(bed.upper.text(name_after), m.text(name_after));
    assert_eq!(bed.lower.text("low"), "content");
    bed.assert_work_is_empty();
}

fn by_open_alone(bed: &Bed) {
    copies_up(bed, "low", |m| drop(m.open("low", OFlags::WRONLY)));
    bed.umount();
    bed.upper.unlink("low");
    copies_up(bed, "low", |m| drop(m.open_rw("low")));
}

fn by_open_with_truncation(bed: &Bed) {
    copies_up(bed, "low", |m| {
        drop(m.open("low", OFlags::WRONLY | OFlags::TRUNC))
    });
    assert_eq!(bed.upper.text("low"), "");
    bed.umount();
    bed.upper.unlink("low");
    copies_up(bed, "low", |m| {
        drop(m.open("low", OFlags::RDONLY | OFlags::TRUNC))
    });
    assert_eq!(bed.upper.text("low"), "");
}

fn by_truncate(bed: &Bed) {
    copies_up(bed, "low", |m| {
        must("ftruncate", m.open_rw("low").set_len(3))
    });
    assert_eq!(bed.upper.text("low"), "con");
}

fn by_chmod(bed: &Bed) {
    copies_up(bed, "low", |m| m.chmod("low", 0o600));
    assert_eq!(bed.upper.text("low"), "content");
}

fn by_chown(bed: &Bed) {
    copies_up(bed, "low", |m| m.chown("low", 1, 1));
    assert_eq!(bed.upper.text("low"), "content");
}

fn by_utimens(bed: &Bed) {
    copies_up(bed, "low", |m| m.set_times("low", (1, 0), (1, 0)));
    assert_eq!(bed.upper.text("low"), "content");
}

fn by_setxattr(bed: &Bed) {
    copies_up(bed, "low", |m| m.set_xattr("low", "user.note", b"value"));
    assert_eq!(bed.upper.text("low"), "content");
}

fn by_link(bed: &Bed) {
    copies_up(bed, "low", |m| m.link("low", "linked"));
    assert_eq!(bed.upper.text("linked"), "content");
}

fn by_rename(bed: &Bed) {
    copies_up(bed, "new", |m| m.rename("low", "new"));
    assert_eq!(bed.upper.text("new"), "content");
}

/// What changes the file of this name.
type Change<'a> = &'a dyn Fn(&Dir, &str);

/// All changes on files of their own, for the filesystems that get no test
/// for each.
fn by_every_change(bed: &Bed) {
    let changes: [(&str, Change); 8] = [
        ("open", &|m, name| drop(m.open_rw(name))),
        ("append", &|m, name| m.append(name, b"x")),
        ("truncate", &|m, name| {
            drop(m.open(name, OFlags::WRONLY | OFlags::TRUNC))
        }),
        ("chmod", &|m, name| m.chmod(name, 0o600)),
        ("chown", &|m, name| m.chown(name, 1, 1)),
        ("utimens", &|m, name| m.set_times(name, (1, 0), (1, 0))),
        ("setxattr", &|m, name| {
            m.set_xattr(name, "user.note", b"value")
        }),
        ("link", &|m, name| m.link(name, "linked")),
    ];
    for (name, _) in changes {
        bed.lower.file(name, "content");
    }
    let m = bed.mount();
    for (name, change) in changes {
        assert!(!bed.upper.exists(name), "before {name}");
        change(&m, name);
        assert_eq!(bed.upper.text(name), m.text(name), "after {name}");
    }
}

fn by_no_look(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.set_xattr("low", "user.note", b"value");
    bed.lower.sub("dir").file("inside", "");
    bed.lower.symlink("low", "link");
    let m = bed.mount();
    for flags in [
        OFlags::RDONLY,
        OFlags::RDONLY | OFlags::NOATIME,
        OFlags::RDONLY | OFlags::CREATE,
        OFlags::PATH,
    ] {
        let file = m.open("low", flags);
        must("fstat", rustix::fs::fstat(&file));
        if flags != OFlags::PATH {
            must("read", file.read_at(&mut [0; 7], 0));
            must("fsync", file.sync_all());
        }
    }
    m.stat("low");
    m.xattr("low", "user.note");
    m.xattr_names("low");
    m.names("dir");
    m.target("link");
    m.text("link");
    must(
        "access",
        rustix::fs::access(m.at("low"), rustix::fs::Access::WRITE_OK),
    );
    assert!(bed.upper.names("").is_empty());
    bed.assert_work_is_empty();
}

fn not_by_a_refused_open(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    let open = |flags| rustix::fs::open(m.at("low"), flags, mode);
    refused(
        Errno::EXIST,
        open(OFlags::RDWR | OFlags::CREATE | OFlags::EXCL),
    );
    refused(Errno::NOTDIR, open(OFlags::RDWR | OFlags::DIRECTORY));
    refused(Errno::INVAL, open(OFlags::TMPFILE | OFlags::RDONLY));
    assert!(bed.upper.names("").is_empty());
}

fn not_by_a_change_of_the_directory(bed: &Bed) {
    bed.lower.sub("dir").file("low", "content");
    let m = bed.mount();
    m.chmod("dir", 0o700);
    m.file("dir/new", "");
    m.unlink("dir/new");
    assert!(bed.upper.names("dir").is_empty());
    assert_eq!(m.text("dir/low"), "content");
}

fn only_once(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    m.append("low", b"1");
    let number = bed.upper.stat("low").st_ino;
    m.append("low", b"2");
    m.chmod("low", 0o600);
    m.set_xattr("low", "user.note", b"value");
    m.file("low", "again");
    assert_eq!(bed.upper.stat("low").st_ino, number);
    let m = bed.remount_fresh();
    m.append("low", b" and again");
    assert_eq!(bed.upper.stat("low").st_ino, number);
    assert_eq!(m.text("low"), "again and again");
}

fn from_each_of_several_layers(bed: &Bed) {
    for depth in 0..4 {
        let layer = bed.below(depth);
        layer.file(&format!("only-{depth}"), format!("{depth}"));
        layer.file("all", format!("{depth}"));
        layer
            .sub("dir")
            .file(&format!("only-{depth}"), format!("{depth}"));
    }
    let m = bed.mount();
    for depth in 0..4 {
        for name in [format!("only-{depth}"), format!("dir/only-{depth}")] {
            m.append(&name, b"+");
            assert_eq!(bed.upper.text(&name), format!("{depth}+"));
            assert_eq!(bed.below(depth).text(&name), format!("{depth}"));
        }
    }
    m.append("all", b"+");
    assert_eq!(m.text("all"), "0+");
}

fn of_a_file_open_for_reading(bed: &Bed) {
    copies_up(bed, "low", |m| {
        let readers: Vec<_> = (0..10).map(|_| m.open_read("low")).collect();
        m.append("low", b", more");
        for reader in &readers {
            let mut text = [0; 13];
            must("read", reader.read_exact_at(&mut text, 0));
            assert_eq!(&text, b"content, more");
        }
    });
}
