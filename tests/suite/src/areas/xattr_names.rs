// SPDX-License-Identifier: GPL-2.0

//! Names of extended attributes: those of the overlay's own namespace, escaped
//! and not, lists of them, and names that only look like its own.

use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    lgetxattr, listxattr, llistxattr, lremovexattr, lsetxattr, removexattr, setxattr, FileType,
    XattrFlags,
};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
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
    format!("trusted.overlay.{}{rest}", "overlay.".repeat(escapes))
}

/// A lower and an upper file, and the overlay over them.
fn files(bed: &Bed) -> (Dir, [(&Dir, &'static str); 2]) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    (bed.mount(), [(&bed.lower, "low"), (&bed.upper, "up")])
}

fn escaped_ones_are_shown(bed: &Bed) {
    for (layer, file) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file(file, "content");
        for escapes in 0..4 {
            let value = [b'0' + escapes as u8];
            layer.set_xattr(file, &name(escapes, "note"), &value);
        }
    }
    let m = bed.mount();
    for file in ["low", "up"] {
        let mut listed = m.xattr_names(file);
        listed.retain(|name| name.starts_with("trusted."));
        assert_eq!(listed, [name(0, "note"), name(1, "note"), name(2, "note")]);
        for escapes in 0..3 {
            let value = m.xattr(file, &name(escapes, "note"));
            assert_eq!(value, Some(vec![b'1' + escapes as u8]));
        }
        assert_eq!(m.xattr(file, &name(3, "note")), None);
    }
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
    bed.lower.file("low", "content");
    bed.lower.sub("dir");
    for path in ["low", "dir"] {
        for escapes in 0..3 {
            bed.lower.set_xattr(path, &name(escapes, "note"), b"value");
        }
    }
    let m = bed.mount();
    for path in ["low", "dir"] {
        m.chmod(path, 0o700);
        assert_eq!(bed.upper.xattr(path, &name(0, "note")), None);
        for escapes in 1..3 {
            let copied = bed.upper.xattr(path, &name(escapes, "note"));
            assert_eq!(copied.as_deref(), Some(&b"value"[..]));
        }
    }
}

fn escaped_with_flags(bed: &Bed) {
    let (m, files) = files(bed);
    for (_, file) in files {
        for escapes in 0..2 {
            let key = name(escapes, "note");
            let set = |flags| setxattr(m.at(file), &key, b"value", flags);
            refused(Errno::NODATA, set(XattrFlags::REPLACE));
            must("create", set(XattrFlags::CREATE));
            refused(Errno::EXIST, set(XattrFlags::CREATE));
            must("replace", set(XattrFlags::REPLACE));
            let below = name(escapes + 1, "note");
            assert!(bed.upper.xattr(file, &below).is_some());
        }
        assert_eq!(bed.upper.xattr(file, &name(0, "note")), None);
    }
}

fn escaped_ones_are_removed(bed: &Bed) {
    for (layer, file) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file(file, "content");
        layer.set_xattr(file, &name(0, "private"), b"value");
        layer.set_xattr(file, &name(1, "note"), b"value");
    }
    let m = bed.mount();
    for file in ["low", "up"] {
        refused(
            Errno::NODATA,
            removexattr(m.at(file), name(0, "private").as_str()),
        );
        refused(
            Errno::NODATA,
            removexattr(m.at(file), name(1, "note").as_str()),
        );
        assert!(file == "up" || !bed.upper.exists(file));
        m.remove_xattr(file, &name(0, "note"));
        assert_eq!(bed.upper.xattr(file, &name(1, "note")), None);
    }
    assert!(bed.upper.xattr("up", &name(0, "private")).is_some());
    assert!(bed.lower.xattr("low", &name(1, "note")).is_some());
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
    let (m, files) = files(bed);
    let prefix = "trusted.overlay.";
    for (_, file) in files {
        for (length, fits) in [(255 - 8, true), (255 - 7, false), (255, false)] {
            let key = format!("{prefix}{}", "n".repeat(length - prefix.len()));
            let set = setxattr(m.at(file), &key, b"value", XattrFlags::empty());
            let mut value = [0_u8; 8];
            if fits {
                must("setxattr", set);
                assert_eq!(lgetxattr(m.at(file), &key, &mut value), Ok(5));
                assert!(m.xattr_names(file).contains(&key));
                m.remove_xattr(file, &key);
            } else {
                refused(Errno::OPNOTSUPP, set);
                refused(Errno::OPNOTSUPP, lgetxattr(m.at(file), &key, &mut value));
                refused(Errno::OPNOTSUPP, removexattr(m.at(file), &key));
            }
        }
    }
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

/// What `listxattr` says without a buffer.
#[track_caller]
fn list_size(dir: &Dir, name: &str) -> usize {
    let path = dir.at(name);
    let path = must("path", std::ffi::CString::new(path.as_os_str().as_bytes()));
    // SAFETY: the path is a C string, and no buffer is given.
    let size = unsafe { libc::llistxattr(path.as_ptr(), std::ptr::null_mut(), 0) };
    usize::try_from(size).expect("a size")
}

/// The size that is told holds whatever the filter leaves, as does a buffer of
/// that size.
fn lists_and_their_sizes(bed: &Bed) {
    for (layer, file) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file(file, "content");
        layer.set_xattr(file, "user.note", b"value");
        layer.set_xattr(file, &name(0, "private"), b"value");
        layer.set_xattr(file, &name(1, "note"), b"value");
    }
    let m = bed.mount();
    for (layer, file) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        let size = list_size(layer, file);
        assert_eq!(list_size(&m, file), size);
        let shown: usize = m.xattr_names(file).iter().map(|key| key.len() + 1).sum();
        assert_eq!(shown, "user.note\0".len() + name(0, "note").len() + 1);
        for room in [1, shown - 1, shown, size - 1] {
            refused(Errno::RANGE, listxattr(m.at(file), &mut vec![0_u8; room]));
        }
        for room in [size, size + 1, 65536] {
            let mut list = vec![0xff_u8; room];
            assert_eq!(must("listxattr", listxattr(m.at(file), &mut list)), shown);
            assert_eq!(list[shown - 1], 0);
        }
    }
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
    assert_eq!(list_size(&m, "up"), 0);
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
