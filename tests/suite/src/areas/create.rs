// SPDX-License-Identifier: GPL-2.0

//! Making files and directories.

use rustix::fs::{mkdir, mknodat, FileType, Mode, CWD};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused};

tests! {
    EVERYWHERE:
        files_in_every_kind_of_directory,
        directories_in_every_kind_of_directory,
        a_file_over_a_whiteout,
        a_directory_over_a_whiteout_shows_nothing_old,
        a_directory_is_opaque_if_features_need_it;
    TWICE:
        every_type_over_a_whiteout,
        a_directory_over_a_removed_directory_of_two_layers,
        existing_names_are_refused,
        in_a_removed_directory,
        in_a_directory_that_is_missing,
        parents_are_copied_up_empty,
        a_deep_tree,
        again_and_again,
        nothing_is_left_in_work,
        modes_are_obeyed,
        two_hundred_files;
}

/// A lower, an upper, a merged and an opaque directory.
const DIRS: [&str; 5] = ["", "low", "up", "both", "opaque"];

fn dirs(bed: &Bed) -> Dir {
    bed.lower.sub("low").file("old", "");
    bed.upper.sub("up").file("old", "");
    bed.lower.sub("both").file("old", "");
    bed.upper.sub("both");
    bed.lower.sub("opaque").file("old", "");
    bed.upper.sub("opaque");
    bed.upper.opaque("opaque");
    bed.mount()
}

fn files_in_every_kind_of_directory(bed: &Bed) {
    let m = dirs(bed);
    for name in DIRS {
        m.join(name).file("new", "made");
        assert_eq!(bed.upper.join(name).text("new"), "made");
    }
    let m = bed.remount_fresh();
    for name in DIRS {
        assert_eq!(m.join(name).text("new"), "made");
    }
    assert_eq!(m.names("low"), ["new", "old"]);
    assert_eq!(m.names("opaque"), ["new"]);
    assert!(!bed.lower.exists("low/new"));
}

fn directories_in_every_kind_of_directory(bed: &Bed) {
    let m = dirs(bed);
    for name in DIRS {
        let dir = m.join(name).sub("new");
        assert!(dir.names("").is_empty());
        dir.file("inside", "1");
        dir.sub("deeper").file("inside", "2");
        assert_eq!(dir.stat("deeper").st_mode, libc::S_IFDIR | 0o755);
    }
    let m = bed.remount_fresh();
    for name in DIRS {
        assert_eq!(m.join(name).text("new/deeper/inside"), "2");
    }
}

fn a_file_over_a_whiteout(bed: &Bed) {
    bed.lower.file("file", "from lower");
    bed.lower.sub("dir").file("inside", "from lower");
    bed.upper.whiteout("file");
    bed.upper.whiteout("dir");
    let m = bed.mount();
    m.file("file", "new");
    m.file("dir", "new");
    for _ in 0..2 {
        assert_eq!(bed.mnt.text("file"), "new");
        assert_eq!(bed.mnt.text("dir"), "new");
        assert_eq!(bed.mnt.names(""), ["dir", "file"]);
        bed.remount_fresh();
    }
    assert_eq!(bed.upper.text("file"), "new");
}

fn a_directory_over_a_whiteout_shows_nothing_old(bed: &Bed) {
    bed.lower.sub("dir").file("inside", "from lower");
    bed.lower.file("file", "from lower");
    let m = bed.mount();
    m.unlink("dir/inside");
    m.rmdir("dir");
    m.unlink("file");
    m.sub("dir").file("new", "");
    m.sub("file");
    for _ in 0..2 {
        assert_eq!(bed.mnt.names("dir"), ["new"]);
        assert!(bed.mnt.names("file").is_empty());
        assert!(!bed.mnt.exists("dir/inside"));
        bed.remount_fresh();
    }
}

fn a_directory_over_a_removed_directory_of_two_layers(bed: &Bed) {
    bed.lower.sub("dir").file("middle", "");
    bed.below(1).sub("dir").file("bottom", "");
    bed.upper.sub("dir").file("up", "");
    let m = bed.mount();
    must("remove a tree", std::fs::remove_dir_all(m.at("dir")));
    m.sub("dir").file("new", "");
    assert_eq!(m.names("dir"), ["new"]);
    assert_eq!(bed.remount_fresh().names("dir"), ["new"]);
}

fn every_type_over_a_whiteout(bed: &Bed) {
    let types = ["file", "dir", "link", "fifo", "char", "socket", "hard"];
    for name in types {
        bed.lower.file(name, "from lower");
        bed.upper.whiteout(name);
    }
    let m = bed.mount();
    m.file("file", "");
    m.sub("dir");
    m.symlink("x", "link");
    m.node("fifo", FileType::Fifo, 0o644, (0, 0));
    m.node("char", FileType::CharacterDevice, 0o644, (1, 3));
    m.node("socket", FileType::Socket, 0o644, (0, 0));
    m.link("file", "hard");
    let kinds = [
        FileType::RegularFile,
        FileType::Directory,
        FileType::Symlink,
        FileType::Fifo,
        FileType::CharacterDevice,
        FileType::Socket,
        FileType::RegularFile,
    ];
    for _ in 0..2 {
        for (name, kind) in types.into_iter().zip(kinds) {
            assert_eq!(bed.mnt.kind(name), kind, "{name}");
        }
        assert_eq!(bed.mnt.stat("hard").st_nlink, 2);
        bed.remount_fresh();
    }
    bed.assert_work_is_empty();
}

fn existing_names_are_refused(bed: &Bed) {
    let m = dirs(bed);
    for name in ["low/old", "up/old", "both/old", "low", "up", "both"] {
        let mode = Mode::from_raw_mode(0o755);
        refused(Errno::EXIST, mkdir(m.at(name), mode));
        refused(
            Errno::EXIST,
            mknodat(CWD, m.at(name), FileType::Fifo, mode, 0),
        );
        refused(Errno::EXIST, rustix::fs::symlink("x", m.at(name)));
        refused(Errno::EXIST, rustix::fs::link(m.at("up/old"), m.at(name)));
    }
    assert!(!bed.upper.exists("low"));
}

fn in_a_removed_directory(bed: &Bed) {
    bed.lower.sub("low");
    bed.upper.sub("up");
    let m = bed.mount();
    for name in ["low", "up"] {
        must("chdir", rustix::process::chdir(m.at(name)));
        m.rmdir(name);
        refused(Errno::NOENT, std::fs::write("new", ""));
        refused(Errno::NOENT, std::fs::create_dir("new"));
        must("chdir", rustix::process::chdir("/"));
    }
    bed.assert_work_is_empty();
}

fn in_a_directory_that_is_missing(bed: &Bed) {
    bed.lower.file("file", "");
    let m = bed.mount();
    refused(Errno::NOENT, std::fs::write(m.at("none/new"), ""));
    refused(Errno::NOTDIR, std::fs::write(m.at("file/new"), ""));
    refused(Errno::NOENT, std::fs::create_dir(m.at("none/new")));
}

fn parents_are_copied_up_empty(bed: &Bed) {
    bed.lower.sub("a").sub("b").sub("c").file("low", "");
    bed.lower.file("a/low", "");
    let m = bed.mount();
    m.file("a/b/c/new", "");
    assert_eq!(bed.upper.names(""), ["a"]);
    assert_eq!(bed.upper.names("a"), ["b"]);
    assert_eq!(bed.upper.names("a/b/c"), ["new"]);
    assert_eq!(m.names("a"), ["b", "low"]);
    assert_eq!(m.names("a/b/c"), ["low", "new"]);
}

fn a_deep_tree(bed: &Bed) {
    bed.lower.sub("low");
    let m = bed.mount();
    let path = (0..30)
        .map(|n| format!("d{n}"))
        .collect::<Vec<_>>()
        .join("/");
    must("mkdir -p", std::fs::create_dir_all(m.join("low").at(&path)));
    m.join("low").join(&path).file("bottom", "deep");
    assert_eq!(
        bed.remount_fresh().join("low").join(&path).text("bottom"),
        "deep"
    );
    must(
        "remove a tree",
        std::fs::remove_dir_all(bed.mnt.at("low/d0")),
    );
    assert!(bed.mnt.names("low").is_empty());
}

fn again_and_again(bed: &Bed) {
    bed.lower.file("name", "from lower");
    let m = bed.mount();
    for round in 0..20 {
        m.unlink("name");
        assert!(!m.exists("name"));
        if round % 2 == 0 {
            m.sub("name");
            m.rmdir("name");
            assert!(!m.exists("name"));
        }
        m.file("name", format!("round {round}"));
        assert_eq!(m.text("name"), format!("round {round}"));
    }
    assert_eq!(bed.remount_fresh().text("name"), "round 19");
    bed.assert_work_is_empty();
}

fn nothing_is_left_in_work(bed: &Bed) {
    let m = dirs(bed);
    for name in DIRS {
        let dir = m.join(name);
        dir.file("new", "");
        dir.rename("new", "newer");
        dir.sub("dir");
        dir.unlink("newer");
        dir.rmdir("dir");
    }
    m.unlink("low/old");
    m.file("low/old", "");
    m.unlink("low/old");
    m.rmdir("low");
    m.sub("low");
    bed.assert_work_is_empty();
}

fn modes_are_obeyed(bed: &Bed) {
    bed.lower.sub("dir");
    bed.lower.sub("dir/gone");
    let m = bed.mount();
    m.rmdir("dir/gone");
    for (name, mode) in [("dir/a", 0o700), ("dir/gone", 0o1750), ("b", 0o711)] {
        must("mkdir", mkdir(m.at(name), Mode::from_raw_mode(mode)));
        assert_eq!(m.mode(name), mode, "{name}");
        assert_eq!(bed.upper.mode(name), mode, "{name}");
    }
    for (name, mode) in [("dir/file", 0o640), ("file", 0o4750)] {
        drop(m.create(name, mode));
        assert_eq!(bed.upper.mode(name), mode, "{name}");
    }
}

fn two_hundred_files(bed: &Bed) {
    bed.lower.sub("dir").file("old", "");
    let m = bed.mount();
    for number in 0..200 {
        m.file(&format!("dir/{number}"), format!("{number}"));
    }
    let m = bed.remount_fresh();
    assert_eq!(m.names("dir").len(), 201);
    for number in 0..200 {
        assert_eq!(m.text(&format!("dir/{number}")), number.to_string());
    }
}

/// Otherwise what is added to lower layers while they are not mounted is shown in it.
fn a_directory_is_opaque_if_features_need_it(bed: &Bed) {
    bed.lower.sub("both");
    bed.upper.sub("both");
    for (option, opaque) in [
        ("redirect_dir=nofollow", false),
        ("redirect_dir=on", true),
        ("xino=on", true),
    ] {
        let m = must(
            option,
            bed.try_mount(&format!("{},{option}", bed.options())),
        );
        let name = format!("both/{option}");
        m.sub(&name);
        let value = bed.upper.xattr(&name, "trusted.overlay.opaque");
        assert_eq!(value.is_some(), opaque, "with {option}");
        bed.umount();
    }
}
