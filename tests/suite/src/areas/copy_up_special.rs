// SPDX-License-Identifier: GPL-2.0

//! Copy-up of what is no plain file, and of hard links.

use rustix::fs::FileType;

use crate::harness::bed::Bed;
use crate::support::must::must;

tests! {
    EVERYWHERE: by_rename, by_chown, of_a_hard_link;
    TWICE: by_link, of_a_directory_with_everything, of_every_name_of_a_hard_link;
}

const NAMES: [&str; 4] = ["link", "fifo", "char", "sock"];

fn special(bed: &Bed) -> crate::support::dir::Dir {
    bed.lower.symlink("target", "link");
    bed.lower.node("fifo", FileType::Fifo, 0o640, (0, 0));
    bed.lower
        .node("char", FileType::CharacterDevice, 0o640, (1, 3));
    bed.lower.node("sock", FileType::Socket, 0o640, (0, 0));
    bed.mount()
}

#[track_caller]
fn assert_like_lower(bed: &Bed, name: &str, new: &str) {
    let (got, want) = (bed.upper.stat(new), bed.lower.stat(name));
    assert_eq!(bed.upper.kind(new), bed.lower.kind(name), "{name}");
    assert_eq!(got.st_mode, want.st_mode, "{name}");
    assert_eq!(got.st_rdev, want.st_rdev, "{name}");
    assert_eq!(got.st_mtime, want.st_mtime, "{name}");
    if name == "link" {
        assert_eq!(bed.upper.target(new), "target");
    }
}

fn by_rename(bed: &Bed) {
    let m = special(bed);
    for name in NAMES {
        let new = format!("new-{name}");
        m.rename(name, &new);
        assert_like_lower(bed, name, &new);
        assert!(bed.upper.is_whiteout(name));
    }
    bed.assert_work_is_empty();
}

fn by_chown(bed: &Bed) {
    let m = special(bed);
    for name in NAMES {
        m.chown(name, 5, 6);
        assert_like_lower(bed, name, name);
        assert_eq!(bed.upper.stat(name).st_uid, 5);
    }
    bed.assert_work_is_empty();
}

fn by_link(bed: &Bed) {
    let m = special(bed);
    for name in NAMES {
        let new = format!("new-{name}");
        m.link(name, &new);
        assert_like_lower(bed, name, &new);
        assert_eq!(m.stat(&new).st_nlink, 2);
    }
}

fn of_a_directory_with_everything(bed: &Bed) {
    let dir = bed.lower.sub("dir");
    dir.file("file", "content");
    dir.symlink("x", "link");
    dir.sub("sub").file("inside", "");
    let m = bed.mount();
    m.chmod("dir", 0o700);
    assert!(bed.upper.names("dir").is_empty());
    assert_eq!(m.names("dir"), ["file", "link", "sub"]);
    assert_eq!(m.names("dir/sub"), ["inside"]);
}

fn of_a_hard_link(bed: &Bed) {
    bed.lower.file("one", "content");
    bed.lower.link("one", "two");
    let m = bed.mount();
    m.append("one", b", more");
    for _ in 0..2 {
        assert_eq!(bed.mnt.text("one"), "content, more");
        assert_eq!(bed.mnt.text("two"), "content");
        assert_eq!(bed.upper.names(""), ["one"]);
        bed.remount_fresh();
    }
    must("write", std::fs::write(bed.mnt.at("two"), "another"));
    assert_eq!(bed.mnt.text("one"), "content, more");
}

fn of_every_name_of_a_hard_link(bed: &Bed) {
    bed.lower.file("one", "content");
    bed.lower.link("one", "two");
    let m = bed.mount();
    let (early_one, early_two) = (m.open_read("one"), m.open_read("two"));
    m.append("one", b" 1");
    m.append("two", b" 2");
    assert_eq!(m.text("one"), "content 1");
    assert_eq!(m.text("two"), "content 2");
    assert_eq!((m.stat("one").st_nlink, m.stat("two").st_nlink), (1, 1));
    assert_ne!(bed.upper.stat("one").st_ino, bed.upper.stat("two").st_ino);
    drop((early_one, early_two));
    let m = bed.remount_fresh();
    assert_eq!(m.text("one"), "content 1");
    assert_eq!(m.text("two"), "content 2");
}
