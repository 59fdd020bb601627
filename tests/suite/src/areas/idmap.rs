// SPDX-License-Identifier: GPL-2.0

//! Mounts that show owners by other numbers: of the layers, and of the overlay.
//!
//! A layer's owners are those that its mount shows. What the overlay shows is
//! mapped once more by the overlay's own mount.

use rustix::fs::{
    chownat, lsetxattr, mkdir, symlink, AtFlags, FileType, Gid, Mode, Uid, XattrFlags, CWD,
};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::acl::{encode, Who, ACCESS, DEFAULT};
use crate::support::dir::Dir;
use crate::support::idmap::{self, Ranges};
use crate::support::image::CAPABILITY;
use crate::support::must::{must, refused};
use crate::support::process::as_user;

tests! {
    EVERYWHERE:
        owners_of_a_lower_layer,
        owners_of_an_upper_layer,
        lists_of_a_lower_layer,
        lists_of_an_upper_layer,
        owners_through_the_overlay,
        lists_through_the_overlay,
        creation_through_the_overlay;
    TWICE:
        rights_in_a_lower_layer,
        rights_in_an_upper_layer,
        rights_through_the_overlay,
        unknown_owners_are_not_copied,
        unknown_owners_of_upper,
        all_layers_alike,
        layers_and_overlay,
        changes_through_the_overlay,
        default_lists_are_inherited,
        default_lists_through_the_overlay,
        a_set_group_id_directory,
        set_id_bits_and_capabilities,
        a_capability_of_a_lower_layer,
        sticky_directories,
        old_descriptors,
        lists_without_copy_up;
}

/// Users and groups of the filesystem from 1000 on are shown from 11000 on; root
/// is root.
const SHIFT: Ranges<'static> = &[(0, 0, 1), (1000, 11_000, 1000)];

#[track_caller]
fn mount_over(bed: &Bed, lower: &Dir, upper: &Dir, work: &Dir) -> Dir {
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    must("mount", bed.try_mount(&options))
}

/// Upper and work directory, which have to be on one mount, seen through a mount.
#[track_caller]
fn shifted_upper(bed: &Bed) -> (Dir, Dir) {
    let layers = Dir::new(bed.upper.path().parent().expect("a parent"));
    let shifted = idmap::mount(bed, &layers, "shifted-upper", SHIFT);
    (shifted.join("u"), shifted.join("w"))
}

#[track_caller]
fn shifted_lower(bed: &Bed) -> Dir {
    idmap::mount(bed, &bed.lower, "shifted-lower", SHIFT)
}

#[track_caller]
fn owners(dir: &Dir, name: &str) -> (u32, u32) {
    let stat = dir.stat(name);
    (stat.st_uid, stat.st_gid)
}

fn list_of(user: u32) -> Vec<u8> {
    encode(&[
        (Who::Owner, 6),
        (Who::User(user), 6),
        (Who::Group, 4),
        (Who::Mask, 6),
        (Who::Others, 0),
    ])
}

fn default_list_of(user: u32) -> Vec<u8> {
    encode(&[
        (Who::Owner, 7),
        (Who::User(user), 7),
        (Who::Group, 5),
        (Who::Mask, 7),
        (Who::Others, 0),
    ])
}

fn make_kinds(layer: &Dir, uid: u32, gid: u32) {
    layer.file("file", "content");
    layer.sub("dir").file("inside", "");
    layer.symlink("target", "link");
    layer.node("fifo", FileType::Fifo, 0o644, (0, 0));
    for name in ["file", "dir", "dir/inside", "link", "fifo"] {
        layer.chown(name, uid, gid);
    }
}

const KINDS: [&str; 5] = ["file", "dir", "dir/inside", "link", "fifo"];

fn owners_of_a_lower_layer(bed: &Bed) {
    make_kinds(&bed.lower, 1001, 1002);
    let m = mount_over(bed, &shifted_lower(bed), &bed.upper, &bed.work);
    for name in KINDS {
        assert_eq!(owners(&m, name), (11_001, 11_002), "{name}");
    }
    assert_eq!(owners(&m, ""), owners(&bed.upper, ""));
    for name in KINDS {
        m.set_times(name, (1, 0), (2, 0));
        assert_eq!(owners(&m, name), (11_001, 11_002), "{name} copied");
        assert_eq!(
            owners(&bed.upper, name),
            (11_001, 11_002),
            "{name} in upper"
        );
    }
    assert_eq!(owners(&bed.lower, "file"), (1001, 1002));
}

fn owners_of_an_upper_layer(bed: &Bed) {
    make_kinds(&bed.upper, 1001, 1002);
    for name in ["low", "changed"] {
        bed.lower.file(name, "content");
        bed.lower.chown(name, 11_005, 11_006);
    }
    let (upper, work) = shifted_upper(bed);
    let m = mount_over(bed, &bed.lower, &upper, &work);
    for name in KINDS {
        assert_eq!(owners(&m, name), (11_001, 11_002), "{name}");
    }
    m.append("low", b", more");
    assert_eq!(owners(&m, "low"), (11_005, 11_006));
    assert_eq!(owners(&bed.upper, "low"), (1005, 1006));
    m.chown("changed", 11_007, 11_008);
    assert_eq!(owners(&m, "changed"), (11_007, 11_008));
    assert_eq!(owners(&bed.upper, "changed"), (1007, 1008));
    m.file("new", "");
    assert_eq!(owners(&bed.upper, "new"), (0, 0));
}

fn lists_of_a_lower_layer(bed: &Bed) {
    bed.lower.file_mode("file", "content", 0o640);
    bed.lower.set_xattr("file", ACCESS, &list_of(1005));
    bed.lower
        .sub("dir")
        .set_xattr("", DEFAULT, &default_list_of(1005));
    let m = mount_over(bed, &shifted_lower(bed), &bed.upper, &bed.work);
    let (file, dir) = (list_of(11_005), default_list_of(11_005));
    assert_eq!(m.xattr("file", ACCESS).as_ref(), Some(&file));
    assert_eq!(m.xattr("dir", DEFAULT).as_ref(), Some(&dir));
    m.append("file", b", more");
    m.file("dir/new", "");
    for at in [&m, &bed.upper] {
        assert_eq!(at.xattr("file", ACCESS).as_ref(), Some(&file));
        assert_eq!(at.xattr("dir", DEFAULT).as_ref(), Some(&dir));
    }
    // The layer's own list is not touched.
    assert_eq!(bed.lower.xattr("file", ACCESS), Some(list_of(1005)));
}

fn lists_of_an_upper_layer(bed: &Bed) {
    bed.upper.file_mode("up", "content", 0o640);
    bed.upper.set_xattr("up", ACCESS, &list_of(1005));
    bed.lower.file_mode("low", "content", 0o640);
    bed.lower.set_xattr("low", ACCESS, &list_of(11_005));
    bed.lower.file_mode("plain", "content", 0o640);
    let (upper, work) = shifted_upper(bed);
    let m = mount_over(bed, &bed.lower, &upper, &work);
    assert_eq!(m.xattr("up", ACCESS), Some(list_of(11_005)));
    m.append("low", b", more");
    assert_eq!(m.xattr("low", ACCESS), Some(list_of(11_005)));
    assert_eq!(bed.upper.xattr("low", ACCESS), Some(list_of(1005)));
    for name in ["up", "plain"] {
        m.set_xattr(name, ACCESS, &list_of(11_006));
        assert_eq!(m.xattr(name, ACCESS), Some(list_of(11_006)));
        assert_eq!(bed.upper.xattr(name, ACCESS), Some(list_of(1006)));
        m.remove_xattr(name, ACCESS);
        assert_eq!(bed.upper.xattr(name, ACCESS), None);
    }
}

fn rights_in_a_lower_layer(bed: &Bed) {
    bed.lower.file_mode("own", "content", 0o600);
    bed.lower.chown("own", 1005, 1005);
    bed.lower.file_mode("listed", "content", 0o640);
    bed.lower.set_xattr("listed", ACCESS, &list_of(1005));
    let m = mount_over(bed, &shifted_lower(bed), &bed.upper, &bed.work);
    as_user(1005, || {
        for name in ["own", "listed"] {
            refused(Errno::ACCESS, std::fs::read(m.at(name)));
        }
    });
    as_user(11_005, || {
        for name in ["own", "listed"] {
            assert_eq!(m.text(name), "content");
            m.append(name, b", more");
        }
        m.chmod("own", 0o640);
    });
    assert_eq!(owners(&m, "own"), (11_005, 11_005));
    as_user(1005, || {
        refused(Errno::ACCESS, std::fs::read(m.at("listed")))
    });
}

fn rights_in_an_upper_layer(bed: &Bed) {
    bed.upper.chmod("", 0o777);
    bed.upper.file_mode("own", "content", 0o600);
    bed.upper.chown("own", 1005, 1005);
    bed.upper.file_mode("listed", "content", 0o640);
    bed.upper.set_xattr("listed", ACCESS, &list_of(1005));
    let (upper, work) = shifted_upper(bed);
    let m = mount_over(bed, &bed.lower, &upper, &work);
    as_user(1005, || {
        for name in ["own", "listed"] {
            refused(Errno::ACCESS, std::fs::read(m.at(name)));
        }
        // No user of the filesystem is this one.
        refused(Errno::OVERFLOW, std::fs::write(m.at("nobody's"), ""));
    });
    as_user(11_005, || {
        m.append("own", b", more");
        m.append("listed", b", more");
        m.file("new", "");
        m.sub("new-dir").file("inside", "");
        m.symlink("target", "new-link");
    });
    for name in ["new", "new-dir", "new-dir/inside", "new-link"] {
        assert_eq!(owners(&m, name), (11_005, 11_005), "{name}");
        assert_eq!(owners(&bed.upper, name), (1005, 1005), "{name}");
    }
}

const NOBODY: u32 = 65_534;

fn unknown_owners_are_not_copied(bed: &Bed) {
    bed.lower.file("unknown", "content");
    bed.lower.chown("unknown", 5000, 5000);
    bed.lower.file("group", "content");
    bed.lower.chown("group", 1005, 5000);
    let m = mount_over(bed, &shifted_lower(bed), &bed.upper, &bed.work);
    assert_eq!(owners(&m, "unknown"), (NOBODY, NOBODY));
    assert_eq!(owners(&m, "group"), (11_005, NOBODY));
    for name in ["unknown", "group"] {
        assert_eq!(m.text(name), "content");
        refused(
            Errno::ACCESS,
            std::fs::OpenOptions::new().append(true).open(m.at(name)),
        );
        refused(Errno::OVERFLOW, rustix::fs::unlink(m.at(name)));
        let mode = Mode::from_raw_mode(0o600);
        assert!(rustix::fs::chmod(m.at(name), mode).is_err());
        assert!(rustix::fs::link(m.at(name), m.at("link")).is_err());
        assert!(!bed.upper.exists(name));
    }
}

fn unknown_owners_of_upper(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.chown("low", 1005, 1005);
    bed.upper.file("up", "content");
    bed.upper.chown("up", 5000, 5000);
    let (upper, work) = shifted_upper(bed);
    let m = mount_over(bed, &bed.lower, &upper, &work);
    assert_eq!(owners(&m, "up"), (NOBODY, NOBODY));
    assert_eq!(owners(&m, "low"), (1005, 1005));
    // Upper's mount has no number for the owner.
    refused(
        Errno::OVERFLOW,
        std::fs::OpenOptions::new().append(true).open(m.at("low")),
    );
    assert!(!bed.upper.exists("low"));
    let user = Some(Uid::from_raw(1005));
    refused(
        Errno::OVERFLOW,
        chownat(CWD, m.at("up"), user, None, AtFlags::empty()),
    );
    bed.umount();
    crate::harness::bed::assert_work_is_empty(&bed.work);
}

fn all_layers_alike(bed: &Bed) {
    make_kinds(&bed.lower, 1001, 1002);
    bed.lower.set_xattr("file", ACCESS, &list_of(1005));
    let (upper, work) = shifted_upper(bed);
    let m = mount_over(bed, &shifted_lower(bed), &upper, &work);
    for name in KINDS {
        m.set_times(name, (1, 0), (2, 0));
        assert_eq!(owners(&m, name), (11_001, 11_002), "{name}");
        assert_eq!(owners(&bed.upper, name), (1001, 1002), "{name}");
    }
    assert_eq!(m.xattr("file", ACCESS), Some(list_of(11_005)));
    assert_eq!(bed.upper.xattr("file", ACCESS), Some(list_of(1005)));
}

/// A lower, an upper and a copied-up file, and the overlay through a mount.
fn shifted_overlay(bed: &Bed) -> (Dir, Dir) {
    for (layer, prefix) in [
        (&bed.lower, "low-"),
        (&bed.upper, "up-"),
        (&bed.lower, "copied-"),
    ] {
        layer.file_mode(&format!("{prefix}file"), "content", 0o640);
        layer.sub(&format!("{prefix}dir"));
        for kind in ["file", "dir"] {
            layer.chown(&format!("{prefix}{kind}"), 1001, 1002);
        }
    }
    bed.upper.chmod("", 0o777);
    let m = bed.mount();
    for kind in ["file", "dir"] {
        m.set_times(&format!("copied-{kind}"), (1, 0), (2, 0));
    }
    let shifted = idmap::mount(bed, &m, "shifted", SHIFT);
    (m, shifted)
}

const PREFIXES: [&str; 3] = ["low-", "up-", "copied-"];

fn owners_through_the_overlay(bed: &Bed) {
    let (m, shifted) = shifted_overlay(bed);
    for prefix in PREFIXES {
        for kind in ["file", "dir"] {
            let name = format!("{prefix}{kind}");
            assert_eq!(owners(&m, &name), (1001, 1002), "{name}");
            assert_eq!(owners(&shifted, &name), (11_001, 11_002), "{name}");
            shifted.chown(&name, 11_003, 11_004);
            assert_eq!(owners(&m, &name), (1003, 1004), "{name}");
            assert_eq!(owners(&shifted, &name), (11_003, 11_004), "{name}");
            assert_eq!(owners(&bed.upper, &name), (1003, 1004), "{name}");
            let user = Some(Uid::from_raw(1005));
            refused(
                Errno::OVERFLOW,
                chownat(CWD, shifted.at(&name), user, None, AtFlags::empty()),
            );
            m.chown(&name, 7000, 7000);
            assert_eq!(owners(&shifted, &name), (NOBODY, NOBODY), "{name}");
        }
    }
    assert_eq!(owners(&shifted, ""), (0, 0));
}

fn lists_through_the_overlay(bed: &Bed) {
    let (m, shifted) = shifted_overlay(bed);
    for prefix in PREFIXES {
        let name = format!("{prefix}file");
        shifted.set_xattr(&name, ACCESS, &list_of(11_005));
        assert_eq!(shifted.xattr(&name, ACCESS), Some(list_of(11_005)));
        assert_eq!(m.xattr(&name, ACCESS), Some(list_of(1005)));
        assert_eq!(bed.upper.xattr(&name, ACCESS), Some(list_of(1005)));
        m.set_xattr(&name, ACCESS, &list_of(1006));
        assert_eq!(shifted.xattr(&name, ACCESS), Some(list_of(11_006)));
        let unknown = lsetxattr(
            shifted.at(&name),
            ACCESS,
            &list_of(1006),
            XattrFlags::empty(),
        );
        refused(Errno::INVAL, unknown);
        shifted.remove_xattr(&name, ACCESS);
        assert_eq!(m.xattr(&name, ACCESS), None);
    }
}

fn creation_through_the_overlay(bed: &Bed) {
    let (m, shifted) = shifted_overlay(bed);
    as_user(11_005, || {
        shifted.file("file", "content");
        shifted.sub("dir").file("inside", "");
        shifted.symlink("target", "link");
        shifted.node("fifo", FileType::Fifo, 0o644, (0, 0));
    });
    shifted.file("of-root", "");
    for name in KINDS {
        assert_eq!(owners(&shifted, name), (11_005, 11_005), "{name}");
        assert_eq!(owners(&m, name), (1005, 1005), "{name}");
        assert_eq!(owners(&bed.upper, name), (1005, 1005), "{name}");
    }
    assert_eq!(owners(&m, "of-root"), (0, 0));
    as_user(1005, || {
        refused(Errno::OVERFLOW, std::fs::write(shifted.at("none"), ""));
        refused(Errno::OVERFLOW, mkdir(shifted.at("none"), Mode::RWXU));
        refused(Errno::OVERFLOW, symlink("target", shifted.at("none")));
    });
    assert!(!bed.upper.exists("none"));
    bed.assert_work_is_empty();
}

fn rights_through_the_overlay(bed: &Bed) {
    let (m, shifted) = shifted_overlay(bed);
    for prefix in PREFIXES {
        let name = format!("{prefix}file");
        as_user(1001, || {
            refused(Errno::ACCESS, std::fs::read(shifted.at(&name)))
        });
        as_user(11_001, || {
            refused(Errno::ACCESS, std::fs::read(m.at(&name)));
            assert_eq!(shifted.text(&name), "content");
            shifted.append(&name, b", more");
            shifted.chmod(&name, 0o600);
            shifted.set_times(&name, (1, 0), (2, 0));
        });
        assert_eq!(m.text(&name), "content, more");
        as_user(1001, || m.chmod(&name, 0o640));
        shifted.set_xattr(&name, ACCESS, &list_of(11_009));
        as_user(11_009, || shifted.append(&name, b"!"));
        as_user(1009, || m.append(&name, b"!"));
        as_user(1009, || {
            refused(Errno::ACCESS, std::fs::read(shifted.at(&name)))
        });
    }
}

fn changes_through_the_overlay(bed: &Bed) {
    let (m, shifted) = shifted_overlay(bed);
    as_user(11_001, || {
        for prefix in PREFIXES {
            let name = format!("{prefix}file");
            let moved = format!("{prefix}dir/moved");
            shifted.link(&name, &format!("{prefix}link"));
            shifted.rename(&name, &moved);
            shifted.set_xattr(&moved, "user.note", b"value");
            shifted.write_at(&moved, 0, b"C");
            shifted.unlink(&format!("{prefix}link"));
            let file = shifted.open_temporary(&format!("{prefix}dir"));
            must("write", rustix::io::write(file, b"temporary"));
        }
    });
    for prefix in PREFIXES {
        let moved = format!("{prefix}dir/moved");
        assert_eq!(owners(&m, &moved), (1001, 1002));
        assert_eq!(m.text(&moved), "Content");
    }
}

fn layers_and_overlay(bed: &Bed) {
    make_kinds(&bed.lower, 1001, 1002);
    bed.lower.set_xattr("file", ACCESS, &list_of(1005));
    let (upper, work) = shifted_upper(bed);
    let m = mount_over(bed, &shifted_lower(bed), &upper, &work);
    let back = &[(0, 0, 1), (11_000, 21_000, 1000)];
    let shifted = idmap::mount(bed, &m, "twice", back);
    assert_eq!(owners(&shifted, "file"), (21_001, 21_002));
    assert_eq!(shifted.xattr("file", ACCESS), Some(list_of(21_005)));
    as_user(21_005, || shifted.append("file", b", more"));
    as_user(21_001, || shifted.append("file", b", more"));
    as_user(11_001, || {
        refused(Errno::ACCESS, std::fs::read(shifted.at("file")))
    });
    shifted.chown("file", 21_003, 21_004);
    assert_eq!(owners(&bed.upper, "file"), (1003, 1004));
    assert_eq!(bed.upper.xattr("file", ACCESS), Some(list_of(1005)));
    as_user(21_001, || shifted.file("dir/new", ""));
    assert_eq!(owners(&bed.upper, "dir/new"), (1001, 1001));
}

fn default_lists_are_inherited(bed: &Bed) {
    bed.lower
        .sub("low")
        .set_xattr("", DEFAULT, &default_list_of(1005));
    bed.lower.file("low/gone", "");
    let (upper, work) = shifted_upper(bed);
    let m = mount_over(bed, &shifted_lower(bed), &upper, &work);
    m.unlink("low/gone");
    // One is made in its place, one over a whiteout.
    for name in ["new", "gone"] {
        drop(m.join("low").create(name, 0o660));
        let want = |user| {
            encode(&[
                (Who::Owner, 6),
                (Who::User(user), 7),
                (Who::Group, 5),
                (Who::Mask, 6),
                (Who::Others, 0),
            ])
        };
        let name = format!("low/{name}");
        assert_eq!(m.xattr(&name, ACCESS), Some(want(11_005)), "{name}");
        assert_eq!(bed.upper.xattr(&name, ACCESS), Some(want(1005)), "{name}");
    }
    m.sub("low/dir");
    assert_eq!(m.xattr("low/dir", DEFAULT), Some(default_list_of(11_005)));
    assert_eq!(
        bed.upper.xattr("low/dir", DEFAULT),
        Some(default_list_of(1005))
    );
}

fn default_lists_through_the_overlay(bed: &Bed) {
    let (m, shifted) = shifted_overlay(bed);
    for prefix in PREFIXES {
        let dir = format!("{prefix}dir");
        shifted.set_xattr(&dir, DEFAULT, &default_list_of(11_005));
        assert_eq!(m.xattr(&dir, DEFAULT), Some(default_list_of(1005)));
        as_user(11_001, || {
            drop(shifted.create(&format!("{dir}/new"), 0o600))
        });
        let new = format!("{dir}/new");
        assert!(m.xattr(&new, ACCESS).is_some());
        assert_eq!(
            shifted.xattr(&new, ACCESS).map(|list| list.len()),
            Some(4 + 5 * 8)
        );
        assert_eq!(owners(&m, &new), (1001, 1001));
    }
}

fn a_set_group_id_directory(bed: &Bed) {
    let (m, shifted) = shifted_overlay(bed);
    for prefix in PREFIXES {
        let dir = format!("{prefix}dir");
        m.chmod(&dir, 0o2777);
        as_user(11_008, || {
            shifted.file(&format!("{dir}/new"), "");
            shifted.sub_mode(&format!("{dir}/sub"), 0o755);
        });
        assert_eq!(owners(&m, &format!("{dir}/new")), (1008, 1002));
        assert_eq!(owners(&shifted, &format!("{dir}/sub")), (11_008, 11_002));
        assert_eq!(owners(&bed.upper, &format!("{dir}/sub")), (1008, 1002));
    }
}

fn set_id_bits_and_capabilities(bed: &Bed) {
    let (m, shifted) = shifted_overlay(bed);
    for prefix in PREFIXES {
        let name = format!("{prefix}file");
        m.chmod(&name, 0o6755);
        m.set_xattr(&name, "security.capability", CAPABILITY);
        as_user(11_001, || shifted.append(&name, b"x"));
        assert_eq!(m.mode(&name), 0o755, "{name}");
        assert_eq!(m.xattr(&name, "security.capability"), None);
        // Not of the group, so the bit cannot be set.
        as_user(11_001, || shifted.chmod(&name, 0o2755));
        assert_eq!(m.mode(&name), 0o755, "{name}");
    }
}

/// What `getxattr` shows of a capability depends on the mount.
fn a_capability_of_a_lower_layer(bed: &Bed) {
    let key = "security.capability";
    bed.lower.file("file", "content");
    bed.lower.set_xattr("file", key, CAPABILITY);
    let lower = shifted_lower(bed);
    let shown = lower.xattr("file", key);
    let m = mount_over(bed, &lower, &bed.upper, &bed.work);
    assert_eq!(m.xattr("file", key), shown);
    m.chmod("file", 0o700);
    assert_eq!(m.xattr("file", key), shown);
    assert_eq!(bed.upper.xattr("file", key), shown);
}

fn sticky_directories(bed: &Bed) {
    let (m, shifted) = shifted_overlay(bed);
    for prefix in PREFIXES {
        let dir = format!("{prefix}dir");
        m.chmod(&dir, 0o1777);
        as_user(11_008, || shifted.file(&format!("{dir}/new"), ""));
        as_user(11_009, || {
            refused(
                Errno::PERM,
                rustix::fs::unlink(shifted.at(&format!("{dir}/new"))),
            );
        });
        as_user(11_008, || shifted.unlink(&format!("{dir}/new")));
    }
}

fn old_descriptors(bed: &Bed) {
    let (m, shifted) = shifted_overlay(bed);
    let file = shifted.open_read("low-file");
    m.append("low-file", b", more");
    let stat = must("fstat", rustix::fs::fstat(&file));
    assert_eq!((stat.st_uid, stat.st_gid), (11_001, 11_002));
    let (user, group) = (Some(Uid::from_raw(11_003)), Some(Gid::from_raw(11_003)));
    must("fchown", rustix::fs::fchown(&file, user, group));
    assert_eq!(owners(&m, "low-file"), (1003, 1003));
}

fn lists_without_copy_up(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.sub("dir");
    let m = mount_over(bed, &shifted_lower(bed), &bed.upper, &bed.work);
    // Nothing to remove.
    for (name, kind) in [("low", ACCESS), ("dir", DEFAULT)] {
        refused(Errno::NODATA, rustix::fs::lremovexattr(m.at(name), kind));
        assert_eq!(m.xattr(name, kind), None);
    }
    assert_eq!(bed.upper.names(""), [""; 0]);
}
