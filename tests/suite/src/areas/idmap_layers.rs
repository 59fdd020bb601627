// SPDX-License-Identifier: GPL-2.0

//! What is done in layers whose mounts show other owners: every operation goes by
//! the mount of the layer, and mounts without a place are layers too.

use std::os::fd::OwnedFd;

use rustix::fs::{renameat_with, FileType, Mode, OFlags, RenameFlags, CWD};
use rustix::io::Errno;

use crate::harness::bed::{assert_work_is_empty, Bed};
use crate::support::acl::{with_user, ACCESS, DEFAULT};
use crate::support::dir::Dir;
use crate::support::idmap::{self, Ranges};
use crate::support::image::CAPABILITY;
use crate::support::must::{must, refused};
use crate::support::newmount::Context;
use crate::support::process::{as_user, become_user, in_child};

tests! {
    EVERYWHERE:
        names_are_changed,
        files_without_a_name,
        whiteouts,
        mounts_without_a_place,
        attributes_are_changed,
        capabilities;
    TWICE:
        upper_without_a_place,
        groups,
        a_set_group_id_directory,
        sticky_directories,
        set_id_bits,
        users_attributes,
        layers_with_different_owners,
        an_index;
}

/// Users and groups of the filesystem from 1000 on are shown from 11000 on; root
/// is root.
const SHIFT: Ranges<'static> = &[(0, 0, 1), (1000, 11_000, 1000)];
/// The same from 21000 on.
const FARTHER: Ranges<'static> = &[(0, 0, 1), (1000, 21_000, 1000)];

/// A user as upper's mount shows it, and as it is stored.
const SHOWN: u32 = 11_005;
const STORED: u32 = 1005;

#[track_caller]
fn owners(dir: &Dir, name: &str) -> (u32, u32) {
    let stat = dir.stat(name);
    (stat.st_uid, stat.st_gid)
}

/// Mounts with the topmost lower layer and upper each shown by other owners.
#[track_caller]
fn mount(bed: &Bed, more: &str) -> Dir {
    let layers = Dir::new(bed.upper.path().parent().expect("a parent"));
    let upper = idmap::mount(bed, &layers, "shifted-upper", SHIFT);
    let lower = idmap::mount(bed, &bed.lower, "shifted-lower", SHIFT);
    let options = format!(
        "lowerdir={lower},upperdir={},workdir={}{more}",
        upper.join("u"),
        upper.join("w")
    );
    must("mount", bed.try_mount(&options))
}

/// Objects of a user in a directory that everybody may write to.
fn objects(bed: &Bed) {
    for (layer, prefix) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.chmod("", 0o777);
        let dir = layer.sub_mode(prefix, 0o755);
        dir.file("file", "content");
        dir.file("gone", "content");
        dir.sub("dir").file("inside", "content");
        dir.symlink("target", "link");
        for name in ["", "file", "gone", "dir", "dir/inside", "link"] {
            dir.chown(name, STORED, STORED);
        }
    }
}

fn names_are_changed(bed: &Bed) {
    objects(bed);
    let m = mount(bed, "");
    as_user(STORED, || {
        for prefix in ["low", "up"] {
            let m = m.join(prefix);
            refused(Errno::ACCESS, rustix::fs::rename(m.at("file"), m.at("new")));
            refused(Errno::ACCESS, rustix::fs::unlink(m.at("file")));
        }
    });
    as_user(SHOWN, || {
        for prefix in ["low", "up"] {
            let m = m.join(prefix);
            m.link("file", "linked");
            m.rename("file", "renamed");
            m.rename("link", "dir/link");
            m.unlink("gone");
            m.file("gone", "again");
            m.sub("new").file("inside", "");
            m.rename("new", "newer");
            must(
                "exchange",
                renameat_with(
                    CWD,
                    m.at("renamed"),
                    CWD,
                    m.at("dir/inside"),
                    RenameFlags::EXCHANGE,
                ),
            );
        }
    });
    for prefix in ["low", "up"] {
        let upper = bed.upper.join(prefix);
        for name in [
            "linked",
            "renamed",
            "dir/link",
            "gone",
            "newer",
            "newer/inside",
            "dir/inside",
            "dir",
        ] {
            let name = format!("{prefix}/{name}");
            assert_eq!(owners(&m, &name), (SHOWN, SHOWN), "{name}");
            assert_eq!(owners(&bed.upper, &name), (STORED, STORED), "{name}");
        }
        assert_eq!(upper.stat("linked").st_ino, upper.stat("dir/inside").st_ino);
    }
}

fn files_without_a_name(bed: &Bed) {
    objects(bed);
    let m = mount(bed, "");
    as_user(STORED, || {
        let open = |dir: &str| {
            let flags = OFlags::TMPFILE | OFlags::RDWR;
            rustix::fs::open(m.at(dir), flags, Mode::RUSR)
        };
        for prefix in ["low", "up"] {
            refused(Errno::ACCESS, open(prefix));
        }
        // The directory is for everybody, but upper has no number for this user.
        refused(Errno::OVERFLOW, open(""));
    });
    as_user(SHOWN, || {
        for prefix in ["low", "up", ""] {
            let file = m.open_temporary(prefix);
            let stat = must("fstat", rustix::fs::fstat(&file));
            assert_eq!((stat.st_uid, stat.st_gid), (SHOWN, SHOWN));
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
            let at = m.join(prefix).at("named");
            must(
                "link",
                rustix::fs::linkat(CWD, path, CWD, at, rustix::fs::AtFlags::SYMLINK_FOLLOW),
            );
        }
    });
    for name in ["low/named", "up/named", "named"] {
        assert_eq!(owners(&bed.upper, name), (STORED, STORED), "{name}");
    }
}

fn whiteouts(bed: &Bed) {
    objects(bed);
    let m = mount(bed, "");
    as_user(SHOWN, || {
        m.unlink("low/file");
        std::fs::remove_dir_all(m.at("low/dir")).expect("remove a tree");
        m.sub("low/dir").file("new", "");
    });
    assert!(bed.upper.is_whiteout("low/file"));
    // Made by the mounter, and root is root.
    assert_eq!(owners(&bed.upper, "low/file"), (0, 0));
    assert_eq!(owners(&bed.upper, "low/dir"), (STORED, STORED));
    assert_eq!(m.names("low/dir"), ["new"]);
    assert_work_is_empty(&bed.work);
}

fn attributes_are_changed(bed: &Bed) {
    objects(bed);
    let m = mount(bed, "");
    for prefix in ["low", "up"] {
        let m = m.join(prefix);
        as_user(SHOWN, || {
            for name in ["file", "dir"] {
                m.chmod(name, 0o711);
                m.set_times(name, (1, 0), (2, 0));
                m.set_xattr(name, "user.note", b"value");
            }
            m.set_xattr("file", ACCESS, &with_user(11_009, 6));
            m.set_xattr("dir", DEFAULT, &with_user(11_009, 6));
            drop(m.create("dir/new", 0o666));
            must("truncate", m.open_rw("file").set_len(3));
        });
        as_user(11_009, || {
            assert_eq!(m.text("file"), "con");
        });
        m.chown("file", 11_007, 11_008);
        let upper = bed.upper.join(prefix);
        assert_eq!(owners(&upper, "file"), (1007, 1008));
        for name in ["file", "dir/new"] {
            assert_eq!(m.xattr(name, ACCESS), Some(with_user(11_009, 6)), "{name}");
            assert_eq!(upper.xattr(name, ACCESS), Some(with_user(1009, 6)));
        }
        assert_eq!(upper.xattr("dir", DEFAULT), Some(with_user(1009, 6)));
    }
}

const KEY: &str = "security.capability";

fn capabilities(bed: &Bed) {
    objects(bed);
    for (layer, prefix) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.set_xattr(&format!("{prefix}/gone"), KEY, CAPABILITY);
    }
    let shown = idmap::mount(bed, &bed.lower, "probe", SHIFT).xattr("low/gone", KEY);
    let m = mount(bed, "");
    for prefix in ["low", "up"] {
        let (file, gone) = (format!("{prefix}/file"), format!("{prefix}/gone"));
        m.set_xattr(&file, KEY, CAPABILITY);
        assert_eq!(m.xattr(&file, KEY).as_deref(), Some(CAPABILITY));
        assert_eq!(m.xattr(&gone, KEY), shown);
        m.chmod(&gone, 0o700);
        assert_eq!(m.xattr(&gone, KEY), shown);
        as_user(SHOWN, || m.append(&file, b"x"));
        assert_eq!(m.xattr(&file, KEY), None);
    }
}

fn groups(bed: &Bed) {
    objects(bed);
    for (layer, name) in [(&bed.lower, "low/file"), (&bed.upper, "up/file")] {
        layer.chown(name, 0, 1006);
        layer.chmod(name, 0o060);
    }
    let m = mount(bed, "");
    for name in ["low/file", "up/file"] {
        in_child(|| {
            become_user(SHOWN, 1006);
            refused(Errno::ACCESS, std::fs::read(m.at(name)));
        });
        in_child(|| {
            become_user(SHOWN, 11_006);
            m.append(name, b", more");
            assert_eq!(m.text(name), "content, more");
        });
        assert_eq!(owners(&bed.upper, name), (0, 1006));
    }
}

fn a_set_group_id_directory(bed: &Bed) {
    objects(bed);
    for (layer, name) in [(&bed.lower, "low/dir"), (&bed.upper, "up/dir")] {
        layer.chown(name, 0, 1006);
        layer.chmod(name, 0o2777);
    }
    let m = mount(bed, "");
    for prefix in ["low", "up"] {
        let dir = format!("{prefix}/dir");
        as_user(SHOWN, || {
            m.file(&format!("{dir}/new"), "");
            drop(m.join(&dir).create("set", 0o2775));
        });
        assert_eq!(owners(&m, &format!("{dir}/new")), (SHOWN, 11_006));
        assert_eq!(owners(&bed.upper, &format!("{dir}/new")), (STORED, 1006));
        // Not of the group.
        assert_eq!(m.mode(&format!("{dir}/set")), 0o755);
    }
}

fn sticky_directories(bed: &Bed) {
    objects(bed);
    for (layer, name) in [(&bed.lower, "low/dir"), (&bed.upper, "up/dir")] {
        layer.chown(name, 0, 0);
        layer.chmod(name, 0o1777);
    }
    let m = mount(bed, "");
    for prefix in ["low", "up"] {
        let inside = format!("{prefix}/dir/inside");
        for other in [STORED, 11_006] {
            as_user(other, || {
                refused(Errno::PERM, rustix::fs::unlink(m.at(&inside)));
            });
        }
        as_user(SHOWN, || m.unlink(&inside));
    }
}

fn set_id_bits(bed: &Bed) {
    objects(bed);
    for (layer, name) in [(&bed.lower, "low/file"), (&bed.upper, "up/file")] {
        layer.chmod(name, 0o6755);
    }
    let m = mount(bed, "");
    for name in ["low/file", "up/file"] {
        as_user(SHOWN, || {
            m.set_times(name, (1, 0), (2, 0));
            assert_eq!(m.mode(name), 0o6755, "{name}");
            m.append(name, b"x");
            assert_eq!(m.mode(name), 0o755, "{name}");
            m.chmod(name, 0o6755);
        });
        assert_eq!(bed.upper.mode(name), 0o6755);
    }
}

/// The overlay's own attributes are set by the mounter, whoever owns the objects.
fn users_attributes(bed: &Bed) {
    objects(bed);
    let m = mount(bed, ",userxattr");
    as_user(SHOWN, || {
        m.append("low/file", b", more");
        std::fs::remove_dir_all(m.at("low/dir")).expect("remove a tree");
        m.sub("low/dir");
    });
    let own = |path: &str, name: &str| bed.upper.xattr(path, &format!("user.overlay.{name}"));
    assert!(own("low/file", "origin").is_some());
    assert_eq!(own("low/dir", "opaque").as_deref(), Some(&b"y"[..]));
    assert_eq!(own("low", "impure").as_deref(), Some(&b"y"[..]));
    assert_eq!(owners(&bed.upper, "low/file"), (STORED, STORED));
}

/// Merged directories whose layers show one owner by different numbers.
fn layers_with_different_owners(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "top"), (&bed.below(1), "bottom")] {
        layer.sub("dir").file(name, "content");
        layer.file_mode(&format!("{name}-only"), "content", 0o600);
        for name in ["dir", &format!("dir/{name}"), &format!("{name}-only")] {
            layer.chown(name, STORED, STORED);
        }
    }
    let top = idmap::mount(bed, &bed.lower, "top", SHIFT);
    let bottom = idmap::mount(bed, &bed.below(1), "bottom", FARTHER);
    let options = format!(
        "lowerdir={top}:{bottom},upperdir={},workdir={}",
        bed.upper, bed.work
    );
    let m = must("mount", bed.try_mount(&options));
    assert_eq!(m.names("dir"), ["bottom", "top"]);
    let shown = [
        ("dir", 11_005),
        ("dir/top", 11_005),
        ("top-only", 11_005),
        ("dir/bottom", 21_005),
        ("bottom-only", 21_005),
    ];
    for (name, user) in shown {
        assert_eq!(owners(&m, name), (user, user), "{name}");
    }
    as_user(21_005, || {
        m.append("bottom-only", b", more");
        refused(Errno::ACCESS, std::fs::read(m.at("top-only")));
    });
    for (name, user) in shown {
        m.set_times(name, (1, 0), (2, 0));
        assert_eq!(owners(&m, name), (user, user), "{name}");
        assert_eq!(owners(&bed.upper, name), (user, user), "{name}");
    }
}

fn an_index(bed: &Bed) {
    objects(bed);
    bed.lower.link("low/file", "low/other");
    let m = mount(bed, ",index=on");
    as_user(SHOWN, || m.append("low/file", b", more"));
    assert_eq!(m.text("low/other"), "content, more");
    assert_eq!(m.stat("low/other").st_nlink, 2);
    assert_eq!(owners(&m, "low/other"), (SHOWN, SHOWN));
    as_user(SHOWN, || {
        m.append("low/other", b"!");
        m.unlink("low/file");
    });
    assert_eq!(owners(&bed.upper, "low/other"), (STORED, STORED));
}

/// Mounts with layers by descriptors, which are closed as soon as the filesystem is
/// there.
#[track_caller]
fn mount_by_descriptors(bed: &Bed, lower: Vec<OwnedFd>, upper: [OwnedFd; 2]) -> Dir {
    let context = Context::open(bed);
    for layer in &lower {
        must("lowerdir+", context.fd("lowerdir+", layer));
    }
    for (key, fd) in ["upperdir", "workdir"].into_iter().zip(&upper) {
        must(key, context.fd(key, fd));
    }
    must("create", context.create());
    drop((lower, upper));
    must("mount", context.attach(&bed.mnt))
}

fn mounts_without_a_place(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "top"), (&bed.below(1), "bottom")] {
        layer.sub("dir").file(name, "content");
        layer.node(&format!("{name}-fifo"), FileType::Fifo, 0o600, (0, 0));
        for name in ["dir", &format!("dir/{name}"), &format!("{name}-fifo")] {
            layer.chown(name, STORED, STORED);
        }
        layer.set_xattr(&format!("dir/{name}"), ACCESS, &with_user(1009, 6));
    }
    let lower = vec![
        idmap::detached(&bed.lower, SHIFT),
        idmap::detached(&bed.below(1), FARTHER),
    ];
    let upper = [&bed.upper, &bed.work].map(|dir| OwnedFd::from(dir.open("", OFlags::PATH)));
    let m = mount_by_descriptors(bed, lower, upper);
    for (name, user) in [("top", 11_005), ("bottom", 21_005)] {
        let file = format!("dir/{name}");
        assert_eq!(owners(&m, &file), (user, user));
        let list = with_user(user + 4, 6);
        assert_eq!(m.xattr(&file, ACCESS).as_ref(), Some(&list));
        as_user(user, || m.append(&file, b", more"));
        as_user(user + 4, || m.append(&file, b"!"));
        assert_eq!(m.text(&file), "content, more!");
        assert_eq!(owners(&bed.upper, &file), (user, user));
        assert_eq!(bed.upper.xattr(&file, ACCESS).as_ref(), Some(&list));
        let fifo = format!("{name}-fifo");
        m.set_times(&fifo, (1, 0), (2, 0));
        assert_eq!(owners(&bed.upper, &fifo), (user, user));
    }
    assert_eq!(m.names("dir"), ["bottom", "top"]);
}

fn upper_without_a_place(bed: &Bed) {
    objects(bed);
    let layers = Dir::new(bed.upper.path().parent().expect("a parent"));
    let tree = idmap::detached(&layers, SHIFT);
    let [upper, work] = ["u", "w"].map(|name| {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        must(
            "open",
            rustix::fs::openat(&tree, name, flags, Mode::empty()),
        )
    });
    let lower = vec![idmap::detached(&bed.lower, SHIFT)];
    let m = mount_by_descriptors(bed, lower, [upper, work]);
    drop(tree);
    as_user(SHOWN, || {
        for prefix in ["low", "up"] {
            let m = m.join(prefix);
            m.append("file", b", more");
            m.rename("file", "renamed");
            m.unlink("gone");
            m.sub("gone").file("new", "");
        }
    });
    for prefix in ["low", "up"] {
        for name in ["renamed", "gone", "gone/new"] {
            let name = format!("{prefix}/{name}");
            assert_eq!(owners(&m, &name), (SHOWN, SHOWN), "{name}");
            assert_eq!(owners(&bed.upper, &name), (STORED, STORED), "{name}");
        }
    }
}
