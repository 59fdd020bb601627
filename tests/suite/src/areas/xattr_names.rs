// SPDX-License-Identifier: GPL-2.0

//! Names of extended attributes: those of the overlay's own namespace, escaped
//! and not, lists of them, and names that only look like its own.

use rustix::fs::{
    lgetxattr, listxattr, llistxattr, lremovexattr, lsetxattr, removexattr, setxattr, FileType,
    XattrFlags,
};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::escapes::TRUSTED;
use crate::support::must::{must, refused};
use crate::support::process::{as_user, USER};

tests! {
    EVERYWHERE:
        escaped_ones_are_shown,
        those_of_another_namespace_are_ordinary,
        the_largest_value_is_copied,
        many_are_copied;
    TWICE:
        escaped_ones_are_copied,
        escaped_with_flags,
        escaped_ones_are_removed,
        a_lower_one_is_removed,
        too_long_to_be_escaped,
        the_bare_prefix,
        lists_and_their_sizes,
        an_empty_list,
        others_see_no_trusted_ones,
        of_symlinks_and_special_files,
        security_attributes_are_copied,
        names_that_do_not_belong,
        all_names_are_private;
}

/// `trusted.overlay.` with this many escapes, and a name.
fn name(escapes: usize, rest: &str) -> String {
    TRUSTED.name(escapes, rest)
}

/// A lower and an upper file, and the overlay over them.
fn files(bed: &Bed) -> (Dir, [(&Dir, &'static str); 2]) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    (bed.mount(), [(&bed.lower, "low"), (&bed.upper, "up")])
}

fn escaped_ones_are_shown(bed: &Bed) {
    TRUSTED.are_shown(bed, &[]);
}

/// `user.overlay.` is the overlay's own with the option `userxattr` alone.
fn those_of_another_namespace_are_ordinary(bed: &Bed) {
    let own = [
        "user.overlay.opaque",
        "user.overlay.overlay.note",
        "user.overlay.redirect",
    ];
    for (layer, dir) in [(&bed.lower, "low"), (&bed.upper, "both")] {
        layer.sub(dir).file("file", "content");
        for key in own {
            layer.set_xattr(dir, key, b"y");
            layer.set_xattr(&format!("{dir}/file"), key, b"y");
        }
    }
    bed.lower.sub("both").file("below", "");
    let m = bed.mount();
    assert_eq!(m.names("both"), ["below", "file"]);
    for path in ["low", "low/file", "both", "both/file"] {
        assert_eq!(m.xattr_names(path), {
            let mut names = own.map(String::from).to_vec();
            names.sort();
            names
        });
        for key in own {
            assert_eq!(m.xattr(path, key).as_deref(), Some(&b"y"[..]));
        }
        m.set_xattr(path, "user.overlay.opaque", b"x");
        m.remove_xattr(path, "user.overlay.redirect");
        assert_eq!(bed.upper.xattr(path, own[0]).as_deref(), Some(&b"x"[..]));
        assert_eq!(bed.upper.xattr(path, own[1]).as_deref(), Some(&b"y"[..]));
        assert_eq!(bed.upper.xattr(path, own[2]), None);
    }
}

fn the_largest_value_is_copied(bed: &Bed) {
    bed.lower.file("low", "content");
    let probe = bed.aside("probe");
    let largest = [65536, 16000, 3000, 500]
        .into_iter()
        .map(|size| vec![b'v'; size])
        .find(|value| {
            [bed.lower.at("low"), probe.at("")]
                .iter()
                .all(|path| lsetxattr(path, "user.big", value, XattrFlags::empty()).is_ok())
        });
    let largest = largest.expect("a value that the filesystem takes");
    let m = bed.mount();
    m.append("low", b", more");
    for dir in [&m, &bed.upper] {
        assert_eq!(dir.xattr("low", "user.big").as_ref(), Some(&largest));
    }
}

fn many_are_copied(bed: &Bed) {
    bed.lower.file("low", "content");
    let names: Vec<_> = (0..20)
        .map(|number| format!("user.note-{number:02}"))
        .collect();
    for key in &names {
        bed.lower.set_xattr("low", key, key.as_bytes());
    }
    let m = bed.mount();
    assert_eq!(m.xattr_names("low"), names);
    m.chmod("low", 0o600);
    assert_eq!(m.xattr_names("low"), names);
    for key in &names {
        assert_eq!(bed.upper.xattr("low", key).as_deref(), Some(key.as_bytes()));
    }
}

fn escaped_ones_are_copied(bed: &Bed) {
    TRUSTED.are_copied(bed, &[]);
}

fn escaped_with_flags(bed: &Bed) {
    TRUSTED.with_flags(bed);
}

fn escaped_ones_are_removed(bed: &Bed) {
    TRUSTED.are_removed(bed);
}

fn a_lower_one_is_removed(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.sub("dir");
    bed.lower.symlink("target", "link");
    let m = bed.mount();
    for path in ["low", "dir", "link"] {
        bed.lower.set_xattr(path, "trusted.note", b"value");
        refused(Errno::NODATA, lremovexattr(m.at(path), "trusted.none"));
        assert!(!bed.upper.exists(path));
        m.remove_xattr(path, "trusted.note");
        assert_eq!(m.xattr(path, "trusted.note"), None);
        assert!(bed.lower.xattr(path, "trusted.note").is_some());
        assert_eq!(bed.remount_fresh().xattr(path, "trusted.note"), None);
    }
}

fn too_long_to_be_escaped(bed: &Bed) {
    TRUSTED.too_long(bed);
}

fn the_bare_prefix(bed: &Bed) {
    let (m, files) = files(bed);
    for (_, file) in files {
        for key in ["trusted.overlay.", "user.", "trusted.", "security."] {
            let bare = bed.upper.at("up");
            let mut value = [0_u8; 8];
            let flags = XattrFlags::empty();
            let same = |got: Result<(), Errno>, want: Result<(), Errno>, what| {
                if key == "trusted.overlay." {
                    refused(Errno::INVAL, got);
                } else {
                    assert_eq!(got, want, "{what} {key}");
                }
            };
            same(
                setxattr(m.at(file), key, b"v", flags),
                setxattr(&bare, key, b"v", flags),
                "set",
            );
            same(
                lgetxattr(m.at(file), key, &mut value).map(|_| ()),
                lgetxattr(&bare, key, &mut value).map(|_| ()),
                "get",
            );
        }
    }
}

fn lists_and_their_sizes(bed: &Bed) {
    TRUSTED.lists(bed);
}

fn an_empty_list(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.set_xattr("low", &name(0, "private"), b"value");
    bed.upper.file("up", "content");
    let m = bed.mount();
    for file in ["low", "up"] {
        assert_eq!(m.xattr_names(file), [""; 0]);
        assert_eq!(
            must("listxattr", listxattr(m.at(file), &mut [0_u8; 256])),
            0
        );
    }
    assert_eq!(m.xattr_list_size("up"), 0);
}

fn others_see_no_trusted_ones(bed: &Bed) {
    for (layer, file) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file_mode(file, "content", 0o666);
        layer.set_xattr(file, "user.note", b"value");
        layer.set_xattr(file, "trusted.note", b"value");
        layer.set_xattr(file, &name(1, "note"), b"value");
    }
    let m = bed.mount();
    as_user(USER, || {
        for file in ["low", "up"] {
            assert_eq!(m.xattr_names(file), ["user.note"]);
            for key in ["trusted.note".to_owned(), name(0, "note")] {
                let mut value = [0_u8; 8];
                refused(Errno::NODATA, lgetxattr(m.at(file), &key, &mut value));
                let set = setxattr(m.at(file), &key, b"value", XattrFlags::empty());
                refused(Errno::PERM, set);
                refused(Errno::PERM, removexattr(m.at(file), &key));
            }
        }
    });
    assert!(!bed.upper.exists("low"));
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
    let m = bed.mount();
    for kind in kinds {
        let mut value = [0_u8; 8];
        let mut get = |dir: &Dir| lgetxattr(dir.at(kind), "user.note", &mut value);
        assert_eq!(get(&m), get(&bare), "{kind}");
        let set = |dir: &Dir| lsetxattr(dir.at(kind), "user.note", b"value", XattrFlags::empty());
        assert_eq!(set(&m), set(&bare), "{kind}");
        assert_eq!(bed.upper.exists(kind), set(&bare).is_ok(), "{kind}");
        let remove = |dir: &Dir| lremovexattr(dir.at(kind), "user.note");
        assert_eq!(remove(&m), remove(&bare), "{kind}");
    }
    for kind in kinds {
        m.set_xattr(kind, "trusted.note", b"value");
        m.set_xattr(kind, &name(0, "note"), b"value");
        let mut list = [0_u8; 256];
        assert_ne!(must("llistxattr", llistxattr(m.at(kind), &mut list)), 0);
        assert_eq!(
            m.xattr_names(kind),
            ["trusted.note".to_owned(), name(0, "note")]
        );
        assert_eq!(m.kind(kind), bare.kind(kind));
    }
    assert_eq!(m.target("link"), "target");
}

fn security_attributes_are_copied(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.sub("dir");
    bed.lower.symlink("target", "link");
    for path in ["low", "dir", "link"] {
        bed.lower.set_xattr(path, "security.note", b"value");
    }
    let m = bed.mount();
    for path in ["low", "dir", "link"] {
        m.chown(path, USER, USER);
        for dir in [&m, &bed.upper] {
            let value = dir.xattr(path, "security.note");
            assert_eq!(value.as_deref(), Some(&b"value"[..]), "{path}");
        }
    }
}

/// Names in no namespace are refused by a bare filesystem, and so here.
fn names_that_do_not_belong(bed: &Bed) {
    let (m, files) = files(bed);
    for (layer, file) in files {
        for key in [
            "note",
            "overlay.note",
            "nonsense.note",
            "system.note",
            ".",
            "user",
        ] {
            let mut value = [0_u8; 8];
            let got = lgetxattr(m.at(file), key, &mut value);
            assert_eq!(got, lgetxattr(layer.at(file), key, &mut value), "{key}");
            let set = |dir: &Dir| setxattr(dir.at(file), key, b"v", XattrFlags::empty());
            let want = set(layer);
            assert_eq!(set(&m), want, "{key}");
            assert!(want.is_err());
        }
    }
}

/// No name of the format shows, whatever the object is.
fn all_names_are_private(bed: &Bed) {
    let keys = [
        "origin", "nlink", "upper", "uuid", "protattr", "impure", "whiteout", "unknown",
    ];
    for layer in [&bed.lower, &bed.upper] {
        let prefix = if layer.path() == bed.lower.path() {
            "low"
        } else {
            "up"
        };
        layer.file(&format!("{prefix}-file"), "content");
        layer.sub(&format!("{prefix}-dir"));
        layer.symlink("target", &format!("{prefix}-link"));
        for kind in ["file", "dir", "link"] {
            for key in keys {
                layer.set_xattr(&format!("{prefix}-{kind}"), &name(0, key), b"");
            }
        }
    }
    let m = bed.mount();
    for prefix in ["low", "up"] {
        for kind in ["file", "dir", "link"] {
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
