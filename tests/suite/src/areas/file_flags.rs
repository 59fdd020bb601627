// SPDX-License-Identifier: GPL-2.0

//! File flags (`FS_IOC_GETFLAGS`, `FS_IOC_SETFLAGS`).

use std::os::fd::AsRawFd;

use rustix::fs::{ioctl_getflags, ioctl_setflags, unlink, IFlags, OFlags};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::file_attr::extended;
use crate::support::must::{must, refused};
use crate::support::process::{as_user, USER};

tests! {
    EVERYWHERE: are_shown, survive_copy_up, extended_flags_are_shown, unknown_ioctls_are_refused;
    // Flags that tell how a filesystem stores a file, and that cannot be
    // changed, are in the way between filesystems of different types.
    ONE_FILESYSTEM:
        immutable_is_obeyed,
        append_only_is_obeyed,
        setting_copies_up,
        of_a_directory,
        immutable_is_for_root,
        of_an_immutable_lower_file;
}

#[track_caller]
fn flags(dir: &Dir, name: &str) -> IFlags {
    must(
        format_args!("FS_IOC_GETFLAGS of {dir}/{name}"),
        ioctl_getflags(dir.open_read(name)),
    )
}

#[track_caller]
fn change(dir: &Dir, name: &str, change: impl FnOnce(&mut IFlags)) {
    let file = dir.open_read(name);
    let mut flags = must("FS_IOC_GETFLAGS", ioctl_getflags(&file));
    change(&mut flags);
    must(
        format_args!("FS_IOC_SETFLAGS of {dir}/{name}"),
        ioctl_setflags(&file, flags),
    );
}

#[track_caller]
fn set(dir: &Dir, name: &str, flags: IFlags) {
    change(dir, name, |old| old.insert(flags));
}

#[track_caller]
fn clear(dir: &Dir, name: &str, flags: IFlags) {
    change(dir, name, |old| old.remove(flags));
}

/// Flags that every one of the layer filesystems stores.
const STORED: IFlags = IFlags::NOATIME;

fn are_shown(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file(name, "content");
        set(layer, name, STORED);
    }
    let m = bed.mount();
    for name in ["low", "up"] {
        assert!(flags(&m, name).contains(STORED), "{name}");
    }
    assert!(!bed.upper.exists("low"));
}

const FS_XFLAG_NOATIME: u32 = 0x40;

fn extended_flags_are_shown(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file(name, "content");
        set(layer, name, STORED);
    }
    let m = bed.mount();
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        let shown = extended(&m, name);
        assert_eq!(shown, extended(layer, name));
        assert_eq!(shown.xflags & FS_XFLAG_NOATIME, FS_XFLAG_NOATIME);
    }
}

fn unknown_ioctls_are_refused(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    bed.lower.sub("dir");
    let m = bed.mount();
    for name in ["low", "up", "dir"] {
        let file = m.open_read(name);
        let mut space = [0_u8; 64];
        // SAFETY: no filesystem has this command; there would be space for it.
        let result = unsafe { libc::ioctl(file.as_raw_fd(), 0x8040_7f7f, space.as_mut_ptr()) };
        assert_eq!(result, -1);
        let error = std::io::Error::last_os_error();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY), "{name}: {error}");
    }
}

fn immutable_is_obeyed(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    let m = bed.mount();
    for name in ["low", "up"] {
        set(&m, name, IFlags::IMMUTABLE);
        assert!(flags(&m, name).contains(IFlags::IMMUTABLE));
        refused(Errno::PERM, std::fs::write(m.at(name), ""));
        refused(Errno::PERM, unlink(m.at(name)));
        refused(Errno::PERM, rustix::fs::rename(m.at(name), m.at("new")));
        refused(Errno::PERM, rustix::fs::link(m.at(name), m.at("new")));
        assert_eq!(m.text(name), "content");
        clear(&m, name, IFlags::IMMUTABLE);
        m.append(name, b", more");
        m.unlink(name);
    }
}

fn append_only_is_obeyed(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    let m = bed.mount();
    for name in ["low", "up"] {
        set(&m, name, IFlags::APPEND);
        refused(Errno::PERM, std::fs::write(m.at(name), ""));
        refused(
            Errno::PERM,
            rustix::fs::open(m.at(name), OFlags::WRONLY, rustix::fs::Mode::empty()),
        );
        refused(Errno::PERM, unlink(m.at(name)));
        m.append(name, b", more");
        assert_eq!(m.text(name), "content, more");
        clear(&m, name, IFlags::APPEND);
        m.file(name, "short");
    }
}

fn survive_copy_up(bed: &Bed) {
    bed.lower.file("low", "content");
    set(&bed.lower, "low", STORED);
    let m = bed.mount();
    m.append("low", b", more");
    assert!(flags(&m, "low").contains(STORED));
    assert!(flags(&bed.upper, "low").contains(STORED));
    assert!(flags(&bed.remount_fresh(), "low").contains(STORED));
}

fn setting_copies_up(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    flags(&m, "low");
    assert!(!bed.upper.exists("low"));
    set(&m, "low", STORED);
    assert!(flags(&bed.upper, "low").contains(STORED));
    assert!(!flags(&bed.lower, "low").contains(STORED));
    assert_eq!(m.text("low"), "content");
}

fn of_a_directory(bed: &Bed) {
    bed.lower.sub("low").file("inside", "");
    bed.lower.sub("both").file("inside", "");
    bed.upper.sub("both");
    let m = bed.mount();
    for name in ["low", "both"] {
        set(&m, name, STORED);
        assert!(flags(&m, name).contains(STORED));
        assert!(flags(&bed.upper, name).contains(STORED));
        assert_eq!(m.names(name), ["inside"]);
    }
}

fn immutable_is_for_root(bed: &Bed) {
    bed.lower.file("own", "content");
    bed.lower.chown("own", USER, USER);
    bed.lower.file("of-root", "content");
    let m = bed.mount();
    as_user(USER, || {
        refused(
            Errno::PERM,
            ioctl_setflags(m.open_read("own"), IFlags::IMMUTABLE),
        );
        refused(Errno::PERM, ioctl_setflags(m.open_read("of-root"), STORED));
    });
    assert!(!bed.upper.exists("of-root"));
}

fn of_an_immutable_lower_file(bed: &Bed) {
    bed.lower.file("low", "content");
    set(&bed.lower, "low", IFlags::IMMUTABLE);
    let m = bed.mount();
    assert!(flags(&m, "low").contains(IFlags::IMMUTABLE));
    refused(Errno::PERM, std::fs::write(m.at("low"), ""));
    refused(Errno::PERM, unlink(m.at("low")));
    refused(Errno::PERM, rustix::fs::rename(m.at("low"), m.at("new")));
    clear(&m, "low", IFlags::IMMUTABLE);
    m.append("low", b", more");
    assert_eq!(m.text("low"), "content, more");
}
