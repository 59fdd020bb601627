// SPDX-License-Identifier: GPL-2.0

//! The option `userxattr`: the overlay keeps its attributes among those of users.

use rustix::fs::{ioctl_getflags, ioctl_setflags, lgetxattr, FileType, IFlags};
use rustix::io::Errno;

use crate::areas::mount_options::shown_options;
use crate::harness::bed::Bed;
use crate::support::attribute;
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::index;
use crate::support::must::{must, refused, same_bytes};
use crate::support::parameter;

tests! {
    EVERYWHERE: are_written, are_read, special_files_have_none;
    // With several, C lists other numbers than it shows.
    ONE_FILESYSTEM: protection, a_directory_by_hand;
    DISKS: an_index, an_index_of_special_files;
    TWICE:
        the_others_mean_nothing,
        the_others_are_passed_through,
        whiteouts_by_attribute,
        nothing_leads_elsewhere,
        data_only_layers,
        numbers_outlast_the_mount;
    ONCE:
        conflicts,
        conflicts_with_defaults,
        is_shown,
        takes_no_value;
}

/// The option.
pub const ON: &str = "userxattr";

/// The name of an attribute with the option.
pub fn own(name: &str) -> String {
    format!("user.overlay.{name}")
}

/// The names of all attributes in a tree that begin with this.
#[track_caller]
fn found(dir: &Dir, path: &str, prefix: &str) -> Vec<String> {
    let mut found: Vec<_> = dir.xattr_names(path);
    found.retain(|key| key.starts_with(prefix));
    let mut found: Vec<_> = found.iter().map(|key| format!("{path}: {key}")).collect();
    if dir.kind(path) == FileType::Directory {
        for below in dir.paths_in(path) {
            found.append(&mut self::found(dir, &below, prefix));
        }
    }
    found
}

fn are_written(bed: &Bed) {
    bed.lower.sub("dir").file("copied", "content");
    bed.lower.sub("gone").file("inside", "");
    bed.lower.file("moved", "content");
    let m = bed.mount_with(ON);
    m.append("dir/copied", b", more");
    std::fs::remove_dir_all(m.at("gone")).expect("remove a tree");
    m.sub("gone").file("new", "");
    m.sub("new");
    m.rename("moved", "new/moved");
    assert!(bed.upper.is_whiteout("moved"));
    let value = |path: &str, name: &str| bed.upper.xattr(path, &own(name));
    assert_eq!(value("gone", "opaque").as_deref(), Some(&b"y"[..]));
    for path in ["", "dir", "new"] {
        let impure = value(path, "impure");
        assert_eq!(impure.as_deref(), Some(&b"y"[..]), "{path}");
    }
    for path in ["dir", "dir/copied", "new/moved"] {
        let origin = value(path, "origin").expect("an origin");
        assert!(origin.starts_with(&[0, 0xfb]), "{path}: {origin:02x?}");
    }
    assert_eq!(value("", "uuid").map(|uuid| uuid.len()), Some(16));
    assert_eq!(value("new", "origin"), None);
    bed.umount();
    for layer in [&bed.upper, &bed.work, &bed.lower] {
        assert_eq!(found(layer, "", "trusted.overlay."), [""; 0]);
    }
    assert_eq!(found(&bed.lower, "", "user."), [""; 0]);
    let m = bed.mount_with(ON);
    assert_eq!(m.names("gone"), ["new"]);
    assert_eq!(m.text("dir/copied"), "content, more");
    assert_eq!(m.text("new/moved"), "content");
    assert_eq!(found(&m, "", "user."), [""; 0]);
}

fn are_read(bed: &Bed) {
    for layer in [&bed.lower, &bed.below(1)] {
        for dir in ["opaque", "merged", "other", "long"] {
            layer.sub(dir).file(
                layer.path().to_str().map_or("", |path| {
                    if path.ends_with('0') {
                        "upper"
                    } else {
                        "below"
                    }
                }),
                "",
            );
        }
    }
    bed.lower.set_xattr("opaque", &own("opaque"), b"y");
    bed.lower.set_xattr("other", &own("opaque"), b"n");
    bed.lower.set_xattr("long", &own("opaque"), b"yy");
    let m = bed.mount_with(ON);
    assert_eq!(m.names("opaque"), ["upper"]);
    for dir in ["merged", "other", "long"] {
        assert_eq!(m.names(dir), ["below", "upper"], "{dir}");
    }
    for dir in ["opaque", "merged", "other", "long"] {
        assert_eq!(m.xattr_names(dir), [""; 0]);
    }
}

fn the_others_mean_nothing(bed: &Bed) {
    let below = bed.below(1);
    below.sub("opaque").file("below", "");
    below.file("moved", "content");
    below.sub("from").file("inside", "");
    bed.lower
        .sub("opaque")
        .set_xattr("", attribute::OPAQUE, b"y");
    bed.lower
        .sub("to")
        .set_xattr("", attribute::REDIRECT, b"/from");
    bed.lower.file("to-file", "");
    bed.lower.set_xattr("to-file", attribute::METACOPY, b"");
    bed.lower
        .set_xattr("to-file", attribute::REDIRECT, b"/moved");
    bed.lower
        .sub("marked")
        .set_xattr("", attribute::OPAQUE, b"x");
    bed.lower.file("marked/here", "");
    bed.lower
        .set_xattr("marked/here", attribute::WHITEOUT, b"y");
    let m = bed.mount_with(ON);
    assert_eq!(m.names("opaque"), ["below"]);
    assert_eq!(m.names("to"), [""; 0]);
    assert_eq!(m.text("to-file"), "");
    assert_eq!(m.names("marked"), ["here"]);
    assert!(m.exists("marked/here"));
}

fn the_others_are_passed_through(bed: &Bed) {
    let keys = ["trusted.overlay.opaque", "trusted.overlay.overlay.note"];
    for (layer, file) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file(file, "content");
        for key in keys {
            layer.set_xattr(file, key, b"y");
        }
    }
    let m = bed.mount_with(ON);
    for file in ["low", "up"] {
        assert_eq!(m.xattr_names(file), keys);
        for key in keys {
            assert_eq!(m.xattr(file, key).as_deref(), Some(&b"y"[..]));
            m.set_xattr(file, key, b"set");
            for dir in [&m, &bed.upper] {
                assert_eq!(dir.xattr(file, key).as_deref(), Some(&b"set"[..]));
            }
        }
        m.remove_xattr(file, keys[0]);
        assert_eq!(bed.upper.xattr(file, keys[0]), None);
    }
}

/// Makes an empty file that is a whiteout.
fn whiteout(dir: &Dir, name: &str) {
    dir.file(name, "");
    dir.set_xattr(name, &own("whiteout"), b"");
}

fn whiteouts_by_attribute(bed: &Bed) {
    let below = bed.below(1).sub("dir");
    below.file("gone", "from below");
    below.file("below", "");
    below.sub("gone-dir").file("inside", "");
    let dir = bed.lower.sub("dir");
    dir.set_xattr("", &own("opaque"), b"x");
    dir.file("here", "");
    dir.file("full", "not empty");
    dir.set_xattr("full", &own("whiteout"), b"");
    for name in ["gone", "gone-dir"] {
        whiteout(&dir, name);
    }
    let m = bed.mount_with(ON).join("dir");
    assert_eq!(m.names(""), ["below", "full", "here"]);
    for name in ["gone", "gone-dir", "gone-dir/inside"] {
        assert!(!m.exists(name), "{name}");
    }
    m.file("gone", "new");
    m.sub("gone-dir");
    assert_eq!(m.names("gone-dir"), [""; 0]);
    m.unlink("here");
    assert!(bed.upper.is_whiteout("dir/here"));
    assert_eq!(m.names(""), ["below", "full", "gone", "gone-dir"]);
}

/// Upper's directory was made by hand, and objects in it are copies of others.
fn a_directory_by_hand(bed: &Bed) {
    bed.lower.file("one", "content");
    bed.mount_with(ON).append("one", b", more");
    let number = bed.mnt.stat("one").st_ino;
    bed.umount();
    bed.upper.sub("dir").set_xattr("", &own("impure"), b"y");
    bed.upper.rename("one", "dir/two");
    let m = bed.mount_with(ON);
    assert_eq!(m.stat("dir/two").st_ino, number);
    let listed = crate::support::listing::all(&m.open_read("dir"));
    let entry = listed.iter().find(|entry| entry.name == "two");
    assert_eq!(entry.map(|entry| entry.ino), Some(number));
}

fn numbers_outlast_the_mount(bed: &Bed) {
    for name in ["file", "moved"] {
        bed.lower.file(name, "content");
    }
    bed.lower.sub("dir");
    let m = bed.mount_with(ON);
    let before = ["file", "moved", "dir"].map(|name| m.stat(name).st_ino);
    m.append("file", b", more");
    m.rename("moved", "new");
    m.chmod("dir", 0o700);
    for remounted in [false, true] {
        if remounted {
            bed.umount();
            bed.mount_with(ON);
        }
        let now = ["file", "new", "dir"].map(|name| bed.mnt.stat(name).st_ino);
        assert_eq!(now, before);
    }
}

/// What is no file, directory or socket cannot have attributes of users.
fn special_files_have_none(bed: &Bed) {
    bed.lower.symlink("target", "link");
    bed.lower.node("fifo", FileType::Fifo, 0o644, (0, 0));
    bed.lower.node("socket", FileType::Socket, 0o644, (0, 0));
    bed.lower
        .node("null", FileType::CharacterDevice, 0o644, (1, 3));
    let names = ["link", "fifo", "socket", "null"];
    let m = bed.mount_with(ON);
    for name in names {
        let before = m.stat(name);
        m.chown(name, 12, 34);
        let after = m.stat(name);
        assert_eq!((after.st_uid, after.st_gid), (12, 34), "{name}");
        assert_eq!(after.st_mode, before.st_mode, "{name}");
        assert_eq!(after.st_ino, before.st_ino, "{name}");
        let has_origin = bed.upper.xattr_names(name) == [own("origin")];
        assert_eq!(has_origin, name == "socket", "{name}");
        assert_eq!(m.xattr_names(name), [""; 0], "{name}");
        assert_eq!(
            lgetxattr(m.at(name), own("origin"), &mut [0_u8; 64]),
            Err(Errno::NODATA)
        );
        m.rename(name, &format!("new-{name}"));
        assert!(bed.upper.is_whiteout(name), "{name}");
        m.unlink(&format!("new-{name}"));
    }
    m.symlink("new", "link");
    m.node("fifo", FileType::Fifo, 0o600, (0, 0));
    assert_eq!(m.names(""), ["fifo", "link"]);
}

fn protection(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    let m = bed.mount_with(ON);
    let set = |name: &str, flag: IFlags| {
        let file = m.open_read(name);
        let mut all = must("FS_IOC_GETFLAGS", ioctl_getflags(&file));
        all.remove(IFlags::IMMUTABLE | IFlags::APPEND);
        must("FS_IOC_SETFLAGS", ioctl_setflags(&file, all | flag));
    };
    for name in ["low", "up"] {
        for (flag, note) in [(IFlags::IMMUTABLE, b"i"), (IFlags::APPEND, b"a")] {
            set(name, flag);
            let noted = bed.upper.xattr(name, &own("protattr"));
            assert_eq!(noted.as_deref(), Some(&note[..]), "{name}");
            refused(Errno::PERM, std::fs::write(m.at(name), ""));
        }
    }
    bed.umount();
    let m = bed.mount_with(ON);
    for name in ["low", "up"] {
        refused(Errno::PERM, std::fs::write(m.at(name), ""));
        let file = m.open_read(name);
        let flags = must("FS_IOC_GETFLAGS", ioctl_getflags(&file));
        assert!(flags.contains(IFlags::APPEND));
        must(
            "FS_IOC_SETFLAGS",
            ioctl_setflags(&file, flags - IFlags::APPEND),
        );
        assert_eq!(bed.upper.xattr(name, &own("protattr")), None);
        m.file(name, "");
    }
}

fn an_index(bed: &Bed) {
    bed.lower.file("one", "content");
    bed.lower.link("one", "two");
    let on = format!("{ON},{}", index::ON);
    let m = bed.mount_with(&on);
    m.append("one", b", more");
    assert_eq!(m.text("two"), "content, more");
    assert_eq!(m.stat("two").st_nlink, 2);
    let entry = index::only(bed);
    let dir = index::dir(bed);
    let nlink = dir.xattr(&entry, &own("nlink"));
    assert_eq!(nlink.as_deref(), Some(&b"U+0"[..]));
    assert!(dir.xattr(&entry, &own("origin")).is_some());
    assert!(dir.xattr("", &own("upper")).is_some());
    m.unlink("one");
    assert_eq!(m.stat("two").st_nlink, 1);
    let m = index::remount(bed, &on);
    assert_eq!(m.stat("two").st_nlink, 1);
    assert_eq!(m.text("two"), "content, more");
    m.unlink("two");
    assert_eq!(index::names(bed), [""; 0]);
    assert_eq!(found(&bed.work, "", "trusted."), [""; 0]);
}

/// The count of links could not be kept.
fn an_index_of_special_files(bed: &Bed) {
    bed.lower.symlink("target", "link");
    bed.lower.node("fifo", FileType::Fifo, 0o644, (0, 0));
    bed.lower.node("socket", FileType::Socket, 0o644, (0, 0));
    for name in ["link", "fifo", "socket"] {
        bed.lower.link(name, &format!("{name}-too"));
    }
    let m = bed.mount_with(&format!("{ON},{}", index::ON));
    for name in ["link", "fifo"] {
        let user = Some(rustix::fs::Uid::from_raw(5));
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        let change = rustix::fs::chownat(rustix::fs::CWD, m.at(name), user, None, flags);
        refused(Errno::PERM, change);
        assert!(!bed.upper.exists(name));
        assert_eq!(m.stat(name).st_uid, 0);
    }
    m.chown("socket", 5, 5);
    assert_eq!(m.stat("socket-too").st_uid, 5);
    assert_eq!(m.stat("socket-too").st_nlink, 2);
    bed.umount();
    // Without, the copy is a link of its own.
    let m = bed.mount_with(ON);
    for name in ["link", "fifo"] {
        m.chown(name, 5, 5);
        assert_eq!(m.stat(&format!("{name}-too")).st_uid, 0);
    }
}

/// Redirects and metacopies are in lower layers and in upper: neither is followed.
fn nothing_leads_elsewhere(bed: &Bed) {
    let lowest = bed.below(2);
    lowest.sub("secret").file("inside", "secret");
    lowest.file("secret-file", "secret");
    for dir in ["absolute", "relative", "up-absolute"] {
        lowest.sub(dir).file("ordinary", "");
        bed.below(1).sub(dir);
    }
    for (layer, prefix) in [(&bed.lower, ""), (&bed.upper, "up-")] {
        let name = |name: &str| format!("{prefix}{name}");
        layer.sub(&name("absolute"));
        layer.set_xattr(&name("absolute"), &own("redirect"), b"/secret");
        if prefix.is_empty() {
            layer
                .sub("relative")
                .set_xattr("", &own("redirect"), b"secret");
        }
        for (file, redirect) in [("file", Some(b"/secret-file")), ("plain", None)] {
            layer.file(&name(file), "");
            layer.set_xattr(&name(file), &own("metacopy"), b"");
            if let Some(redirect) = redirect {
                layer.set_xattr(&name(file), &own("redirect"), redirect);
            }
        }
    }
    let m = bed.mount_with(ON);
    for name in [
        "absolute",
        "relative",
        "up-absolute",
        "file",
        "plain",
        "up-file",
        "up-plain",
    ] {
        refused(Errno::PERM, rustix::fs::lstat(m.at(name)));
        refused(Errno::PERM, std::fs::read(m.at(name)));
        refused(Errno::PERM, std::fs::read_dir(m.at(name)));
    }
    assert_eq!(m.text("secret/inside"), "secret");
}

/// Whoever names a data-only layer wants files to lead there.
fn data_only_layers(bed: &Bed) {
    let content = pattern(3, 50_000);
    let data = bed.aside("data");
    data.sub("dir").file("data", &content);
    for (name, redirect) in [("good", "/dir/data"), ("bad", "/dir/missing")] {
        bed.lower
            .create(name, 0o600)
            .set_len(50_000)
            .expect("ftruncate");
        bed.lower.set_xattr(name, &own("metacopy"), b"");
        bed.lower
            .set_xattr(name, &own("redirect"), redirect.as_bytes());
    }
    let options = format!(
        "lowerdir={}::{data},upperdir={},workdir={},{ON}",
        bed.lowerdir(),
        bed.upper,
        bed.work
    );
    let m = must("mount", bed.try_mount(&options));
    same_bytes("data", &m.read("good"), &content);
    refused(Errno::NOENT, std::fs::read(m.at("bad")));
    assert_eq!(m.xattr_names("good"), [""; 0]);
    // All of it is copied: there is no metacopy=on.
    m.chmod("good", 0o640);
    same_bytes("in upper", &bed.upper.read("good"), &content);
    assert_eq!(bed.upper.xattr("good", &own("metacopy")), None);
}

fn conflicts(bed: &Bed) {
    let with = |more: &str| bed.try_mount(&format!("{},{ON},{more}", bed.options()));
    for more in [
        "redirect_dir=on",
        "redirect_dir=follow",
        "metacopy=on",
        "redirect_dir=on,metacopy=on",
        "redirect_dir=nofollow,metacopy=on",
    ] {
        refused(Errno::INVAL, with(more));
    }
    // `off` means what a parameter says.
    refused(Errno::INVAL, with("redirect_dir=off"));
    parameter::with(bed, "redirect_always_follow", "N", || {
        must("mount", with("redirect_dir=off"));
        bed.umount();
    });
    for more in [
        "redirect_dir=nofollow",
        "metacopy=off",
        "verity=on",
        "index=on",
        "nfs_export=on",
        "uuid=on",
        "xino=on",
        "volatile",
    ] {
        must(more, with(more));
        bed.umount();
        // What a volatile mount leaves.
        let _ = std::fs::remove_dir_all(bed.work.at("work/incompat"));
    }
}

/// What is on by default is off without being said.
fn conflicts_with_defaults(bed: &Bed) {
    bed.lower.file("low", "content");
    for parameter in ["redirect_dir", "metacopy"] {
        parameter::with(bed, parameter, "Y", || {
            let m = bed.mount_with(ON);
            m.chmod("low", 0o600);
            assert_eq!(bed.upper.xattr("low", &own("metacopy")), None);
            assert_eq!(bed.upper.text("low"), "content");
            m.rename("low", "low2");
            assert_eq!(bed.upper.xattr("low2", &own("redirect")), None);
            m.rename("low2", "low");
            if parameter == "metacopy" {
                assert!(shown_options(&m).contains(",metacopy=off"));
            }
            bed.umount();
        });
    }
}

fn is_shown(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    assert!(!shown_options(&m).contains(ON));
    bed.umount();
    let m = bed.mount_with(&format!("verity=on,{ON}"));
    let options = shown_options(&m);
    assert!(
        options.ends_with(",redirect_dir=nofollow,uuid=on,userxattr,verity=on"),
        "{options}"
    );
    bed.umount();
    let m = must("mount with the shown options", bed.try_mount(&options));
    assert_eq!(shown_options(&m), options);
    assert_eq!(m.text("low"), "content");
}

fn takes_no_value(bed: &Bed) {
    for option in ["userxattr=on", "userxattr=", "nouserxattr", "userxattr=off"] {
        let options = format!("{},{option}", bed.options());
        refused(Errno::INVAL, bed.try_mount(&options));
    }
}
