// SPDX-License-Identifier: GPL-2.0

//! Owners, ACLs and capabilities on a mount in a user namespace.

use rustix::fs::{chownat, lsetxattr, AtFlags, FileType, Gid, Mode, Uid, XattrFlags, CWD};
use rustix::io::Errno;

use crate::areas::userxattr::ON;
use crate::harness::bed::Bed;
use crate::support::acl::{with_user, ACCESS, DEFAULT};
use crate::support::dir::Dir;
use crate::support::image::CAPABILITY;
use crate::support::must::{must, refused};
use crate::support::process::{as_user, become_user, in_child};
use crate::support::userns::{give_layers, inside, BASE, CONTAINER, NOBODY};

tests! {
    EVERYWHERE:
        of_new_objects,
        of_copied_objects,
        access_lists,
        capabilities;
    TWICE:
        changes,
        unknown_owners,
        unknown_groups,
        rights,
        a_set_group_id_directory,
        sticky_directories,
        default_lists,
        set_id_bits,
        a_capability_of_the_host;
}

#[track_caller]
fn owners(dir: &Dir, name: &str) -> (u32, u32) {
    let stat = dir.stat(name);
    (stat.st_uid, stat.st_gid)
}

const KINDS: [&str; 6] = ["file", "dir", "dir/inside", "link", "fifo", "socket"];

#[track_caller]
fn make_kinds(dir: &Dir) {
    dir.file("file", "content");
    dir.sub("dir").file("inside", "");
    dir.symlink("target", "link");
    dir.node("fifo", FileType::Fifo, 0o644, (0, 0));
    dir.node("socket", FileType::Socket, 0o644, (0, 0));
}

/// Somebody who owns nothing and is known in the namespace.
const USER: u32 = 5;

fn of_new_objects(bed: &Bed) {
    bed.lower.sub_mode("all", 0o777).file("gone", "");
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        make_kinds(&m);
        m.unlink("all/gone");
        as_user(USER, || {
            make_kinds(&m.join("all"));
            m.file("all/gone", "over a whiteout");
            let file = m.open_temporary("all");
            let stat = must("fstat", rustix::fs::fstat(&file));
            assert_eq!((stat.st_uid, stat.st_gid), (USER, USER));
        });
        for name in KINDS {
            assert_eq!(owners(&m, name), (0, 0), "{name}");
            let name = format!("all/{name}");
            assert_eq!(owners(&m, &name), (USER, USER), "{name}");
        }
        bed.umount();
    });
    for name in KINDS {
        assert_eq!(owners(&bed.upper, name), (BASE, BASE), "{name}");
        let name = format!("all/{name}");
        assert_eq!(owners(&bed.upper, &name), (BASE + USER, BASE + USER));
    }
    assert_eq!(owners(&bed.upper, "all/gone"), (BASE + USER, BASE + USER));
}

fn of_copied_objects(bed: &Bed) {
    make_kinds(&bed.lower);
    for name in KINDS {
        bed.lower.chown(name, 7, 8);
    }
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        for name in KINDS {
            assert_eq!(owners(&m, name), (7, 8), "{name}");
            m.set_times(name, (1, 0), (2, 0));
            assert_eq!(owners(&m, name), (7, 8), "{name}");
        }
        bed.umount();
    });
    for name in KINDS {
        assert_eq!(owners(&bed.upper, name), (BASE + 7, BASE + 8), "{name}");
    }
}

fn changes(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file(name, "content");
    }
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        for name in ["low", "up"] {
            m.chown(name, 65_535, 9);
            assert_eq!(owners(&m, name), (65_535, 9), "{name}");
            for (uid, gid) in [(65_536, 0), (0, 65_536), (BASE, BASE)] {
                let change = chownat(
                    CWD,
                    m.at(name),
                    Some(Uid::from_raw(uid)),
                    Some(Gid::from_raw(gid)),
                    AtFlags::empty(),
                );
                refused(Errno::INVAL, change);
            }
            as_user(USER, || {
                let user = Some(Uid::from_raw(USER));
                let change = chownat(CWD, m.at(name), user, None, AtFlags::empty());
                refused(Errno::PERM, change);
            });
        }
        bed.umount();
    });
    for name in ["low", "up"] {
        assert_eq!(owners(&bed.upper, name), (BASE + 65_535, BASE + 9));
    }
}

/// Root of the namespace has no rights to what is nobody's there.
fn unknown_owners(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file_mode(name, "content", 0o644);
        layer.sub_mode(&format!("{name}-dir"), 0o755);
        layer.file_mode(&format!("{name}-secret"), "secret", 0o600);
    }
    give_layers(bed, BASE);
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        for kind in ["", "-dir", "-secret"] {
            layer.chown(&format!("{name}{kind}"), 0, 0);
        }
    }
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        for name in ["low", "up"] {
            assert_eq!(owners(&m, name), (NOBODY, NOBODY));
            assert_eq!(m.text(name), "content");
            let secret = format!("{name}-secret");
            refused(Errno::ACCESS, std::fs::read(m.at(&secret)));
            refused(Errno::ACCESS, std::fs::write(m.at(name), "new"));
            let mode = Mode::from_raw_mode(0o666);
            refused(Errno::PERM, rustix::fs::chmod(m.at(name), mode));
            let root = Some(Uid::from_raw(0));
            let change = chownat(CWD, m.at(name), root, None, AtFlags::empty());
            refused(Errno::PERM, change);
            let dir = format!("{name}-dir");
            refused(
                Errno::ACCESS,
                std::fs::write(m.at(&format!("{dir}/new")), ""),
            );
            let set = lsetxattr(m.at(name), "user.note", b"v", XattrFlags::empty());
            refused(Errno::ACCESS, set);
            let set = lsetxattr(m.at(name), "security.note", b"v", XattrFlags::empty());
            assert!(set.is_err());
            // The directory that it is in is root's.
            m.unlink(&secret);
            assert!(!m.exists(&secret));
            m.rmdir(&dir);
        }
        // A lower one would have to be copied: nobody is its owner.
        refused(
            Errno::OVERFLOW,
            rustix::fs::rename(m.at("low"), m.at("new")),
        );
        m.rename("up", "new");
        bed.umount();
    });
    assert!(!bed.upper.exists("low"));
    assert_eq!(owners(&bed.upper, "new"), (0, 0));
}

fn unknown_groups(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.file("fifo", "");
    give_layers(bed, BASE);
    bed.lower.chown("low", BASE, 0);
    bed.lower.chown("fifo", 0, BASE);
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        assert_eq!(owners(&m, "low"), (0, NOBODY));
        assert_eq!(owners(&m, "fifo"), (NOBODY, 0));
        for name in ["low", "fifo"] {
            let write = std::fs::OpenOptions::new().append(true).open(m.at(name));
            assert!(write.is_err(), "{name}");
            let mode = Mode::from_raw_mode(0o600);
            assert!(rustix::fs::chmod(m.at(name), mode).is_err(), "{name}");
        }
        bed.umount();
    });
    assert_eq!(bed.upper.names(""), [""; 0]);
}

fn rights(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file_mode(name, "content", 0o600);
        layer.chown(name, USER, USER);
        layer.file_mode(&format!("{name}-group"), "content", 0o060);
        layer.chown(&format!("{name}-group"), 0, 77);
    }
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        for name in ["low", "up"] {
            as_user(USER + 1, || {
                refused(Errno::ACCESS, std::fs::read(m.at(name)));
            });
            as_user(USER, || {
                assert_eq!(m.text(name), "content");
                m.append(name, b", more");
                m.chmod(name, 0o640);
                m.set_times(name, (1, 0), (2, 0));
            });
            // Root has its capabilities.
            m.append(name, b"!");
            let group = format!("{name}-group");
            in_child(|| {
                become_user(USER, 77);
                assert_eq!(m.text(&group), "content");
                m.append(&group, b", more");
            });
            as_user(USER, || {
                refused(Errno::ACCESS, std::fs::read(m.at(&group)));
            });
        }
        bed.umount();
    });
    assert_eq!(bed.upper.text("low"), "content, more!");
    assert_eq!(owners(&bed.upper, "low"), (BASE + USER, BASE + USER));
}

fn a_set_group_id_directory(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.sub(name);
        layer.chown(name, 0, 77);
        layer.chmod(name, 0o2777);
    }
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        for dir in ["low", "up"] {
            assert_eq!(m.mode(dir), 0o2777);
            let m = m.join(dir);
            as_user(USER, || {
                m.file("file", "");
                m.sub_mode("dir", 0o755);
                drop(m.create("set", 0o2775));
            });
            assert_eq!(owners(&m, "file"), (USER, 77));
            assert_eq!(owners(&m, "dir"), (USER, 77));
            // Whoever is not of the group cannot give its rights.
            assert_eq!(m.mode("set"), 0o755);
        }
        bed.umount();
    });
    for dir in ["low", "up"] {
        let dir = bed.upper.join(dir);
        assert_eq!(owners(&dir, "file"), (BASE + USER, BASE + 77));
    }
}

fn sticky_directories(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.sub(name).file("file", "");
        layer.file(&format!("{name}/other"), "");
        layer.chown(&format!("{name}/file"), USER, USER);
        layer.chmod(name, 0o1777);
    }
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        for name in ["low", "up"] {
            let m = m.join(name);
            as_user(USER + 1, || {
                refused(Errno::PERM, rustix::fs::unlink(m.at("file")));
                refused(
                    Errno::PERM,
                    rustix::fs::rename(m.at("other"), m.at("stolen")),
                );
                m.file("own", "");
                m.rename("own", "renamed");
            });
            as_user(USER, || m.unlink("file"));
            m.unlink("other");
            assert_eq!(m.names(""), ["renamed"]);
        }
        bed.umount();
    });
}

fn access_lists(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file_mode(name, "content", 0o640);
        layer.file_mode(&format!("{name}-plain"), "content", 0o640);
    }
    give_layers(bed, BASE);
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.set_xattr(name, ACCESS, &with_user(BASE + USER, 6));
    }
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        for name in ["low", "up"] {
            assert_eq!(m.xattr(name, ACCESS), Some(with_user(USER, 6)));
            as_user(USER + 1, || {
                refused(Errno::ACCESS, std::fs::read(m.at(name)));
            });
            as_user(USER, || m.append(name, b", more"));
            assert_eq!(m.xattr(name, ACCESS), Some(with_user(USER, 6)));
            let plain = format!("{name}-plain");
            m.set_xattr(&plain, ACCESS, &with_user(USER, 4));
            as_user(USER, || {
                assert_eq!(m.text(&plain), "content");
                refused(Errno::ACCESS, std::fs::write(m.at(&plain), ""));
            });
            let unknown = with_user(65_536, 4);
            let set = lsetxattr(m.at(&plain), ACCESS, &unknown, XattrFlags::empty());
            refused(Errno::INVAL, set);
        }
        bed.umount();
    });
    for name in ["low", "up"] {
        let list = bed.upper.xattr(name, ACCESS);
        assert_eq!(list, Some(with_user(BASE + USER, 6)));
        let list = bed.upper.xattr(&format!("{name}-plain"), ACCESS);
        assert_eq!(list, Some(with_user(BASE + USER, 4)));
    }
}

fn default_lists(bed: &Bed) {
    bed.lower.sub("dir").file("gone", "");
    give_layers(bed, BASE);
    bed.lower
        .set_xattr("dir", DEFAULT, &with_user(BASE + USER, 6));
    inside(CONTAINER, || {
        let m = bed.mount_with(ON).join("dir");
        assert_eq!(m.xattr("", DEFAULT), Some(with_user(USER, 6)));
        m.unlink("gone");
        for name in ["new", "gone"] {
            drop(m.create(name, 0o660));
            assert_eq!(m.xattr(name, ACCESS), Some(with_user(USER, 6)), "{name}");
        }
        m.sub("sub");
        assert_eq!(m.xattr("sub", DEFAULT), Some(with_user(USER, 6)));
        bed.umount();
    });
    for name in ["dir/new", "dir/gone"] {
        let list = bed.upper.xattr(name, ACCESS);
        assert_eq!(list, Some(with_user(BASE + USER, 6)), "{name}");
    }
    let list = bed.upper.xattr("dir/sub", DEFAULT);
    assert_eq!(list, Some(with_user(BASE + USER, 6)));
}

fn set_id_bits(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.chown("low", USER, USER);
    give_layers(bed, BASE);
    bed.lower.chmod("low", 0o6755);
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        assert_eq!(m.mode("low"), 0o6755);
        m.set_times("low", (1, 0), (2, 0));
        assert_eq!(m.mode("low"), 0o6755);
        as_user(USER, || m.append("low", b"x"));
        assert_eq!(m.mode("low"), 0o755);
        m.chmod("low", 0o6711);
        bed.umount();
    });
    assert_eq!(bed.upper.mode("low"), 0o6711);
}

const KEY: &str = "security.capability";

/// The capability of a namespace: which one is kept with it.
fn of_namespace(root: u32) -> Vec<u8> {
    let mut capability = CAPABILITY.to_vec();
    capability[3] = 3;
    capability.extend(root.to_le_bytes());
    capability
}

fn capabilities(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file_mode(name, "content", 0o755);
    }
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        for name in ["low", "up"] {
            m.set_xattr(name, KEY, CAPABILITY);
            assert_eq!(m.xattr(name, KEY).as_deref(), Some(CAPABILITY));
            as_user(USER, || {
                let set = lsetxattr(m.at(name), KEY, CAPABILITY, XattrFlags::empty());
                refused(Errno::PERM, set);
            });
        }
        bed.umount();
    });
    for name in ["low", "up"] {
        assert_eq!(bed.upper.xattr(name, KEY), Some(of_namespace(BASE)));
        // As if it were a layer of an image.
        bed.upper.rename(name, &format!("again-{name}"));
    }
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        for name in ["again-low", "again-up"] {
            assert_eq!(m.xattr(name, KEY).as_deref(), Some(CAPABILITY));
            m.append(name, b"x");
            assert_eq!(m.xattr(name, KEY), None);
        }
        bed.umount();
    });
}

/// Is kept by copy-up with what it says, whoever copies.
fn a_capability_of_the_host(bed: &Bed) {
    for name in ["own", "host"] {
        bed.lower.file_mode(name, "content", 0o755);
    }
    give_layers(bed, BASE);
    bed.lower.set_xattr("own", KEY, &of_namespace(BASE));
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        assert_eq!(m.xattr("own", KEY).as_deref(), Some(CAPABILITY));
        m.chmod("own", 0o700);
        assert_eq!(m.xattr("own", KEY).as_deref(), Some(CAPABILITY));
        bed.umount();
    });
    assert_eq!(bed.upper.xattr("own", KEY), Some(of_namespace(BASE)));
    // One of the host, which the namespace is shown as it is, becomes one of the namespace.
    bed.lower.set_xattr("host", KEY, CAPABILITY);
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        assert_eq!(m.xattr("host", KEY).as_deref(), Some(CAPABILITY));
        m.chmod("host", 0o700);
        bed.umount();
    });
    assert_eq!(bed.upper.xattr("host", KEY), Some(of_namespace(BASE)));
}
