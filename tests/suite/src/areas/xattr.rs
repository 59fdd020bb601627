// SPDX-License-Identifier: GPL-2.0

//! Extended attributes.

use rustix::fs::{
    fgetxattr, flistxattr, fremovexattr, fsetxattr, getxattr, lgetxattr, listxattr, removexattr,
    setxattr, XattrFlags,
};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused};
use crate::support::process::{as_user, USER};

tests! {
    EVERYWHERE:
        of_the_layers_are_shown,
        set_replace_and_remove,
        those_of_the_format_are_hidden;
    TWICE:
        of_a_directory,
        through_descriptors,
        create_and_replace_flags,
        large_values,
        buffers_too_small,
        of_what_is_not_there,
        removal_without_one_copies_nothing_up,
        reading_copies_nothing_up,
        those_of_the_format_are_escaped_when_set,
        user_attributes_need_rights,
        of_special_files,
        of_symlinks,
        names_that_are_refused;
}

const KEYS: [&str; 3] = ["user.note", "trusted.note", "security.note"];

/// A lower and an upper file, and the overlay over them.
fn files(bed: &Bed) -> (Dir, [&'static str; 2]) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    (bed.mount(), ["low", "up"])
}

fn of_the_layers_are_shown(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file(name, "content");
        for key in KEYS {
            layer.set_xattr(name, key, key.as_bytes());
        }
    }
    let m = bed.mount();
    for name in ["low", "up"] {
        let mut names = m.xattr_names(name);
        names.retain(|key| key.ends_with(".note"));
        assert_eq!(names, ["security.note", "trusted.note", "user.note"]);
        for key in KEYS {
            assert_eq!(m.xattr(name, key).as_deref(), Some(key.as_bytes()));
        }
    }
}

fn set_replace_and_remove(bed: &Bed) {
    let (m, names) = files(bed);
    for name in names {
        for key in KEYS {
            m.set_xattr(name, key, b"one");
            m.set_xattr(name, key, b"two and more");
            for dir in [&m, &bed.upper] {
                assert_eq!(dir.xattr(name, key).as_deref(), Some(&b"two and more"[..]));
            }
            m.set_xattr(name, key, b"");
            assert_eq!(m.xattr(name, key).as_deref(), Some(&b""[..]));
            m.remove_xattr(name, key);
            for dir in [&m, &bed.upper] {
                assert_eq!(dir.xattr(name, key), None);
            }
            refused(Errno::NODATA, removexattr(m.at(name), key));
        }
        assert_eq!(m.text(name), "content");
    }
    assert!(!bed
        .lower
        .xattr_names("low")
        .contains(&"user.note".to_owned()));
}

fn of_a_directory(bed: &Bed) {
    bed.lower.sub("low").set_xattr("", "user.note", b"low");
    bed.lower.sub("both").set_xattr("", "user.note", b"low");
    bed.lower.set_xattr("both", "user.other", b"low");
    bed.upper.sub("both").set_xattr("", "user.note", b"up");
    let m = bed.mount();
    assert_eq!(m.xattr("low", "user.note").as_deref(), Some(&b"low"[..]));
    assert_eq!(m.xattr("both", "user.note").as_deref(), Some(&b"up"[..]));
    assert_eq!(m.xattr("both", "user.other"), None);
    for name in ["low", "both", ""] {
        m.set_xattr(name, "user.note", b"new");
        assert_eq!(
            bed.upper.xattr(name, "user.note").as_deref(),
            Some(&b"new"[..])
        );
    }
}

fn through_descriptors(bed: &Bed) {
    let (m, names) = files(bed);
    for name in names {
        let file = m.open_read(name);
        must(
            "fsetxattr",
            fsetxattr(&file, "user.note", b"value", XattrFlags::empty()),
        );
        let mut value = [0_u8; 16];
        assert_eq!(
            must("fgetxattr", fgetxattr(&file, "user.note", &mut value)),
            5
        );
        assert_eq!(&value[..5], b"value");
        let mut list = [0_u8; 256];
        let length = must("flistxattr", flistxattr(&file, &mut list));
        assert!(list[..length].windows(9).any(|some| some == b"user.note"));
        must("fremovexattr", fremovexattr(&file, "user.note"));
        assert_eq!(m.xattr(name, "user.note"), None);
    }
}

fn create_and_replace_flags(bed: &Bed) {
    let (m, names) = files(bed);
    for name in names {
        let set = |flags| setxattr(m.at(name), "user.note", b"value", flags);
        refused(Errno::NODATA, set(XattrFlags::REPLACE));
        must("create", set(XattrFlags::CREATE));
        refused(Errno::EXIST, set(XattrFlags::CREATE));
        must("replace", set(XattrFlags::REPLACE));
    }
}

fn large_values(bed: &Bed) {
    let value = vec![b'v'; 600];
    bed.lower.file("low", "content");
    bed.lower.set_xattr("low", "user.large", &value);
    let m = bed.mount();
    assert_eq!(m.xattr("low", "user.large").as_ref(), Some(&value));
    m.append("low", b"more");
    assert_eq!(bed.upper.xattr("low", "user.large").as_ref(), Some(&value));
    refused(
        Errno::TOOBIG,
        setxattr(m.at("low"), "user.x", &[0; 65537], XattrFlags::empty()),
    );
}

fn buffers_too_small(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.set_xattr("low", "user.note", b"value");
    bed.lower
        .set_xattr("low", "trusted.overlay.private", b"hidden");
    let m = bed.mount();
    let (size, list_size) = sizes(&m, "low");
    assert_eq!(size, 5);
    assert!(list_size >= "user.note\0".len());
    refused(
        Errno::RANGE,
        getxattr(m.at("low"), "user.note", &mut [0_u8; 4]),
    );
    refused(Errno::RANGE, listxattr(m.at("low"), &mut [0_u8; 4]));
}

/// What is told without a buffer: how long the attribute and the list are.
fn sizes(m: &Dir, name: &str) -> (usize, usize) {
    let path = must(
        "path",
        std::ffi::CString::new(m.at(name).into_os_string().into_encoded_bytes()),
    );
    let key = c"user.note".as_ptr();
    // SAFETY: the strings end with a zero, and no buffer is given.
    let sizes = unsafe {
        [
            libc::getxattr(path.as_ptr(), key, std::ptr::null_mut(), 0),
            libc::listxattr(path.as_ptr(), std::ptr::null_mut(), 0),
        ]
    };
    let [size, list_size] = sizes.map(|size| usize::try_from(size).expect("a size"));
    (size, list_size)
}

fn of_what_is_not_there(bed: &Bed) {
    let (m, names) = files(bed);
    for name in names {
        refused(
            Errno::NODATA,
            getxattr(m.at(name), "user.none", &mut [0_u8; 4]),
        );
        refused(Errno::NODATA, removexattr(m.at(name), "user.none"));
    }
    refused(
        Errno::NOENT,
        getxattr(m.at("none"), "user.none", &mut [0_u8; 4]),
    );
}

fn removal_without_one_copies_nothing_up(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    refused(Errno::NODATA, removexattr(m.at("low"), "user.none"));
    assert!(!bed.upper.exists("low"));
}

fn reading_copies_nothing_up(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.set_xattr("low", "user.note", b"value");
    let m = bed.mount();
    assert!(m.xattr("low", "user.note").is_some());
    m.xattr_names("low");
    assert!(!bed.upper.exists("low"));
}

/// Attributes that layers carry for the overlay's own use.
const PRIVATE: [&str; 3] = [
    "trusted.overlay.opaque",
    "trusted.overlay.origin",
    "trusted.overlay.something",
];

fn those_of_the_format_are_hidden(bed: &Bed) {
    for layer in [bed.lower.sub("low"), bed.upper.sub("up")] {
        layer.file("file", "content");
        layer.sub("dir");
        for key in PRIVATE {
            layer.set_xattr("file", key, b"value");
        }
        layer.set_xattr("dir", "trusted.overlay.something", b"value");
    }
    let m = bed.mount();
    for dir in ["low", "up"] {
        for name in ["file", "dir"] {
            let path = format!("{dir}/{name}");
            let listed = m.xattr_names(&path);
            assert!(
                !listed.iter().any(|key| key.starts_with("trusted.overlay.")),
                "{path}: {listed:?}"
            );
            for key in PRIVATE {
                assert_eq!(m.xattr(&path, key), None, "{path}: {key}");
            }
        }
    }
    // Nor are they copied up, except those that the overlay makes itself.
    m.append("low/file", b"more");
    assert_eq!(
        bed.upper.xattr("low/file", "trusted.overlay.something"),
        None
    );
    assert_eq!(bed.upper.xattr("low/file", "trusted.overlay.opaque"), None);
}

fn those_of_the_format_are_escaped_when_set(bed: &Bed) {
    let (m, names) = files(bed);
    for name in names {
        m.set_xattr(name, "trusted.overlay.opaque", b"mine");
        assert_eq!(
            m.xattr(name, "trusted.overlay.opaque").as_deref(),
            Some(&b"mine"[..])
        );
        assert!(m
            .xattr_names(name)
            .contains(&"trusted.overlay.opaque".to_owned()));
        assert_eq!(bed.upper.xattr(name, "trusted.overlay.opaque"), None);
        assert_eq!(
            bed.upper
                .xattr(name, "trusted.overlay.overlay.opaque")
                .as_deref(),
            Some(&b"mine"[..])
        );
        m.remove_xattr(name, "trusted.overlay.opaque");
        assert_eq!(
            bed.upper.xattr(name, "trusted.overlay.overlay.opaque"),
            None
        );
    }
}

fn user_attributes_need_rights(bed: &Bed) {
    bed.lower.file_mode("private", "content", 0o600);
    bed.lower.set_xattr("private", "user.note", b"value");
    bed.lower.file_mode("readable", "content", 0o644);
    bed.lower.set_xattr("readable", "user.note", b"value");
    bed.lower.file_mode("writable", "content", 0o666);
    let m = bed.mount();
    as_user(USER, || {
        let set = |name| setxattr(m.at(name), "user.note", b"new", XattrFlags::empty());
        refused(
            Errno::ACCESS,
            getxattr(m.at("private"), "user.note", &mut [0_u8; 8]),
        );
        assert_eq!(
            m.xattr("readable", "user.note").as_deref(),
            Some(&b"value"[..])
        );
        refused(Errno::ACCESS, set("readable"));
        must("setxattr", set("writable"));
    });
    assert!(!bed.upper.exists("readable"));
    assert_eq!(
        bed.upper.xattr("writable", "user.note").as_deref(),
        Some(&b"new"[..])
    );
}

fn of_special_files(bed: &Bed) {
    bed.lower
        .node("fifo", rustix::fs::FileType::Fifo, 0o644, (0, 0));
    let m = bed.mount();
    refused(
        Errno::PERM,
        setxattr(m.at("fifo"), "user.note", b"value", XattrFlags::empty()),
    );
    m.set_xattr("fifo", "trusted.note", b"value");
    assert_eq!(
        bed.upper.xattr("fifo", "trusted.note").as_deref(),
        Some(&b"value"[..])
    );
}

fn of_symlinks(bed: &Bed) {
    bed.lower.file("target", "content");
    bed.lower.symlink("target", "link");
    bed.lower.set_xattr("link", "trusted.note", b"of the link");
    bed.lower
        .set_xattr("target", "trusted.note", b"of the target");
    let m = bed.mount();
    let mut value = [0_u8; 32];
    let length = must(
        "lgetxattr",
        lgetxattr(m.at("link"), "trusted.note", &mut value),
    );
    assert_eq!(&value[..length], b"of the link");
    let length = must(
        "getxattr",
        getxattr(m.at("link"), "trusted.note", &mut value),
    );
    assert_eq!(&value[..length], b"of the target");
    m.chown("link", 1, 1);
    assert_eq!(
        bed.upper.xattr("link", "trusted.note").as_deref(),
        Some(&b"of the link"[..])
    );
}

fn names_that_are_refused(bed: &Bed) {
    let (m, names) = files(bed);
    for name in names {
        let set = |key: &str| setxattr(m.at(name), key, b"value", XattrFlags::empty());
        refused(Errno::OPNOTSUPP, set("nonsense.note"));
        refused(Errno::RANGE, set(&format!("user.{}", "n".repeat(300))));
    }
}
