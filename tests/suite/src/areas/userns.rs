// SPDX-License-Identifier: GPL-2.0

//! Mounts in a user namespace, by whoever has rights there and none outside.

use rustix::fs::{mknodat, FileType, Mode, CWD};
use rustix::io::Errno;
use rustix::mount::{mount_remount, MountFlags};

use crate::areas::userxattr::{own, ON};
use crate::harness::bed::{assert_work_is_empty, Bed};
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::early::Early;
use crate::support::listing;
use crate::support::must::{must, refused, same_bytes};
use crate::support::process::USER;
use crate::support::userns::{self, give_layers, inside, BASE, CONTAINER};

tests! {
    EVERYWHERE:
        work_by_users_attributes,
        work_without_attributes,
        whiteouts;
    TWICE:
        directories_are_removed,
        names_of_a_link_have_one_number,
        without_help,
        in_a_namespace_below,
        without_upper,
        directories_over_whiteouts,
        directories_are_renamed,
        lower_directories_are_renamed,
        mappings_from_before_the_copy_up,
        numbers_are_constant,
        old_descriptors_and_mappings,
        remounted;
}

/// A lower layer with a bit of everything.
pub fn tree(bed: &Bed) {
    for (layer, round) in [(&bed.lower, "upper"), (&bed.below(1), "lowest")] {
        let dir = layer.sub("dir");
        for name in ["kept", "changed", "gone", "moved"] {
            dir.file(name, format!("{name} of {round}"));
        }
        dir.sub("sub").file("inside", round);
        dir.sub("tree").sub("deep").file("inside", round);
        dir.symlink("kept", "link");
        dir.node("fifo", FileType::Fifo, 0o640, (0, 0));
    }
    bed.below(1).sub("lowest").file("inside", "lowest");
}

pub fn work_on(m: &Dir) {
    m.append("dir/changed", b", more");
    m.unlink("dir/gone");
    m.rename("dir/moved", "dir/new-name");
    m.chmod("dir/fifo", 0o600);
    m.rename("dir/link", "link");
    m.file("new", "new");
    m.sub("new-dir").symlink("target", "link");
    m.link("dir/kept", "new-dir/kept");
    m.node("new-dir/fifo", FileType::Fifo, 0o600, (0, 0));
    m.node("new-dir/socket", FileType::Socket, 0o600, (0, 0));
    m.set_xattr("dir/sub/inside", "user.note", b"value");
    m.sub("lowest/sub").file("file", "");
}

fn assert_done(m: &Dir) {
    assert_eq!(m.names(""), ["dir", "link", "lowest", "new", "new-dir"]);
    assert_eq!(
        m.names("dir"),
        ["changed", "fifo", "kept", "new-name", "sub", "tree"]
    );
    assert_eq!(m.names("new-dir"), ["fifo", "kept", "link", "socket"]);
    assert_eq!(m.names("lowest"), ["inside", "sub"]);
    assert_eq!(m.text("dir/changed"), "changed of upper, more");
    assert_eq!(m.text("dir/new-name"), "moved of upper");
    assert_eq!(m.text("dir/sub/inside"), "upper");
    assert_eq!(m.mode("dir/fifo"), 0o600);
    assert_eq!(m.target("link"), "kept");
    assert_eq!(m.stat("new-dir/kept").st_nlink, 2);
    for name in ["dir/gone", "dir/moved", "dir/link"] {
        assert!(!m.exists(name), "{name}");
    }
    assert_eq!(m.xattr_names("dir/sub/inside"), ["user.note"]);
}

fn work_by_users_attributes(bed: &Bed) {
    tree(bed);
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        work_on(&m);
        assert_done(&m);
        assert_work_is_empty(&bed.work);
        bed.umount();
        assert_done(&bed.mount_with(ON));
        bed.umount();
    });
    let origin = |name: &str| bed.upper.xattr(name, &own("origin"));
    for name in ["dir", "dir/changed", "dir/new-name", "dir/sub/inside"] {
        // There are no file handles for who may not open by them.
        assert_eq!(origin(name).as_deref(), Some(&b""[..]), "{name}");
    }
    assert_eq!(origin("new"), None);
    // Outside it is the same, but for who owns it.
    let m = bed.mount_with(ON);
    assert_done(&m);
    for name in ["new", "dir/changed", "new-dir/link", "dir/fifo"] {
        let stat = m.stat(name);
        assert_eq!((stat.st_uid, stat.st_gid), (BASE, BASE), "{name}");
    }
}

/// The default are attributes that may not be set there: what needs none works.
fn work_without_attributes(bed: &Bed) {
    tree(bed);
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        let m = bed.mount();
        work_on(&m);
        assert_done(&m);
        bed.umount();
        assert_done(&bed.mount());
        bed.umount();
    });
    for name in ["", "dir", "dir/changed", "new-dir", "dir/sub/inside"] {
        let own = |key: &String| !key.starts_with("user.note");
        let names: Vec<_> = bed
            .upper
            .xattr_names(name)
            .into_iter()
            .filter(own)
            .collect();
        assert_eq!(names, [""; 0], "{name}");
    }
    assert_done(&bed.mount());
}

fn directories_are_removed(bed: &Bed) {
    tree(bed);
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        for (more, name) in [(ON, "tree"), ("uuid=null", "sub")] {
            let m = bed.mount_with(more).join("dir");
            std::fs::remove_dir_all(m.at(name)).expect("remove a tree");
            assert!(!m.exists(name));
            bed.umount();
            let m = bed.mount_with(more).join("dir");
            assert!(!m.exists(name));
            bed.umount();
        }
    });
    for name in ["dir/tree", "dir/sub"] {
        assert!(bed.upper.is_whiteout(name), "{name}");
    }
}

/// Although nothing says where they came from.
fn names_of_a_link_have_one_number(bed: &Bed) {
    bed.lower.sub("dir").file("low", "content");
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        m.link("dir/low", "link");
        for _ in 0..2 {
            let numbers = ["dir/low", "link"].map(|name| m.stat(name).st_ino);
            assert_eq!(numbers[0], numbers[1]);
            bed.umount();
            bed.mount_with(ON);
        }
        bed.umount();
    });
}

fn whiteouts(bed: &Bed) {
    tree(bed);
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        for name in ["gone", "moved", "kept"] {
            m.unlink(&format!("dir/{name}"));
        }
        std::fs::remove_dir_all(m.at("dir/tree")).expect("remove a tree");
        let names: Vec<_> = listing::all(&m.open_read("dir"))
            .into_iter()
            .map(|entry| entry.name)
            .filter(|name| !name.starts_with('.'))
            .collect();
        for name in ["gone", "moved", "kept", "tree"] {
            assert!(!names.iter().any(|listed| listed == name), "{name}");
        }
        // The namespace has no right to make devices.
        refused(
            Errno::PERM,
            mknodat(
                CWD,
                m.at("device"),
                FileType::CharacterDevice,
                Mode::RUSR,
                rustix::fs::makedev(1, 3),
            ),
        );
        // From the layer's side they are objects like others.
        let upper = bed.upper.join("dir");
        assert!(upper.is_whiteout("gone"));
        assert_eq!(upper.stat("gone").st_uid, 0);
        bed.umount();
    });
    for name in ["gone", "moved", "kept", "tree"] {
        let name = format!("dir/{name}");
        assert!(bed.upper.is_whiteout(&name), "{name}");
        assert_eq!(bed.upper.stat(&name).st_uid, BASE);
    }
    let m = bed.mount_with(ON);
    assert!(!m.exists("dir/gone"));
}

fn directories_over_whiteouts(bed: &Bed) {
    tree(bed);
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        std::fs::remove_dir_all(m.at("dir/tree")).expect("remove a tree");
        m.sub("dir/tree").file("new", "");
        m.unlink("dir/gone");
        m.sub("dir/gone");
        assert_eq!(m.names("dir/tree"), ["new"]);
        bed.umount();
        assert_eq!(bed.mount_with(ON).names("dir/tree"), ["new"]);
        bed.umount();
    });
    for name in ["dir/tree", "dir/gone"] {
        let opaque = bed.upper.xattr(name, &own("opaque"));
        assert_eq!(opaque.as_deref(), Some(&b"y"[..]), "{name}");
    }
    // Where the mark cannot be set, nothing would hide what is below.
    inside(CONTAINER, || {
        let m = bed.mount();
        m.unlink("dir/moved");
        refused(Errno::IO, rustix::fs::mkdir(m.at("dir/moved"), Mode::RWXU));
        m.file("dir/moved", "a file needs none");
        bed.umount();
    });
}

/// Without redirects, which the option excludes.
fn directories_are_renamed(bed: &Bed) {
    tree(bed);
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        for options in [",userxattr", ""] {
            let options = format!("{}{options}", bed.strict_options());
            let m = must("mount", bed.try_mount(&options));
            refused(Errno::XDEV, rustix::fs::rename(m.at("dir"), m.at("new")));
            m.sub("own").file("inside", "");
            let renamed = rustix::fs::rename(m.at("own"), m.at("dir/own"));
            if options.ends_with(ON) {
                must("rename", renamed);
                assert_eq!(m.names("dir/own"), ["inside"]);
                std::fs::remove_dir_all(m.at("dir/own")).expect("remove a tree");
            } else {
                // Nothing could say that it is merged with no other.
                refused(Errno::XDEV, renamed);
            }
            bed.umount();
        }
    });
}

fn lower_directories_are_renamed(bed: &Bed) {
    tree(bed);
    give_layers(bed, BASE);
    bed.lower.chown("dir/changed", BASE + 5, BASE + 6);
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        let number = m.stat("dir").st_ino;
        m.rename("dir", "new");
        assert_eq!(m.stat("new").st_ino, number);
        assert_eq!(m.text("new/tree/deep/inside"), "upper");
        m.sub("dir");
        bed.umount();
        let m = bed.mount_with(ON);
        assert_eq!(m.names("dir"), [""; 0]);
        assert_eq!(m.text("new/kept"), "kept of upper");
        assert_eq!(m.text("new/sub/inside"), "upper");
        assert_eq!(m.stat("new/changed").st_uid, 5);
        bed.umount();
    });
    assert_eq!(bed.upper.stat("new/changed").st_uid, BASE + 5);
    let opaque = bed.upper.xattr("new", &own("opaque"));
    assert_eq!(opaque.as_deref(), Some(&b"y"[..]));
    assert_eq!(bed.upper.xattr("new", &own("redirect")), None);
}

/// Those that cannot be switched at once are by a worker, who has no rights of the
/// namespace of its own.
fn mappings_from_before_the_copy_up(bed: &Bed) {
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        let [mut touched, mut untouched] = Early::both(bed);
        for early in [&mut touched, &mut untouched] {
            early.rewrite(3);
            early.assert_current("after the copy-up");
        }
        drop((touched, untouched));
        bed.umount();
    });
}

/// The smallest namespace that there is: a user makes it, and has one number.
fn without_help(bed: &Bed) {
    tree(bed);
    give_layers(bed, USER);
    userns::inside_alone(USER, || {
        let m = bed.mount_with(ON);
        work_on(&m);
        assert_done(&m);
        bed.umount();
    });
    let m = bed.mount_with(ON);
    assert_done(&m);
    assert_eq!(m.stat("new").st_uid, USER);
}

fn in_a_namespace_below(bed: &Bed) {
    tree(bed);
    give_layers(bed, BASE + 10);
    inside(CONTAINER, || {
        inside(&[(0, 10, 100)], || {
            let m = bed.mount_with(ON);
            work_on(&m);
            assert_done(&m);
            bed.umount();
        });
        let stat = bed.upper.stat("new");
        assert_eq!((stat.st_uid, stat.st_gid), (10, 10));
    });
}

fn without_upper(bed: &Bed) {
    tree(bed);
    bed.lower.whiteout("lowest");
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        for more in ["", ",userxattr"] {
            let options = format!("lowerdir={}{more}", bed.lowerdir());
            let m = must("mount", bed.try_mount(&options));
            assert_eq!(m.names(""), ["dir"]);
            assert_eq!(m.text("dir/kept"), "kept of upper");
            refused(Errno::ROFS, std::fs::write(m.at("new"), ""));
            bed.umount();
        }
    });
}

fn numbers_are_constant(bed: &Bed) {
    tree(bed);
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        for more in [ON, "uuid=null"] {
            let m = bed.mount_with(more);
            let names = ["dir", "dir/sub", "dir/sub/inside", "dir/kept", "dir/link"];
            let open: Vec<_> = ["dir/sub/inside", "dir/kept"]
                .map(|name| m.open_read(name))
                .into();
            let before = names.map(|name| m.stat(name).st_ino);
            m.append("dir/sub/inside", b", more");
            m.chmod("dir/kept", 0o600);
            m.chown("dir/link", 1, 1);
            assert_eq!(names.map(|name| m.stat(name).st_ino), before);
            drop(open);
            bed.umount();
        }
    });
}

fn old_descriptors_and_mappings(bed: &Bed) {
    use crate::support::mapping::Map;
    let content = pattern(5, 20_000);
    bed.lower.file("file", &content);
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        let file = m.open_read("file");
        m.write_at("file", 5000, b"written");
        let mut want = content.clone();
        want[5000..5007].copy_from_slice(b"written");
        let mut got = vec![0; want.len()];
        must(
            "pread",
            std::os::unix::fs::FileExt::read_exact_at(&file, &mut got, 0),
        );
        same_bytes("by an old descriptor", &got, &want);
        let map = Map::shared_read(&m.open_read("file"), want.len());
        m.write_at("file", 9000, b"again");
        want[9000..9005].copy_from_slice(b"again");
        same_bytes("by a mapping", &map.part(0, want.len()), &want);
        drop((map, file));
        bed.umount();
    });
}

fn remounted(bed: &Bed) {
    tree(bed);
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        let flags = |flags| must("remount", mount_remount(m.path(), flags, c""));
        flags(MountFlags::RDONLY);
        refused(Errno::ROFS, std::fs::write(m.at("new"), ""));
        flags(MountFlags::empty());
        work_on(&m);
        assert_done(&m);
        bed.umount();
    });
}
