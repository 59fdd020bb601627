// SPDX-License-Identifier: GPL-2.0

//! Mounts of the overlay that show other owners: what a process does through one
//! is done with the numbers that it shows. See [`super::idmap`] for owners, ACLs and
//! rights as such.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    chownat, ioctl_getflags, ioctl_setflags, AtFlags, FileType, Gid, IFlags, Mode, OFlags, Uid, CWD,
};
use rustix::io::Errno;
use rustix::mount::{
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, FsMountFlags,
    FsOpenFlags, MountAttrFlags,
};

use crate::areas::userxattr::{own, ON};
use crate::harness::bed::Bed;
use crate::support::acl::{with_user, ACCESS, DEFAULT};
use crate::support::dir::Dir;
use crate::support::handle;
use crate::support::idmap::{self, Ranges};
use crate::support::image::CAPABILITY;
use crate::support::index;
use crate::support::must::{must, refused};
use crate::support::process::as_user;
use crate::support::userns::{give_layers, inside, BASE, CONTAINER};

tests! {
    EVERYWHERE:
        files_without_a_name,
        capabilities,
        with_users_attributes;
    DISKS: handles, names_of_an_indexed_file;
    ONE_FILESYSTEM: flags_of_files;
    TWICE:
        names_are_changed,
        over_whiteouts,
        attributes_of_users,
        truncation,
        several_at_once,
        without_a_place,
        in_a_user_namespace,
        a_container_of_the_host;
}

/// Users and groups of the overlay from 1000 on are shown from 11000 on; root is
/// root.
const SHIFT: Ranges<'static> = &[(0, 0, 1), (1000, 11_000, 1000)];

/// A user as the mount shows it, and as it is.
const SHOWN: u32 = 11_005;
const REAL: u32 = 1005;

#[track_caller]
fn owners(dir: &Dir, name: &str) -> (u32, u32) {
    let stat = dir.stat(name);
    (stat.st_uid, stat.st_gid)
}

/// A lower and an upper directory of a user, with objects in them.
#[track_caller]
fn objects(bed: &Bed, options: &str) -> (Dir, Dir) {
    for (layer, prefix) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        let dir = layer.sub(prefix);
        dir.file("file", "content");
        dir.file("gone", "content");
        dir.sub("dir").file("inside", "content");
        dir.symlink("target", "link");
        dir.node("fifo", FileType::Fifo, 0o644, (0, 0));
        for name in ["", "file", "gone", "dir", "dir/inside", "link", "fifo"] {
            dir.chown(name, REAL, REAL);
        }
    }
    let m = must(
        "mount",
        bed.try_mount(&format!("{}{options}", bed.options())),
    );
    let shifted = idmap::mount(bed, &m, "shifted", SHIFT);
    (m, shifted)
}

const PREFIXES: [&str; 2] = ["low", "up"];

fn names_are_changed(bed: &Bed) {
    let (m, shifted) = objects(bed, "");
    for prefix in PREFIXES {
        let at = shifted.join(prefix);
        as_user(REAL, || {
            refused(Errno::ACCESS, rustix::fs::unlink(at.at("file")));
            refused(
                Errno::ACCESS,
                rustix::fs::rename(at.at("file"), at.at("new")),
            );
        });
        as_user(SHOWN, || {
            at.link("file", "linked");
            at.rename("file", "dir/renamed");
            at.rename("link", "new-link");
            at.rename("fifo", "new-fifo");
            at.unlink("linked");
            std::fs::remove_file(at.at("gone")).expect("remove");
        });
        for name in ["dir/renamed", "new-link", "new-fifo", "dir"] {
            let name = format!("{prefix}/{name}");
            assert_eq!(owners(&m, &name), (REAL, REAL), "{name}");
            assert_eq!(owners(&shifted, &name), (SHOWN, SHOWN), "{name}");
        }
        let names = m.names(prefix);
        assert_eq!(names, ["dir", "new-fifo", "new-link"]);
    }
}

fn over_whiteouts(bed: &Bed) {
    let (m, shifted) = objects(bed, "");
    as_user(SHOWN, || {
        let at = shifted.join("low");
        for name in ["file", "gone", "link", "fifo"] {
            at.unlink(name);
        }
        std::fs::remove_dir_all(at.at("dir")).expect("remove a tree");
        at.file("file", "new");
        at.sub("gone").file("inside", "");
        at.symlink("new", "link");
        at.node("fifo", FileType::Fifo, 0o600, (0, 0));
        at.sub("dir");
    });
    for name in ["file", "gone", "gone/inside", "link", "fifo", "dir"] {
        let name = format!("low/{name}");
        assert_eq!(owners(&m, &name), (REAL, REAL), "{name}");
        assert_eq!(owners(&bed.upper, &name), (REAL, REAL), "{name}");
    }
    assert_eq!(m.names("low/dir"), [""; 0]);
}

fn files_without_a_name(bed: &Bed) {
    let (m, shifted) = objects(bed, "");
    for prefix in PREFIXES {
        as_user(SHOWN, || {
            let file = shifted.open_temporary(prefix);
            let stat = must("fstat", rustix::fs::fstat(&file));
            assert_eq!((stat.st_uid, stat.st_gid), (SHOWN, SHOWN));
            let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
            let at = shifted.join(prefix).at("named");
            must(
                "link",
                rustix::fs::linkat(CWD, path, CWD, at, AtFlags::SYMLINK_FOLLOW),
            );
        });
        let name = format!("{prefix}/named");
        assert_eq!(owners(&m, &name), (REAL, REAL), "{name}");
        assert_eq!(owners(&bed.upper, &name), (REAL, REAL), "{name}");
    }
}

fn attributes_of_users(bed: &Bed) {
    let (m, shifted) = objects(bed, "");
    for prefix in PREFIXES {
        for name in ["file", "dir"] {
            let name = format!("{prefix}/{name}");
            as_user(SHOWN, || shifted.set_xattr(&name, "user.note", b"value"));
            assert_eq!(m.xattr(&name, "user.note").as_deref(), Some(&b"value"[..]));
        }
        let file = format!("{prefix}/file");
        as_user(SHOWN, || {
            shifted.set_xattr(&file, ACCESS, &with_user(11_009, 6))
        });
        assert_eq!(m.xattr(&file, ACCESS), Some(with_user(1009, 6)));
        let dir = format!("{prefix}/dir");
        as_user(SHOWN, || {
            shifted.set_xattr(&dir, DEFAULT, &with_user(11_009, 6));
            drop(shifted.create(&format!("{dir}/new"), 0o666));
        });
        let new = format!("{dir}/new");
        assert_eq!(shifted.xattr(&new, ACCESS), Some(with_user(11_009, 6)));
        assert_eq!(bed.upper.xattr(&new, ACCESS), Some(with_user(1009, 6)));
    }
}

fn truncation(bed: &Bed) {
    let (m, shifted) = objects(bed, "");
    for prefix in PREFIXES {
        let name = format!("{prefix}/file");
        as_user(SHOWN, || {
            must("truncate", shifted.open_rw(&name).set_len(3));
            assert_eq!(shifted.text(&name), "con");
            shifted.file(&name, "new");
        });
        assert_eq!(m.text(&name), "new");
        assert_eq!(owners(&m, &name), (REAL, REAL));
    }
}

const KEY: &str = "security.capability";

fn capabilities(bed: &Bed) {
    let (m, shifted) = objects(bed, "");
    for prefix in PREFIXES {
        let name = format!("{prefix}/file");
        shifted.set_xattr(&name, KEY, CAPABILITY);
        assert_eq!(shifted.xattr(&name, KEY).as_deref(), Some(CAPABILITY));
        as_user(SHOWN, || shifted.append(&name, b"x"));
        assert_eq!(m.xattr(&name, KEY), None);
    }
}

/// `chattr` is for owners.
fn flags_of_files(bed: &Bed) {
    let (m, shifted) = objects(bed, "");
    for prefix in PREFIXES {
        let name = format!("{prefix}/file");
        let set = || {
            let file = shifted.open_read(&name);
            let flags = must("FS_IOC_GETFLAGS", ioctl_getflags(&file));
            ioctl_setflags(&file, flags | IFlags::NODUMP)
        };
        as_user(REAL, || refused(Errno::PERM, set()));
        as_user(SHOWN, || must("FS_IOC_SETFLAGS", set()));
        let flags = must("FS_IOC_GETFLAGS", ioctl_getflags(m.open_read(&name)));
        assert!(flags.contains(IFlags::NODUMP));
    }
}

fn several_at_once(bed: &Bed) {
    let (m, shifted) = objects(bed, "");
    let farther = idmap::mount(bed, &m, "farther", &[(0, 0, 1), (1000, 21_000, 1000)]);
    for prefix in PREFIXES {
        let name = format!("{prefix}/file");
        let (one, two) = (shifted.open_read(&name), farther.open_read(&name));
        as_user(21_005, || farther.append(&name, b", more"));
        as_user(SHOWN, || {
            shifted.append(&name, b"!");
            refused(Errno::ACCESS, std::fs::write(farther.at(&name), ""));
        });
        let owner = |file: &std::fs::File| must("fstat", rustix::fs::fstat(file)).st_uid;
        assert_eq!((owner(&one), owner(&two)), (SHOWN, 21_005));
        let change = |user: u32| {
            let user = Some(Uid::from_raw(user));
            rustix::fs::fchown(&two, user, Some(Gid::from_raw(21_006)))
        };
        refused(Errno::OVERFLOW, change(SHOWN));
        must("fchown", change(21_007));
        assert_eq!(owners(&m, &name), (1007, 1006));
        assert_eq!((owner(&one), owner(&two)), (11_007, 21_007));
    }
}

/// An overlay that is being mounted, and has no place yet.
#[track_caller]
fn unplaced(bed: &Bed, flags: &[&str]) -> OwnedFd {
    let context = must(
        "fsopen",
        fsopen(bed.fs.as_str(), FsOpenFlags::FSOPEN_CLOEXEC),
    );
    for (key, value) in [
        ("lowerdir", bed.lowerdir()),
        ("upperdir", bed.upper.to_string()),
        ("workdir", bed.work.to_string()),
    ] {
        must(key, fsconfig_set_string(context.as_fd(), key, value));
    }
    for flag in flags {
        must(flag, fsconfig_set_flag(context.as_fd(), *flag));
    }
    must("create", fsconfig_create(context.as_fd()));
    must(
        "fsmount",
        fsmount(
            context.as_fd(),
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::empty(),
        ),
    )
}

#[track_caller]
fn owners_at(mount: &OwnedFd, name: &str) -> (u32, u32) {
    let stat = must(
        name,
        rustix::fs::statat(mount, name, AtFlags::SYMLINK_NOFOLLOW),
    );
    (stat.st_uid, stat.st_gid)
}

/// Creates an object of each kind in a mount, as root.
#[track_caller]
fn create_all(mount: &OwnedFd) {
    let mode = Mode::from_raw_mode(0o644);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
    drop(must(
        "create",
        rustix::fs::openat(mount, "file", flags, mode),
    ));
    must("mkdir", rustix::fs::mkdirat(mount, "dir", mode));
    must("symlink", rustix::fs::symlinkat("target", mount, "link"));
    let (kind, none) = (FileType::Fifo, rustix::fs::makedev(0, 0));
    must(
        "mknod",
        rustix::fs::mknodat(mount, "fifo", kind, mode, none),
    );
}

const KINDS: [&str; 4] = ["file", "dir", "link", "fifo"];

/// Whose root is an ordinary user, as in a container.
const ROOTLESS: Ranges<'static> = &[(BASE, 0, 10_000)];

fn without_a_place(bed: &Bed) {
    bed.lower.file("low", "content");
    give_layers(bed, BASE);
    let mount = unplaced(bed, &[]);
    must("idmap", idmap::set(&mount, ROOTLESS));
    assert_eq!(owners_at(&mount, "low"), (0, 0));
    create_all(&mount);
    for name in KINDS {
        assert_eq!(owners_at(&mount, name), (0, 0), "{name}");
        assert_eq!(owners(&bed.upper, name), (BASE, BASE), "{name}");
    }
    let change = |uid: u32| {
        let (user, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)));
        chownat(&mount, "low", user, group, AtFlags::empty())
    };
    must("chown", change(5));
    assert_eq!(owners_at(&mount, "low"), (5, 5));
    assert_eq!(owners(&bed.upper, "low"), (BASE + 5, BASE + 5));
    refused(Errno::OVERFLOW, change(BASE));
    // Once is enough.
    refused(Errno::PERM, idmap::set(&mount, ROOTLESS));
}

/// The filesystem's own owners are those of a namespace already.
fn in_a_user_namespace(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.chown("low", 20_005, 20_005);
    for dir in [&bed.lower, &bed.upper] {
        dir.chown("", 20_000, 20_000);
    }
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        let mount = unplaced(bed, &[ON]);
        must("idmap", idmap::set(&mount, &[(20_000, 0, 10_000)]));
        assert_eq!(owners_at(&mount, "low"), (5, 5));
        create_all(&mount);
        for name in KINDS {
            assert_eq!(owners_at(&mount, name), (0, 0), "{name}");
            assert_eq!(owners(&bed.upper, name), (20_000, 20_000), "{name}");
        }
        let (user, group) = (Some(Uid::from_raw(7)), Some(Gid::from_raw(8)));
        must(
            "chown",
            chownat(&mount, "low", user, group, AtFlags::empty()),
        );
        assert_eq!(owners(&bed.upper, "low"), (20_007, 20_008));
    });
    assert_eq!(owners(&bed.upper, "low"), (BASE + 20_007, BASE + 20_008));
    assert_eq!(owners(&bed.upper, "file"), (BASE + 20_000, BASE + 20_000));
}

/// Layers of the host, shown to a container as its own: by the overlay's mount.
fn a_container_of_the_host(bed: &Bed) {
    bed.lower.sub("dir").file("inside", "content");
    bed.lower.file_mode("secret", "secret", 0o600);
    bed.lower.sub_mode("all", 0o777);
    let m = bed.mount();
    // What is of user 0 on the overlay is of user 100000 through the mount.
    let shifted = idmap::mount(bed, &m, "shifted", &[(0, BASE, 65_536)]);
    inside(CONTAINER, || {
        for name in ["", "dir", "dir/inside", "secret"] {
            assert_eq!(owners(&shifted, name), (0, 0), "{name}");
        }
        assert_eq!(shifted.text("secret"), "secret");
        shifted.append("dir/inside", b", more");
        shifted.chown("secret", 5, 6);
        as_user(5, || {
            shifted.append("secret", b"!");
            shifted.file("all/new", "");
            shifted.set_xattr("all/new", ACCESS, &with_user(9, 4));
        });
        // The mount without it shows nothing of this.
        refused(Errno::ACCESS, std::fs::read(m.at("secret")));
    });
    assert_eq!(owners(&bed.upper, "secret"), (5, 6));
    assert_eq!(owners(&bed.upper, "all/new"), (5, 5));
    assert_eq!(bed.upper.xattr("all/new", ACCESS), Some(with_user(9, 4)));
    assert_eq!(bed.upper.text("dir/inside"), "content, more");
}

fn with_users_attributes(bed: &Bed) {
    let (m, shifted) = objects(bed, ",userxattr");
    for prefix in PREFIXES {
        let name = format!("{prefix}/file");
        as_user(SHOWN, || {
            shifted.append(&name, b", more");
            shifted.set_xattr(&name, &own("note"), b"value");
        });
        let stored = bed.upper.xattr(&name, &own("overlay.note"));
        assert_eq!(stored.as_deref(), Some(&b"value"[..]));
        assert_eq!(m.xattr(&name, &own("note")), stored);
    }
    assert!(bed.upper.xattr("low/file", &own("origin")).is_some());
}

fn handles(bed: &Bed) {
    let (m, shifted) = objects(bed, ",nfs_export=on");
    for prefix in PREFIXES {
        for name in ["file", "dir", "dir/inside"] {
            let name = format!("{prefix}/{name}");
            let handle = handle::get(&shifted, &name);
            assert_eq!(handle, handle::get(&m, &name));
            for (at, user) in [(&m, REAL), (&shifted, SHOWN)] {
                let file = must("open", handle::open(at, &handle, OFlags::RDONLY));
                let stat = must("fstat", rustix::fs::fstat(&file));
                assert_eq!((stat.st_uid, stat.st_gid), (user, user), "{name}");
            }
        }
    }
}

fn names_of_an_indexed_file(bed: &Bed) {
    bed.lower.file("one", "content");
    bed.lower.link("one", "two");
    bed.lower.chown("one", REAL, REAL);
    let m = bed.mount_with(index::ON);
    let shifted = idmap::mount(bed, &m, "shifted", SHIFT);
    as_user(SHOWN, || {
        shifted.append("one", b", more");
        assert_eq!(shifted.text("two"), "content, more");
    });
    for name in ["one", "two"] {
        assert_eq!(owners(&shifted, name), (SHOWN, SHOWN));
        assert_eq!(owners(&m, name), (REAL, REAL));
    }
}
