// SPDX-License-Identifier: GPL-2.0

//! Layers in which names are told apart without their case.

use rustix::fs::{ioctl_getflags, ioctl_setflags, mkdir, rename, rmdir, unlink, IFlags, Mode};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused};

tests! {
    CASEFOLD:
        names_are_found_in_any_case,
        an_upper_name_hides_a_lower_one,
        directories_are_merged,
        listings_show_each_name_once,
        removal_in_another_case,
        a_whiteout_in_another_case,
        creation_over_a_whiteout,
        the_case_is_kept,
        the_case_is_kept_after_a_look,
        created_in_every_way,
        removed_and_created_again,
        directories_are_made_alike,
        copied_up_by_another_name,
        a_directory_is_copied_up_by_another_name,
        renamed_to_another_case,
        renamed_over_another_case,
        exchanged,
        directories_are_redirected,
        hard_links_are_indexed,
        temporary_files_are_linked,
        beyond_ascii,
        names_that_are_no_text,
        negative_names_are_no_trouble,
        many_at_once,
        three_layers,
        lower_layers_alone,
        over_again;
}

/// `FS_CASEFOLD_FL`.
pub const CASEFOLD: IFlags = IFlags::from_bits_retain(0x4000_0000);

/// Changes whether names in a directory, which has to be empty, are folded.
#[track_caller]
pub fn set_folded(dir: &Dir, name: &str, folded: bool) {
    let file = dir.open_read(name);
    let mut flags = must("FS_IOC_GETFLAGS", ioctl_getflags(&file));
    flags.set(CASEFOLD, folded);
    must(
        format_args!("FS_IOC_SETFLAGS of {dir}/{name}"),
        ioctl_setflags(&file, flags),
    );
}

/// Whether they are.
#[track_caller]
pub fn is_folded(dir: &Dir, name: &str) -> bool {
    let flags = must("FS_IOC_GETFLAGS", ioctl_getflags(dir.open_read(name)));
    flags.contains(CASEFOLD)
}

/// Has all layers, which are empty, fold names.
#[track_caller]
pub fn fold(bed: &Bed, lowers: usize) {
    for depth in 0..lowers {
        set_folded(&bed.below(depth), "", true);
    }
    set_folded(&bed.upper, "", true);
    set_folded(&bed.work, "", true);
}

fn names_are_found_in_any_case(bed: &Bed) {
    fold(bed, 1);
    bed.lower.file("Low", "lower");
    bed.lower.sub("Dir").file("Inside", "inside");
    bed.upper.file("Up", "upper");
    let m = bed.mount();
    for name in ["Low", "low", "LOW"] {
        assert_eq!(m.text(name), "lower");
        assert_eq!(m.stat(name).st_ino, m.stat("Low").st_ino);
    }
    for name in ["up", "UP", "Up"] {
        assert_eq!(m.text(name), "upper");
    }
    for name in ["dir/inside", "DIR/INSIDE", "Dir/Inside"] {
        assert_eq!(m.text(name), "inside");
    }
    assert!(!m.exists("none"));
    assert_eq!(m.names(""), ["Dir", "Low", "Up"]);
}

fn an_upper_name_hides_a_lower_one(bed: &Bed) {
    fold(bed, 1);
    bed.lower.file("Name", "lower");
    bed.upper.file("nAME", "upper");
    let m = bed.mount();
    for name in ["name", "Name", "nAME"] {
        assert_eq!(m.text(name), "upper");
    }
    assert_eq!(m.names(""), ["nAME"]);
}

fn directories_are_merged(bed: &Bed) {
    fold(bed, 1);
    bed.lower.sub("Dir").file("low", "");
    bed.upper.sub("dIR").file("up", "");
    let m = bed.mount();
    for name in ["dir", "Dir", "dIR"] {
        assert_eq!(m.names(name), ["low", "up"]);
    }
    assert_eq!(m.names(""), ["dIR"]);
    m.file("DIR/new", "");
    assert!(bed.upper.exists("dir/new"));
}

fn listings_show_each_name_once(bed: &Bed) {
    fold(bed, 2);
    for number in 0..60 {
        bed.below(1).file(&format!("FILE-{number}"), "1");
        if number % 2 == 0 {
            bed.lower.file(&format!("File-{number}"), "0");
        }
        if number % 3 == 0 {
            bed.upper.file(&format!("file-{number}"), "u");
        }
    }
    let m = bed.mount();
    let mut want: Vec<_> = (0..60)
        .map(|number| match number {
            _ if number % 3 == 0 => format!("file-{number}"),
            _ if number % 2 == 0 => format!("File-{number}"),
            _ => format!("FILE-{number}"),
        })
        .collect();
    want.sort();
    assert_eq!(m.names(""), want);
    for name in want {
        assert!(m.exists(&name));
    }
}

fn removal_in_another_case(bed: &Bed) {
    fold(bed, 1);
    bed.lower.file("Low", "");
    bed.lower.sub("Dir");
    bed.lower.file("Stra\u{df}e", "");
    bed.upper.file("Up", "");
    let m = bed.mount();
    m.unlink("LOW");
    m.unlink("UP");
    m.unlink("STRA\u{1e9e}E");
    m.rmdir("DIR");
    for name in ["low", "Low", "up", "dir", "Dir", "DIR", "strasse"] {
        assert!(!m.exists(name), "{name}");
        refused(Errno::NOENT, unlink(m.at(name)));
    }
    assert_eq!(m.names(""), [""; 0]);
    let m = bed.remount_fresh();
    assert_eq!(m.names(""), [""; 0]);
    assert!(!m.exists("Low"));
}

fn a_whiteout_in_another_case(bed: &Bed) {
    fold(bed, 1);
    bed.lower.file("Name", "");
    bed.lower.file("Other", "");
    bed.upper.whiteout("nAME");
    let m = bed.mount();
    assert!(!m.exists("Name"));
    assert!(!m.exists("name"));
    assert_eq!(m.names(""), ["Other"]);
}

fn creation_over_a_whiteout(bed: &Bed) {
    fold(bed, 1);
    bed.lower.file("File", "old");
    bed.lower.sub("Dir").file("inside", "");
    let m = bed.mount();
    m.unlink("File");
    m.file("fILE", "new");
    m.unlink("Dir/inside");
    m.rmdir("Dir");
    m.sub("dIR");
    assert!(is_folded(&m, "DIR"));
    for m in [&m, &bed.remount_fresh()] {
        assert_eq!(m.text("file"), "new");
        assert_eq!(m.names("dir"), [""; 0]);
        assert_eq!(m.names("").len(), 2);
    }
}

fn the_case_is_kept(bed: &Bed) {
    fold(bed, 1);
    bed.lower.sub("Dir");
    let m = bed.mount();
    m.file("NewFile", "");
    m.sub("NewDir").file("Inside", "");
    m.symlink("target", "NewLink");
    m.file("dir/NewFile", "");
    for m in [&m, &bed.remount_fresh()] {
        assert_eq!(m.names("dir"), ["NewFile"]);
        assert_eq!(m.names("newdir"), ["Inside"]);
    }
    assert_eq!(
        bed.upper
            .names("")
            .iter()
            .filter(|name| name.starts_with("New"))
            .count(),
        3
    );
}

/// A name that was looked for in vain says nothing about what is created.
fn the_case_is_kept_after_a_look(bed: &Bed) {
    fold(bed, 1);
    let m = bed.mount();
    for (looked, made) in [("FILE", "file"), ("DIR", "dir"), ("LINK", "link")] {
        assert!(!m.exists(looked));
        match made {
            "file" => m.file(made, ""),
            "dir" => drop(m.sub(made)),
            _ => m.symlink("target", made),
        }
        assert!(m.exists(looked));
    }
    assert_eq!(m.names(""), ["dir", "file", "link"]);
    m.unlink("File");
    m.file("FiLe", "");
    assert_eq!(m.names(""), ["FiLe", "dir", "link"]);
    assert!(!m.exists("RENAMED"));
    m.rename("FILE", "renamed");
    assert_eq!(m.names(""), ["dir", "link", "renamed"]);
}

fn created_in_every_way(bed: &Bed) {
    use rustix::fs::FileType;
    fold(bed, 1);
    let m = bed.mount();
    m.file("File", "content");
    m.link("file", "Link");
    m.symlink("target", "Symlink");
    m.node("Fifo", FileType::Fifo, 0o644, (0, 0));
    m.node("Null", FileType::CharacterDevice, 0o666, (1, 3));
    m.sub("Dir").sub("Sub").file("Deep", "deep");
    for m in [&m, &bed.remount_fresh()] {
        assert_eq!(m.text("LINK"), "content");
        assert_eq!(m.stat("FILE").st_ino, m.stat("link").st_ino);
        assert_eq!(m.target("SYMLINK"), "target");
        assert_eq!(m.kind("FIFO"), FileType::Fifo);
        assert_eq!(m.kind("NULL"), FileType::CharacterDevice);
        assert_eq!(m.text("DIR/SUB/DEEP"), "deep");
        m.append("file", b"");
        m.chmod("FILE", 0o600);
        m.chmod("DIR", 0o700);
    }
    for name in ["LINK", "file", "symLink", "fifo", "null", "dir/sub/deep"] {
        bed.mnt.unlink(name);
    }
    bed.mnt.rmdir("dir/sub");
    bed.mnt.rmdir("dir");
    assert_eq!(bed.upper.names(""), [""; 0]);
    bed.assert_work_is_empty();
}

fn removed_and_created_again(bed: &Bed) {
    fold(bed, 1);
    bed.lower.file("Name", "lower");
    let m = bed.mount();
    for (number, name) in ["name", "NAME", "Name", "nAmE"].iter().enumerate() {
        m.unlink("nAME");
        assert!(!m.exists("name"));
        m.file(name, number.to_string());
        assert_eq!(m.text("NaMe"), number.to_string());
        // A whiteout that is replaced leaves its case behind.
        assert_eq!(m.names("").len(), 1);
        m.rename(name, "elsewhere");
        assert!(!m.exists(name));
        m.rename("ELSEWHERE", name);
    }
}

fn directories_are_made_alike(bed: &Bed) {
    fold(bed, 1);
    bed.lower.sub("Low").sub("Sub");
    let m = bed.mount();
    m.sub("New").sub("Sub");
    m.chmod("low/sub", 0o700);
    for name in ["", "new", "new/sub", "low", "low/sub"] {
        assert!(is_folded(&m, name), "{name}");
        assert!(is_folded(&bed.upper, name), "{name}");
    }
}

fn copied_up_by_another_name(bed: &Bed) {
    fold(bed, 1);
    bed.lower.file("Name", "lower");
    let m = bed.mount();
    let reader = m.open_read("Name");
    m.append("NAME", b", more");
    assert_eq!(m.text("name"), "lower, more");
    let mut bytes = [0; 11];
    must("read", rustix::io::read(&reader, &mut bytes));
    assert_eq!(&bytes, b"lower, more");
    drop(reader);
    assert_eq!(m.names("").len(), 1);
    assert_eq!(bed.upper.names("").len(), 1);
    let m = bed.remount_fresh();
    assert_eq!(m.text("NAME"), "lower, more");
    assert_eq!(m.names("").len(), 1);
}

fn a_directory_is_copied_up_by_another_name(bed: &Bed) {
    fold(bed, 1);
    bed.lower.sub("Dir").sub("Sub").file("File", "lower");
    let m = bed.mount();
    m.append("DIR/SUB/FILE", b", more");
    m.file("dir/New", "");
    for m in [&m, &bed.remount_fresh()] {
        assert_eq!(m.text("dir/sub/file"), "lower, more");
        assert_eq!(m.names("").len(), 1);
        assert_eq!(m.names("dir").len(), 2);
        assert_eq!(m.names("dir/sub").len(), 1);
    }
}

fn renamed_to_another_case(bed: &Bed) {
    fold(bed, 1);
    bed.lower.file("Low", "low");
    bed.upper.file("Up", "up");
    let bare = bed.aside("bare");
    set_folded(&bare, "", true);
    bare.file("Up", "up");
    let want = rename(bare.at("Up"), bare.at("UP"));
    let m = bed.mount();
    assert_eq!(rename(m.at("Up"), m.at("UP")), want);
    assert_eq!(rename(m.at("Low"), m.at("LOW")), want);
    assert_eq!(m.text("up"), "up");
    assert_eq!(m.text("low"), "low");
    assert_eq!(m.names("").len(), 2);
}

fn renamed_over_another_case(bed: &Bed) {
    fold(bed, 1);
    bed.lower.file("Source", "source");
    bed.lower.file("Target", "target");
    let m = bed.mount();
    m.rename("SOURCE", "target");
    for m in [&m, &bed.remount_fresh()] {
        assert!(!m.exists("source"));
        assert_eq!(m.text("TARGET"), "source");
        assert_eq!(m.names("").len(), 1);
    }
}

fn exchanged(bed: &Bed) {
    use rustix::fs::{renameat_with, RenameFlags, CWD};
    fold(bed, 1);
    bed.lower.file("One", "1");
    bed.lower.file("Two", "2");
    let m = bed.mount();
    let flags = RenameFlags::EXCHANGE;
    must(
        "exchange",
        renameat_with(CWD, m.at("one"), CWD, m.at("TWO"), flags),
    );
    for m in [&m, &bed.remount_fresh()] {
        assert_eq!(m.text("ONE"), "2");
        assert_eq!(m.text("two"), "1");
        assert_eq!(m.names("").len(), 2);
    }
    let flags = RenameFlags::NOREPLACE;
    let m = bed.mnt.clone();
    refused(
        Errno::EXIST,
        renameat_with(CWD, m.at("one"), CWD, m.at("tWO"), flags),
    );
}

fn mount_with(bed: &Bed, more: &str) -> Dir {
    must("mount", bed.try_mount(&format!("{}{more}", bed.options())))
}

fn directories_are_redirected(bed: &Bed) {
    fold(bed, 2);
    bed.lower.sub("Dir").file("File", "0");
    bed.below(1).sub("DIR").sub("Sub").file("Deep", "1");
    let m = mount_with(bed, ",redirect_dir=on");
    m.rename("dir", "Renamed");
    m.rename("RENAMED/SUB", "Elsewhere");
    m.sub("dir").file("NEW", "");
    for round in 0..2 {
        let m = &bed.mnt;
        assert_eq!(m.names("").len(), 3);
        assert_eq!(m.text("renamed/FILE"), "0");
        assert_eq!(m.text("elseWHERE/deep"), "1");
        assert!(!m.exists("renamed/sub"));
        assert_eq!(m.names("DIR"), ["NEW"]);
        if round == 0 {
            bed.umount();
            mount_with(bed, ",redirect_dir=on");
        }
    }
}

fn hard_links_are_indexed(bed: &Bed) {
    fold(bed, 1);
    bed.lower.file("One", "content");
    bed.lower.link("One", "Two");
    let m = mount_with(bed, ",index=on");
    m.append("ONE", b", more");
    assert_eq!(m.text("two"), "content, more");
    assert_eq!(m.stat("one").st_nlink, 2);
    bed.umount();
    let m = mount_with(bed, ",index=on");
    m.append("TWO", b"!");
    assert_eq!(m.text("one"), "content, more!");
    assert_eq!(m.stat("one").st_ino, m.stat("two").st_ino);
}

fn temporary_files_are_linked(bed: &Bed) {
    use rustix::fs::{linkat, AtFlags, CWD};
    use std::os::fd::AsRawFd;
    fold(bed, 1);
    bed.lower.sub("Dir");
    let m = bed.mount();
    let file = m.open_temporary("dir");
    must("write", rustix::io::write(&file, b"content"));
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    must(
        "linkat",
        linkat(CWD, path, CWD, m.at("DIR/Named"), AtFlags::SYMLINK_FOLLOW),
    );
    assert_eq!(m.text("dir/NAMED"), "content");
    m.unlink("dir/named");
    assert_eq!(m.names("dir"), [""; 0]);
}

fn beyond_ascii(bed: &Bed) {
    fold(bed, 1);
    // Composed in one layer, decomposed and in another case in the other.
    bed.lower.file("\u{c4}pfel", "lower");
    bed.lower.file("Stra\u{df}e", "lower");
    bed.upper.file("a\u{308}PFEL", "upper");
    let m = bed.mount();
    assert_eq!(m.text("\u{e4}pfel"), "upper");
    assert_eq!(m.text("STRASSE"), "lower");
    assert_eq!(m.names("").len(), 2);
    m.append("STRA\u{1e9e}E", b", more");
    assert_eq!(m.text("strasse"), "lower, more");
    assert_eq!(m.names("").len(), 2);
}

fn names_that_are_no_text(bed: &Bed) {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    fold(bed, 1);
    let bytes: [&[u8]; 2] = [b"Bad\xff", b"bad\xff"];
    let path = |dir: &Dir, name| dir.path().join(OsStr::from_bytes(name));
    must("write", std::fs::write(path(&bed.lower, bytes[0]), "lower"));
    must("write", std::fs::write(path(&bed.upper, bytes[1]), "upper"));
    let m = bed.mount();
    // They are told apart by their bytes.
    assert_eq!(must("read", std::fs::read(path(&m, bytes[0]))), b"lower");
    assert_eq!(must("read", std::fs::read(path(&m, bytes[1]))), b"upper");
    assert_eq!(m.names("").len(), 2);
}

fn negative_names_are_no_trouble(bed: &Bed) {
    fold(bed, 1);
    bed.lower.sub("Dir");
    let m = bed.mount();
    for round in 0..5 {
        for name in ["dir/name", "dir/NAME", "dir/Name"] {
            assert!(!m.exists(name));
        }
        m.file("dir/nAmE", round.to_string());
        for name in ["dir/name", "dir/NAME", "dir/Name"] {
            assert_eq!(m.text(name), round.to_string());
        }
        refused(Errno::EXIST, mkdir(m.at("dir/NAME"), Mode::RWXU));
        refused(Errno::NOTEMPTY, rmdir(m.at("DIR")));
        m.unlink("dir/NAme");
    }
}

/// Several processes that make, rename and remove the same few names.
fn many_at_once(bed: &Bed) {
    use crate::support::process::Child;
    fold(bed, 1);
    for number in 0..4 {
        bed.lower.file(&format!("Name-{number}"), "lower");
    }
    let m = bed.mount();
    let children: Vec<_> = (0..4_usize)
        .map(|seed| {
            Child::spawn(|| {
                for round in 0..300 {
                    let prefix = ["name", "NAME", "Name", "nAmE"][(seed + round) % 4];
                    let path = m.at(&format!("{prefix}-{}", round * (seed + 3) % 4));
                    let other = m.at(&format!("{prefix}-{}", (round + 1) % 4));
                    // Whether any of it works is chance.
                    match (round + seed) % 5 {
                        0 => drop(unlink(&path)),
                        1 => drop(rename(&path, &other)),
                        2 => drop(mkdir(&path, Mode::RWXU)),
                        3 => drop(rmdir(&path)),
                        _ => drop(std::fs::write(&path, "new")),
                    }
                }
            })
        })
        .collect();
    children.into_iter().for_each(Child::join);
    let shown = m.names("");
    let mut folded: Vec<_> = shown.iter().map(|name| name.to_lowercase()).collect();
    folded.dedup();
    assert_eq!(folded.len(), shown.len(), "{shown:?}");
    for name in &shown {
        assert!(m.exists(name));
    }
    let m = bed.remount_fresh();
    assert_eq!(m.names("").len(), shown.len());
    bed.assert_work_is_empty();
}

fn three_layers(bed: &Bed) {
    fold(bed, 3);
    bed.lower.sub("Dir").file("A", "0");
    bed.below(1).sub("DIR").file("a", "1");
    bed.below(1).file("dir/b", "1");
    bed.below(2).sub("dir").file("B", "2");
    bed.below(2).file("dir/C", "2");
    bed.lower.whiteout("Dir/c");
    let m = bed.mount();
    assert_eq!(m.names("dir"), ["A", "b"]);
    assert_eq!(m.text("dir/a"), "0");
    assert_eq!(m.text("dir/B"), "1");
    assert!(!m.exists("dir/C"));
}

fn lower_layers_alone(bed: &Bed) {
    fold(bed, 2);
    bed.lower.file("Name", "0");
    bed.below(1).file("NAME", "1");
    bed.below(1).file("Other", "1");
    let m = bed.mount_lowers();
    assert_eq!(m.text("name"), "0");
    assert_eq!(m.text("OTHER"), "1");
    assert_eq!(m.names(""), ["Name", "Other"]);
    assert!(is_folded(&m, ""));
}

/// An overlay whose lower layer is one.
fn over_again(bed: &Bed) {
    fold(bed, 1);
    bed.lower.file("Name", "lower");
    let (upper, work, at) = (bed.aside("iu"), bed.aside("iw"), bed.aside("im"));
    set_folded(&upper, "", true);
    set_folded(&work, "", true);
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    let inner = must("mount", bed.try_mount_at(&bed.fs, &options, &at));
    inner.file("Made", "inner");
    let options = format!(
        "lowerdir={inner},upperdir={},workdir={}",
        bed.upper, bed.work
    );
    let m = must("mount", bed.try_mount(&options));
    assert_eq!(m.text("NAME"), "lower");
    m.append("MADE", b", more");
    assert_eq!(m.names("").len(), 2);
    assert_eq!(m.text("made"), "inner, more");
    assert_eq!(inner.text("made"), "inner");
}
