// SPDX-License-Identifier: GPL-2.0

//! What is written into the upper layer and the work directory: the on-disk
//! format, which is shared with other implementations.

use rustix::fs::{renameat_with, FileType, RenameFlags, CWD};

use crate::harness::bed::Bed;
use crate::support::attribute::{IMPURE, OPAQUE, ORIGIN};
use crate::support::must::must;

tests! {
    EVERYWHERE:
        whiteouts_are_devices_zero,
        a_directory_over_a_whiteout_is_opaque,
        copied_up_files_name_their_origin,
        a_parent_of_a_copied_up_file_is_impure;
    ONE_FILESYSTEM:
        // With several, C looks no numbers up.
        a_directory_is_pure_again_when_it_is_listed;
    TWICE:
        copied_up_directories_name_their_origin,
        a_parent_of_a_broken_link_is_pure,
        new_objects_have_no_origin,
        a_new_directory_alone_is_not_opaque,
        a_merged_directory_is_not_opaque,
        the_work_directory,
        nothing_else_is_written,
        an_opaque_directory_stays_opaque_when_renamed;
}

fn whiteouts_are_devices_zero(bed: &Bed) {
    bed.lower.file("file", "");
    bed.lower.sub("dir").file("inside", "");
    bed.lower.sub("empty");
    bed.lower.symlink("x", "link");
    bed.lower.file("renamed", "");
    let m = bed.mount();
    m.unlink("file");
    m.unlink("dir/inside");
    m.rmdir("empty");
    m.unlink("link");
    m.rename("renamed", "new");
    for name in ["file", "dir/inside", "empty", "link", "renamed"] {
        let stat = bed.upper.stat(name);
        assert_eq!(bed.upper.kind(name), FileType::CharacterDevice, "{name}");
        assert_eq!(stat.st_rdev, 0, "{name}");
        assert!(bed.upper.xattr_names(name).is_empty(), "{name}");
    }
}

fn a_directory_over_a_whiteout_is_opaque(bed: &Bed) {
    bed.lower.sub("dir");
    bed.lower.file("file", "");
    let m = bed.mount();
    m.rmdir("dir");
    m.unlink("file");
    m.sub("dir");
    m.sub("file");
    for name in ["dir", "file"] {
        assert_eq!(
            bed.upper.xattr(name, OPAQUE).as_deref(),
            Some(&b"y"[..]),
            "{name}"
        );
    }
}

/// Checks the header of a file handle: version, magic, length, flags, type,
/// then the filesystem's uuid and the handle itself.
#[track_caller]
fn assert_origin(bed: &Bed, name: &str) {
    let origin = bed.upper.xattr(name, ORIGIN);
    let origin = origin.unwrap_or_else(|| panic!("{name} has no origin"));
    if origin.is_empty() {
        // What a layer without file handles gets; none of these is one.
        panic!("{name}: the origin is empty");
    }
    let [version, magic, length, flags, kind, rest @ ..] = &origin[..] else {
        panic!("{name}: an origin of {} bytes", origin.len());
    };
    assert_eq!((*version, *magic), (0, 0xfb), "{name}");
    assert_eq!(usize::from(*length), origin.len(), "{name}");
    // Little-endian handles, no path type, not of an upper object.
    assert_eq!(flags & !0b01, 0, "{name}: flags {flags:#x}");
    assert!(!matches!(kind, 0 | 0xff), "{name}: type {kind:#x}");
    assert!(
        rest.len() > 16,
        "{name}: {} bytes after the header",
        rest.len()
    );
}

fn copied_up_files_name_their_origin(bed: &Bed) {
    bed.lower.file("file", "content");
    bed.lower.file("renamed", "content");
    bed.lower.symlink("x", "link");
    bed.lower.node("fifo", FileType::Fifo, 0o644, (0, 0));
    let m = bed.mount();
    m.append("file", b"more");
    m.rename("renamed", "new");
    m.chown("link", 1, 1);
    m.chown("fifo", 1, 1);
    for name in ["file", "new", "link", "fifo"] {
        assert_origin(bed, name);
    }
}

fn copied_up_directories_name_their_origin(bed: &Bed) {
    bed.lower.sub("dir").sub("inner");
    let m = bed.mount();
    m.file("dir/inner/new", "");
    for name in ["dir", "dir/inner"] {
        assert_origin(bed, name);
    }
}

fn new_objects_have_no_origin(bed: &Bed) {
    bed.lower.file("gone", "");
    let m = bed.mount();
    m.file("file", "");
    m.sub("dir");
    m.unlink("gone");
    m.file("gone", "");
    for name in ["file", "dir", "gone"] {
        assert_eq!(bed.upper.xattr(name, ORIGIN), None, "{name}");
    }
}

fn a_directory_is_pure_again_when_it_is_listed(bed: &Bed) {
    bed.lower.file("low", "low");
    let m = bed.mount();
    // Listed by more than one call.
    m.sub("dir");
    for number in 0..1000 {
        m.file(&format!("dir/a-name-that-takes-room-{number}"), "");
    }
    m.rename("low", "dir/low");
    let mark = || bed.upper.xattr("dir", IMPURE);
    for _ in 0..2 {
        m.names("dir");
        assert_eq!(mark().as_deref(), Some(&b"y"[..]), "with a file from below");
    }
    m.unlink("dir/low");
    m.names("dir");
    assert_eq!(mark(), None, "without it");
    // And impure again.
    bed.lower.file("second", "second");
    let m = bed.remount_fresh();
    m.rename("second", "dir/second");
    assert_eq!(mark().as_deref(), Some(&b"y"[..]), "with another");
    m.names("dir");
    assert_eq!(mark().as_deref(), Some(&b"y"[..]), "with another, listed");
}

fn a_parent_of_a_copied_up_file_is_impure(bed: &Bed) {
    bed.lower.sub("dir").file("low", "content");
    bed.lower.file("low", "content");
    bed.upper.sub("pure");
    let m = bed.mount();
    m.append("dir/low", b", more");
    m.rename("low", "pure/moved");
    for name in ["", "dir", "pure"] {
        assert_eq!(
            bed.upper.xattr(name, IMPURE).as_deref(),
            Some(&b"y"[..]),
            "'{name}'"
        );
    }
}

/// What was copied as one of several links is an object of its own.
fn a_parent_of_a_broken_link_is_pure(bed: &Bed) {
    let dir = bed.lower.sub("dir");
    dir.file("a", "content");
    dir.link("a", "b");
    dir.link("a", "c");
    bed.lower.sub("linked");
    bed.lower.sub("moved");
    bed.upper.sub("exchanged").file("up", "");
    let m = bed.mount();
    m.link("dir/a", "linked/a");
    m.rename("dir/b", "moved/b");
    must(
        "exchange",
        renameat_with(
            CWD,
            m.at("dir/c"),
            CWD,
            m.at("exchanged/up"),
            RenameFlags::EXCHANGE,
        ),
    );
    for name in ["linked", "moved", "exchanged"] {
        assert_eq!(bed.upper.xattr(name, IMPURE), None, "'{name}'");
    }
    for name in ["linked/a", "moved/b", "exchanged/up"] {
        assert_eq!(m.read(name), b"content", "{name}");
        assert_eq!(bed.upper.xattr(name, ORIGIN), None, "{name}");
    }
}

fn a_new_directory_alone_is_not_opaque(bed: &Bed) {
    bed.upper.sub("pure");
    let m = bed.mount();
    m.sub("pure/new");
    m.file("pure/file", "");
    assert_eq!(bed.upper.xattr("pure/new", OPAQUE), None);
    assert_eq!(bed.upper.xattr("pure", IMPURE), None);
}

fn a_merged_directory_is_not_opaque(bed: &Bed) {
    bed.lower.sub("dir").file("low", "");
    let m = bed.mount();
    m.chmod("dir", 0o700);
    m.unlink("dir/low");
    assert_eq!(bed.upper.xattr("dir", OPAQUE), None);
}

fn an_opaque_directory_stays_opaque_when_renamed(bed: &Bed) {
    bed.lower.sub("old").file("hidden", "");
    bed.lower.sub("new").file("hidden", "");
    let m = bed.mount();
    for name in ["old", "new"] {
        m.unlink(&format!("{name}/hidden"));
        m.rmdir(name);
    }
    m.sub("old").file("inside", "");
    m.rename("old", "new");
    assert_eq!(bed.upper.xattr("new", OPAQUE).as_deref(), Some(&b"y"[..]));
    assert!(bed.upper.is_whiteout("old"));
    assert_eq!(bed.remount_fresh().names("new"), ["inside"]);
}

fn the_work_directory(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    assert_eq!(bed.work.names(""), ["work"]);
    assert_eq!(bed.work.kind("work"), FileType::Directory);
    assert_eq!(bed.work.mode("work"), 0);
    m.append("low", b", more");
    bed.umount();
    assert_eq!(bed.work.names(""), ["work"]);
    bed.assert_work_is_empty();
}

fn nothing_else_is_written(bed: &Bed) {
    bed.lower.sub("dir").file("low", "content");
    let m = bed.mount();
    m.append("dir/low", b", more");
    m.file("dir/new", "");
    bed.umount();
    let allowed = [ORIGIN, IMPURE, "trusted.overlay.uuid"];
    for name in ["", "dir", "dir/low", "dir/new"] {
        for key in bed.upper.xattr_names(name) {
            assert!(allowed.contains(&key.as_str()), "'{name}' has {key}");
        }
    }
    assert_eq!(bed.upper.names(""), ["dir"]);
    assert_eq!(bed.upper.names("dir"), ["low", "new"]);
}
