// SPDX-License-Identifier: GPL-2.0

//! Names of extended attributes with the option `userxattr`: those below
//! `user.overlay.` are private or escaped, whoever asks.

use rustix::fs::{lgetxattr, lremovexattr, lsetxattr, removexattr, setxattr, FileType, XattrFlags};
use rustix::io::Errno;

use crate::areas::userxattr::{own, ON};
use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::escapes::USER as NAMESPACE;
use crate::support::must::{must, refused};
use crate::support::process::{as_user, OTHER_USER, USER};

tests! {
    EVERYWHERE: escaped_ones_are_shown, are_copied;
    TWICE:
        all_names_are_private,
        with_flags,
        are_removed,
        too_long_to_be_escaped,
        the_bare_prefix,
        lists_and_their_sizes,
        users_have_their_own,
        of_symlinks_and_special_files,
        layers_made_inside_an_overlay,
        under_the_other_namespace;
}

/// `user.overlay.` with this many escapes, and a name.
fn name(escapes: usize, rest: &str) -> String {
    NAMESPACE.name(escapes, rest)
}

fn escaped_ones_are_shown(bed: &Bed) {
    NAMESPACE.are_shown(bed, &["user.note", "user.overlay", "user.overlaynote"]);
}

fn are_copied(bed: &Bed) {
    NAMESPACE.are_copied(bed, &["user.note", "trusted.note", "trusted.overlay.note"]);
}

/// No name of the format shows, whatever the object is.
fn all_names_are_private(bed: &Bed) {
    let keys = [
        "opaque", "redirect", "origin", "nlink", "upper", "uuid", "protattr", "impure", "whiteout",
        "unknown",
    ];
    for (layer, prefix) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file(&format!("{prefix}-file"), "content");
        layer.sub(&format!("{prefix}-dir"));
        for kind in ["file", "dir"] {
            for key in keys {
                // One that says nothing.
                layer.set_xattr(&format!("{prefix}-{kind}"), &name(0, key), b".");
            }
        }
        layer.remove_xattr(&format!("{prefix}-dir"), &name(0, "redirect"));
    }
    let m = bed.mount_with(ON);
    for prefix in ["low", "up"] {
        for kind in ["file", "dir"] {
            let path = format!("{prefix}-{kind}");
            assert_eq!(m.xattr_names(&path), [""; 0], "{path}");
            for key in keys {
                let mut value = [0_u8; 8];
                let key = name(0, key);
                refused(Errno::NODATA, lgetxattr(m.at(&path), &key, &mut value));
                refused(Errno::NODATA, lremovexattr(m.at(&path), &key));
            }
        }
    }
}

fn with_flags(bed: &Bed) {
    NAMESPACE.with_flags(bed);
}

fn are_removed(bed: &Bed) {
    NAMESPACE.are_removed(bed);
}

fn too_long_to_be_escaped(bed: &Bed) {
    NAMESPACE.too_long(bed);
}

fn the_bare_prefix(bed: &Bed) {
    let (m, files) = NAMESPACE.files(bed);
    for file in files {
        let (at, key) = (m.at(file), name(0, ""));
        let flags = XattrFlags::empty();
        refused(Errno::INVAL, setxattr(&at, &key, b"v", flags));
        refused(Errno::INVAL, lgetxattr(&at, &key, &mut [0_u8; 8]));
        refused(Errno::INVAL, removexattr(&at, &key));
    }
}

fn lists_and_their_sizes(bed: &Bed) {
    NAMESPACE.lists(bed);
}

/// It takes the right to write to the file and nothing else, as on any filesystem.
fn users_have_their_own(bed: &Bed) {
    for (layer, file) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file_mode(file, "content", 0o644);
        layer.chown(file, USER, USER);
        layer.set_xattr(file, &name(0, "private"), b"value");
    }
    let m = bed.mount_with(ON);
    as_user(OTHER_USER, || {
        for file in ["low", "up"] {
            let set = setxattr(m.at(file), name(0, "note"), b"v", XattrFlags::empty());
            refused(Errno::ACCESS, set);
        }
    });
    as_user(USER, || {
        for file in ["low", "up"] {
            m.set_xattr(file, &name(0, "note"), b"value");
            assert_eq!(m.xattr_names(file), [name(0, "note")]);
            // None of theirs means anything.
            m.set_xattr(file, &name(0, "metacopy"), b"");
            m.set_xattr(file, &name(0, "redirect"), b"/etc");
            assert_eq!(m.text(file), "content");
        }
    });
    bed.umount();
    let m = bed.mount_with(ON);
    for file in ["low", "up"] {
        assert_eq!(m.text(file), "content");
        assert_eq!(bed.upper.xattr(file, &name(0, "redirect")), None);
        let stored = bed.upper.xattr(file, &name(1, "redirect"));
        assert_eq!(stored.as_deref(), Some(&b"/etc"[..]));
    }
}

fn of_symlinks_and_special_files(bed: &Bed) {
    let bare = bed.aside("bare");
    let kinds = ["link", "fifo", "socket", "null"];
    for dir in [&bed.lower, &bare] {
        dir.symlink("target", "link");
        dir.node("fifo", FileType::Fifo, 0o666, (0, 0));
        dir.node("socket", FileType::Socket, 0o666, (0, 0));
        dir.node("null", FileType::CharacterDevice, 0o666, (1, 3));
    }
    let m = bed.mount_with(ON);
    for kind in kinds {
        for key in ["user.note".to_owned(), name(0, "note")] {
            let mut value = [0_u8; 8];
            let mut get = |dir: &Dir| lgetxattr(dir.at(kind), &key, &mut value);
            assert_eq!(get(&m), get(&bare), "{kind}");
            let set = |dir: &Dir| lsetxattr(dir.at(kind), &key, b"value", XattrFlags::empty());
            assert_eq!(set(&m), set(&bare), "{kind}");
            let remove = |dir: &Dir| lremovexattr(dir.at(kind), key.as_str());
            assert_eq!(remove(&m), remove(&bare), "{kind}");
        }
        m.set_xattr(kind, "trusted.overlay.note", b"value");
        assert_eq!(m.xattr_names(kind), ["trusted.overlay.note"]);
    }
}

/// Two layers that were made inside an overlay work above it.
fn layers_made_inside_an_overlay(bed: &Bed) {
    let m = bed.mount_with(ON);
    let (top, bottom) = (m.sub("top"), m.sub("bottom"));
    bottom.sub("dir").file("below", "");
    bottom.sub("merged").file("below", "");
    bottom.file("gone", "");
    top.sub("dir").set_xattr("", &own("opaque"), b"y");
    top.sub("merged").file("above", "");
    top.set_xattr("", &own("opaque"), b"x");
    top.file("gone", "");
    top.set_xattr("gone", &own("whiteout"), b"");
    // For the overlay that they are in, all this says nothing.
    assert_eq!(m.names("top"), ["dir", "gone", "merged"]);
    let inner = bed.aside("inner");
    let options = format!("lowerdir={top}:{bottom},{ON}");
    let inner = must("mount", bed.try_mount_at(&bed.fs, &options, &inner));
    assert_eq!(inner.names(""), ["dir", "merged"]);
    assert_eq!(inner.names("dir"), [""; 0]);
    assert_eq!(inner.names("merged"), ["above", "below"]);
    assert_eq!(inner.xattr_names("dir"), [""; 0]);
}

/// The two namespaces have nothing to do with each other.
fn under_the_other_namespace(bed: &Bed) {
    let m = bed.mount();
    let (top, bottom) = (m.sub("top"), m.sub("bottom"));
    for (dir, key) in [
        ("user", own("opaque")),
        ("trusted", "trusted.overlay.opaque".into()),
    ] {
        bottom.sub(dir).file("below", "");
        top.sub(dir).set_xattr("", &key, b"y");
    }
    let inner = bed.aside("inner");
    for (more, opaque, merged) in [(",userxattr", "user", "trusted"), ("", "trusted", "user")] {
        let options = format!("lowerdir={top}:{bottom}{more}");
        let inner = must("mount", bed.try_mount_at(&bed.fs, &options, &inner));
        assert_eq!(inner.names(opaque), [""; 0]);
        assert_eq!(inner.names(merged), ["below"]);
        bed.umount();
    }
}
