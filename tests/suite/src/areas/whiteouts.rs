// SPDX-License-Identifier: GPL-2.0

//! Whiteouts and opaque directories of every kind: devices, and files with an
//! attribute, which layers have that are made inside of an overlay.

use rustix::fs::{renameat_with, rmdir, FileType, RenameFlags, CWD};
use rustix::io::Errno;

use crate::areas::copy_up_io_error::disk::Disk;
use crate::harness::bed::Bed;
use crate::support::attribute::{OPAQUE, WHITEOUT};
use crate::support::dir::Dir;
use crate::support::listing;
use crate::support::must::{must, refused};

tests! {
    EVERYWHERE: by_attribute, devices_that_are_none, beside_links_of_devices;
    TWICE:
        by_attribute_in_the_root,
        by_attribute_without_a_mark,
        by_attribute_in_the_lowest_layer,
        by_attribute_in_upper,
        files_that_are_none,
        creating_over_one,
        renaming_over_one,
        moving_a_directory_over_one,
        a_directory_of_nothing_else,
        replacing_a_directory_of_nothing_else,
        emptied_by_attributes,
        that_were_moved,
        inside_an_overlay,
        inside_an_overlay_twice,
        layers_made_inside_an_overlay,
        marks_that_say_nothing,
        share_an_inode,
        as_many_as_links_allow;
    ONCE: a_filesystem_that_tells_no_types;
}

/// Makes an empty file that is a whiteout.
fn whiteout(dir: &Dir, name: &str) {
    dir.file(name, "");
    dir.set_xattr(name, WHITEOUT, b"y");
}

/// A marked directory `dir` in the topmost lower layer, in which `gone` hides a
/// file, `gone-dir` a directory, and `here` is an empty file.
fn marked(bed: &Bed, dir: &str) -> Dir {
    let below = bed.below(1).sub(dir);
    below.file("gone", "from below");
    below.file("below", "");
    below.sub("gone-dir").file("inside", "");
    let upper = bed.lower.sub(dir);
    upper.set_xattr("", OPAQUE, b"x");
    upper.file("here", "");
    whiteout(&upper, "gone");
    whiteout(&upper, "gone-dir");
    upper
}

fn by_attribute(bed: &Bed) {
    marked(bed, "dir");
    // With several merged directories, and read-only.
    for m in [bed.mount(), {
        bed.umount();
        bed.mount_lowers()
    }] {
        assert_eq!(m.names("dir"), ["below", "here"]);
        for name in ["dir/gone", "dir/gone-dir", "dir/gone-dir/inside"] {
            assert!(!m.exists(name), "{name}");
        }
    }
}

fn devices_that_are_none(bed: &Bed) {
    for layer in [&bed.lower, &bed.upper] {
        let dir = layer.sub("dir");
        let prefix = if layer.path() == bed.upper.path() {
            "u"
        } else {
            "l"
        };
        for (name, kind, device) in [
            ("null", FileType::CharacterDevice, (1, 3)),
            ("minor", FileType::CharacterDevice, (0, 1)),
            ("block", FileType::BlockDevice, (0, 0)),
            ("fifo", FileType::Fifo, (0, 0)),
        ] {
            dir.node(&format!("{prefix}-{name}"), kind, 0o600, device);
        }
    }
    let m = bed.mount();
    let entries = listing::all(&m.open_read("dir"));
    for prefix in ["u", "l"] {
        for (name, kind) in [
            ("null", FileType::CharacterDevice),
            ("minor", FileType::CharacterDevice),
            ("block", FileType::BlockDevice),
            ("fifo", FileType::Fifo),
        ] {
            let name = format!("{prefix}-{name}");
            assert_eq!(m.kind(&format!("dir/{name}")), kind, "{name}");
            let entry = entries.iter().find(|entry| entry.name == name);
            assert_eq!(entry.map(|entry| entry.kind), Some(kind), "{name}");
        }
    }
}

/// Whiteouts share inodes, or not, and other devices do, too: what one link is, another is.
fn beside_links_of_devices(bed: &Bed) {
    const GONE: [&str; 6] = ["a", "b", "d", "e", "g", "h"];
    const SHOWN: [&str; 4] = ["c", "f", "i", "j"];

    let below = bed.below(1).sub("dir");
    for name in GONE.into_iter().chain(SHOWN) {
        below.file(name, "below");
    }
    for layer in [&bed.lower, &bed.upper] {
        let dir = layer.sub("dir");
        for (first, other) in [("a", "b"), ("d", "g"), ("h", "e")] {
            dir.whiteout(first);
            dir.link(first, other);
        }
        dir.node("c", FileType::CharacterDevice, 0o600, (1, 3));
        dir.link("c", "i");
        dir.node("f", FileType::CharacterDevice, 0o600, (0, 1));
        dir.link("f", "j");
    }
    let m = bed.mount();
    assert_eq!(m.names("dir"), SHOWN);
    for name in SHOWN {
        m.unlink(&format!("dir/{name}"));
    }
    assert!(m.names("dir").is_empty());
    must("rmdir", rmdir(m.at("dir")));
    bed.assert_work_is_empty();
}

fn by_attribute_in_the_root(bed: &Bed) {
    bed.below(1).file("gone", "");
    bed.below(1).file("below", "");
    bed.lower.set_xattr("", OPAQUE, b"x");
    whiteout(&bed.lower, "gone");
    let m = bed.mount();
    assert!(!m.exists("gone"));
    assert_eq!(m.names(""), ["below"]);
    m.file("gone", "new");
    assert_eq!(bed.remount_fresh().names(""), ["below", "gone"]);
}

fn by_attribute_without_a_mark(bed: &Bed) {
    // They hide all the same; only a listing does not look for them.
    let dir = marked(bed, "dir");
    dir.remove_xattr("", OPAQUE);
    let m = bed.mount();
    for name in ["dir/gone", "dir/gone-dir"] {
        assert!(!m.exists(name), "{name}");
    }
    m.file("dir/gone", "new");
    assert_eq!(m.text("dir/gone"), "new");
    assert_eq!(bed.remount_fresh().text("dir/gone"), "new");
}

fn by_attribute_in_the_lowest_layer(bed: &Bed) {
    whiteout(&bed.lower.sub("dir"), "gone");
    bed.lower.set_xattr("dir", OPAQUE, b"x");
    bed.upper.sub("dir").file("here", "");
    let m = bed.mount();
    assert!(!m.exists("dir/gone"));
    m.file("dir/gone", "new");
    m.unlink("dir/gone");
    assert!(!m.exists("dir/gone"));
}

fn by_attribute_in_upper(bed: &Bed) {
    bed.lower.sub("dir").file("gone", "content");
    bed.lower.file("dir/low", "");
    let dir = bed.upper.sub("dir");
    whiteout(&dir, "gone");
    whiteout(&dir, "of-nothing");
    let m = bed.mount();
    for name in ["gone", "of-nothing"] {
        let name = format!("dir/{name}");
        assert!(!m.exists(&name), "{name}");
        m.file(&name, "new");
        assert_eq!(m.text(&name), "new");
        m.unlink(&name);
        assert!(!m.exists(&name), "{name}");
    }
    assert!(bed.upper.is_whiteout("dir/gone"));
    assert_eq!(bed.remount_fresh().names("dir"), ["low"]);
}

fn files_that_are_none(bed: &Bed) {
    // The attribute is on something else than an empty file.
    let dir = bed.lower.sub("dir");
    dir.set_xattr("", OPAQUE, b"x");
    dir.file("full", "content");
    dir.sub("dir");
    for name in ["full", "dir"] {
        dir.set_xattr(name, WHITEOUT, b"y");
    }
    dir.file("escaped", "");
    dir.set_xattr("escaped", "trusted.overlay.overlay.whiteout", b"y");
    bed.below(1).sub("dir");
    let m = bed.mount();
    assert_eq!(m.names("dir"), ["dir", "escaped", "full"]);
    assert_eq!(m.text("dir/full"), "content");
    assert!(m.xattr("dir/escaped", WHITEOUT).is_some());
    assert_eq!(m.xattr("dir/full", WHITEOUT), None);
}

/// Both kinds of whiteouts in a lower layer, and one in upper, as names in `dir`.
fn each_kind(bed: &Bed) -> [&'static str; 3] {
    let low = bed.below(1).sub("dir");
    for name in ["a", "b", "c"] {
        low.file(name, "hidden");
    }
    let dir = bed.lower.sub("dir");
    dir.set_xattr("", OPAQUE, b"x");
    dir.whiteout("a");
    whiteout(&dir, "b");
    bed.upper.sub("dir").whiteout("c");
    ["dir/a", "dir/b", "dir/c"]
}

fn creating_over_one(bed: &Bed) {
    let names = each_kind(bed);
    let m = bed.mount();
    for name in names {
        m.sub(name).file("inside", "");
        assert_eq!(m.names(name), ["inside"]);
        m.unlink(&format!("{name}/inside"));
        m.rmdir(name);
        m.symlink("target", name);
        m.unlink(name);
        m.file("other", name);
        must("link", rustix::fs::link(m.at("other"), m.at(name)));
        assert_eq!(m.text(name), name);
        m.unlink("other");
    }
    let m = bed.remount_fresh();
    assert_eq!(m.names("dir"), ["a", "b", "c"]);
    bed.assert_work_is_empty();
}

fn renaming_over_one(bed: &Bed) {
    let names = each_kind(bed);
    bed.below(1).file("low", "low");
    let m = bed.mount();
    let mut last = "low".to_owned();
    for name in names {
        let flags = RenameFlags::NOREPLACE;
        must(
            "rename",
            renameat_with(CWD, m.at(&last), CWD, m.at(name), flags),
        );
        assert_eq!(m.text(name), "low");
        last = name.to_owned();
    }
    let m = bed.remount_fresh();
    assert_eq!(m.names("dir"), ["c"]);
    assert_eq!(m.names(""), ["dir"]);
    bed.assert_work_is_empty();
}

fn moving_a_directory_over_one(bed: &Bed) {
    let names = each_kind(bed);
    let m = bed.mount();
    m.sub("new").file("inside", "");
    let mut last = "new";
    for name in names {
        m.rename(last, name);
        assert_eq!(m.names(name), ["inside"]);
        last = name;
    }
    let m = bed.remount_fresh();
    assert_eq!(m.names("dir"), ["c"]);
    assert_eq!(m.names("dir/c"), ["inside"]);
    bed.assert_work_is_empty();
}

fn a_directory_of_nothing_else(bed: &Bed) {
    bed.lower.sub("up").file("gone", "");
    let m = bed.mount();
    m.unlink("up/gone");
    m.sub("emptied").file("x", "");
    m.unlink("emptied/x");
    for name in ["up", "emptied"] {
        assert!(m.names(name).is_empty(), "{name}");
        m.rmdir(name);
        assert!(!m.exists(name));
        m.sub(name).file("new", "");
        refused(Errno::NOTEMPTY, rmdir(m.at(name)));
        m.unlink(&format!("{name}/new"));
        m.rmdir(name);
    }
    assert!(bed.remount_fresh().names("").is_empty());
    bed.assert_work_is_empty();
}

fn replacing_a_directory_of_nothing_else(bed: &Bed) {
    bed.lower.sub("up").file("gone", "");
    let pure = bed.upper.sub("pure");
    pure.whiteout("of-nothing");
    pure.set_xattr("", "trusted.overlay.origin", b"");
    let m = bed.mount();
    m.unlink("up/gone");
    m.sub("new").file("inside", "");
    m.rename("new", "up");
    assert_eq!(m.names("up"), ["inside"]);
    m.rename("up", "pure");
    let m = bed.remount_fresh();
    assert_eq!(m.names(""), ["pure"]);
    assert_eq!(m.names("pure"), ["inside"]);
    bed.assert_work_is_empty();
}

/// Directories in which there are only whiteouts that are attributes.
fn emptied_by_attributes(bed: &Bed) {
    for name in ["removed", "replaced", "copied"] {
        let dir = marked(bed, name);
        dir.unlink("here");
        bed.below(1).unlink(&format!("{name}/below"));
    }
    let m = bed.mount();
    m.chmod("copied", 0o700);
    for name in ["removed", "replaced", "copied"] {
        assert!(m.names(name).is_empty(), "{name}");
    }
    m.rmdir("removed");
    m.sub("new").file("inside", "");
    m.rename("new", "replaced");
    m.rename("replaced", "copied");
    let m = bed.remount_fresh();
    assert_eq!(m.names(""), ["copied"]);
    assert_eq!(m.names("copied"), ["inside"]);
    bed.assert_work_is_empty();
}

fn that_were_moved(bed: &Bed) {
    // A directory of upper's own, with whiteouts from when it was merged.
    let dir = bed.upper.sub("dir");
    dir.whiteout("gone");
    dir.file("here", "");
    dir.set_xattr("", "trusted.overlay.origin", b"");
    let m = bed.mount();
    assert_eq!(m.names("dir"), ["here"]);
    assert!(!m.exists("dir/gone"));
    m.file("dir/gone", "new");
    m.unlink("dir/gone");
    m.unlink("dir/here");
    m.rmdir("dir");
    bed.assert_work_is_empty();
}

/// An overlay whose lower layers are seen through another: their whiteouts and
/// marks are escaped once for each overlay that they are seen through.
#[track_caller]
fn nested(bed: &Bed, escape: &str) -> Dir {
    let key = |name: &str| format!("trusted.overlay.{escape}{name}");
    let (high, low) = (bed.lower.sub("high"), bed.lower.sub("low"));
    for name in ["gone", "below"] {
        low.file(name, "from below");
    }
    low.sub("dir").file("gone", "");
    low.file("dir/below", "");
    low.sub("opaque").file("hidden", "");
    for dir in ["", "dir"] {
        let dir = if dir.is_empty() {
            high.clone()
        } else {
            high.sub(dir)
        };
        dir.set_xattr("", &key("opaque"), b"x");
        dir.file("gone", "");
        dir.set_xattr("gone", &key("whiteout"), b"y");
        dir.file("here", "");
    }
    high.sub("opaque").file("shown", "");
    high.set_xattr("opaque", &key("opaque"), b"y");
    high.sub("was-low");
    high.set_xattr("was-low", &key("redirect"), b"old");
    low.sub("old").file("redirected", "");

    let m = bed.mount();
    let at = bed.aside("nested");
    let options = format!("lowerdir={0}/high:{0}/low,redirect_dir=follow", m);
    must("mount", bed.try_mount_at(&bed.other, &options, &at))
}

#[track_caller]
fn assert_nested(m: &Dir) {
    assert_eq!(
        m.names(""),
        ["below", "dir", "here", "old", "opaque", "was-low"]
    );
    assert_eq!(m.names("dir"), ["below", "here"]);
    assert_eq!(m.names("opaque"), ["shown"]);
    assert_eq!(m.names("was-low"), ["redirected"]);
    assert!(!m.exists("gone"));
    assert!(!m.exists("dir/gone"));
}

fn inside_an_overlay(bed: &Bed) {
    assert_nested(&nested(bed, "overlay."));
}

fn inside_an_overlay_twice(bed: &Bed) {
    // Escaped twice, they mean nothing to the first overlay within.
    let m = nested(bed, "overlay.overlay.");
    assert!(m.exists("gone"));
    assert!(m.exists("dir/gone"));
    assert_eq!(m.names("opaque"), ["hidden", "shown"]);
    let key = "trusted.overlay.whiteout";
    assert_eq!(m.xattr("gone", key).as_deref(), Some(&b"y"[..]));
}

fn layers_made_inside_an_overlay(bed: &Bed) {
    // What is written through the outer overlay is what an inner one reads.
    let outer = bed.mount();
    let (high, low) = (outer.sub("high"), outer.sub("low"));
    low.file("gone", "");
    low.file("here", "");
    low.sub("opaque").file("hidden", "");
    high.set_xattr("", OPAQUE, b"x");
    whiteout(&high, "gone");
    high.sub("opaque");
    high.set_xattr("opaque", OPAQUE, b"y");
    for _ in 0..2 {
        let inner = bed.aside("inner");
        let options = format!("lowerdir={0}/high:{0}/low", bed.mnt);
        let m = must("mount", bed.try_mount_at(&bed.other, &options, &inner));
        assert_eq!(m.names(""), ["here", "opaque"]);
        assert!(m.names("opaque").is_empty());
        bed.umount();
        must("rmdir", std::fs::remove_dir(inner.path()));
        bed.remount_fresh();
    }
}

fn marks_that_say_nothing(bed: &Bed) {
    let values: [&[u8]; 6] = [b"", b"n", b"yy", b"xy", b"Y", b"\0"];
    for (number, value) in values.iter().enumerate() {
        let name = format!("{number}");
        bed.below(1).sub(&name).file("below", "");
        bed.lower.sub(&name).set_xattr("", OPAQUE, value);
        bed.upper.sub(&name).set_xattr("", OPAQUE, value);
    }
    // A file cannot be opaque.
    bed.upper.file("file", "");
    bed.upper.set_xattr("file", OPAQUE, b"y");
    let m = bed.mount();
    for number in 0..values.len() {
        assert_eq!(m.names(&format!("{number}")), ["below"], "{number}");
    }
    assert!(m.exists("file"));
}

fn share_an_inode(bed: &Bed) {
    for name in ["a", "b", "c"] {
        bed.lower.file(name, "");
        bed.lower.sub(&format!("dir-{name}"));
    }
    let m = bed.mount();
    for name in ["a", "b", "c"] {
        m.unlink(name);
        m.rmdir(&format!("dir-{name}"));
    }
    let number = bed.upper.stat("a").st_ino;
    for name in ["b", "c", "dir-a", "dir-b", "dir-c"] {
        assert!(bed.upper.is_whiteout(name));
        assert_eq!(bed.upper.stat(name).st_ino, number, "{name}");
    }
    // Replacing one does not touch the others.
    m.file("b", "new");
    m.sub("dir-b");
    let m = bed.remount_fresh();
    assert_eq!(m.names(""), ["b", "dir-b"]);
}

fn as_many_as_links_allow(bed: &Bed) {
    // More than the 1,024 links of a file that some filesystems allow would be slow; renames that
    // leave whiteouts behind take none of them.
    for number in 0..50 {
        bed.lower.file(&format!("{number}"), "");
    }
    let m = bed.mount();
    for number in 0..50 {
        m.rename(&format!("{number}"), "moved");
        assert!(bed.upper.is_whiteout(&format!("{number}")));
    }
    assert_eq!(bed.remount_fresh().names(""), ["moved"]);
}

fn a_filesystem_that_tells_no_types(bed: &Bed) {
    let disk = Disk::with(bed, "ext4", 24 << 20, &["-O", "^filetype"]);
    let (high, low) = (disk.dir.sub("high"), disk.dir.sub("low"));
    for layer in [&high, &low] {
        layer.sub("dir");
    }
    let low = low.join("dir");
    low.file("file", "");
    low.symlink("x", "link");
    low.sub("sub");
    low.node("null", FileType::CharacterDevice, 0o600, (1, 3));
    low.file("gone", "");
    let high = high.join("dir");
    high.whiteout("gone");
    high.file("here", "");
    let options = format!(
        "lowerdir={0}/high:{0}/low,upperdir={1},workdir={2}",
        disk.dir, bed.upper, bed.work
    );
    let m = must("mount", bed.try_mount(&options));
    let check = |m: &Dir, want: &[&str]| {
        let mut names = Vec::new();
        for entry in listing::all(&m.open_read("dir")) {
            if entry.name.starts_with('.') {
                continue;
            }
            let kind = m.kind(&format!("dir/{}", entry.name));
            assert!(
                entry.kind == FileType::Unknown || entry.kind == kind,
                "{} is {:?}",
                entry.name,
                entry.kind
            );
            names.push(entry.name);
        }
        names.sort();
        assert_eq!(names, want);
    };
    check(&m, &["file", "here", "link", "null", "sub"]);
    m.unlink("dir/file");
    m.file("dir/gone", "");
    check(&m, &["gone", "here", "link", "null", "sub"]);
    for name in ["gone", "here", "link", "null"] {
        m.unlink(&format!("dir/{name}"));
    }
    m.rmdir("dir/sub");
    m.rmdir("dir");
    assert!(m.names("").is_empty());
    bed.umount();
}
