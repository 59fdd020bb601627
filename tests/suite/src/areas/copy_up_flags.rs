// SPDX-License-Identifier: GPL-2.0

//! File flags and project numbers of a file that is copied up, at once or its
//! data after its attributes.

use rustix::fs::{ioctl_getflags, ioctl_setflags, unlink, IFlags, OFlags};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::attribute::PROTATTR;
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::file_attr::{extended, try_set_extended, Extended};
use crate::support::metacopy::{assert_with_data, assert_without_data, ON};
use crate::support::must::{must, refused, same_bytes};

tests! {
    ONE_FILESYSTEM:
        append_only_is_kept,
        append_only_is_kept_by_a_metacopy,
        immutable_is_kept_by_a_metacopy,
        immutable_by_extended_flags;
    EVERYWHERE: flags_are_kept_by_the_data;
    PROJECTS: the_project_is_stored;
}

const SIZE: usize = 50_000;

#[track_caller]
fn flags(dir: &Dir, name: &str) -> IFlags {
    must(
        format_args!("FS_IOC_GETFLAGS of {dir}/{name}"),
        ioctl_getflags(dir.open_read(name)),
    )
}

#[track_caller]
fn set(dir: &Dir, name: &str, flags: IFlags) {
    let file = dir.open_read(name);
    let old = must("FS_IOC_GETFLAGS", ioctl_getflags(&file));
    must("FS_IOC_SETFLAGS", ioctl_setflags(&file, old | flags));
}

#[track_caller]
fn clear(dir: &Dir, name: &str, flags: IFlags) {
    let file = dir.open_read(name);
    let old = must("FS_IOC_GETFLAGS", ioctl_getflags(&file));
    must("FS_IOC_SETFLAGS", ioctl_setflags(&file, old - flags));
}

/// Fails unless the file can be appended to and nothing else.
#[track_caller]
fn assert_append_only(m: &Dir, name: &str) {
    assert!(flags(m, name).contains(IFlags::APPEND));
    refused(Errno::PERM, std::fs::write(m.at(name), ""));
    refused(Errno::PERM, unlink(m.at(name)));
    refused(Errno::PERM, rustix::fs::rename(m.at(name), m.at("new")));
}

fn append_only_is_kept(bed: &Bed) {
    bed.lower.file("low", "content");
    set(&bed.lower, "low", IFlags::APPEND);
    let m = bed.mount();
    assert_append_only(&m, "low");
    m.append("low", b", more");
    assert_eq!(m.text("low"), "content, more");
    assert_append_only(&m, "low");
    assert_eq!(bed.upper.xattr("low", PROTATTR).as_deref(), Some(&b"a"[..]));
    assert!(!flags(&bed.upper, "low").contains(IFlags::APPEND));
    let m = bed.remount_fresh();
    assert_append_only(&m, "low");
    m.append("low", b", and more");
    clear(&m, "low", IFlags::APPEND);
    assert_eq!(bed.upper.xattr("low", PROTATTR), None);
    m.file("low", "new");
    clear(&bed.lower, "low", IFlags::APPEND);
}

fn append_only_is_kept_by_a_metacopy(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.lower.file("low", &content);
    let m = bed.mount_with(ON);
    let early = m.open_read("low");
    set(&m, "low", IFlags::APPEND);
    assert_without_data(bed, "low");
    assert_append_only(&m, "low");
    drop(early);
    bed.umount();
    let m = bed.mount_with(ON);
    assert_append_only(&m, "low");
    assert_without_data(bed, "low");
    m.append("low", b"more");
    assert_with_data(bed, "low", &[&content, &b"more"[..]].concat());
    assert_append_only(&m, "low");
    clear(&m, "low", IFlags::APPEND);
    m.unlink("low");
}

fn immutable_is_kept_by_a_metacopy(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.lower.file("low", &content);
    let m = bed.mount_with(ON);
    set(&m, "low", IFlags::IMMUTABLE);
    assert_without_data(bed, "low");
    bed.umount();
    let m = bed.mount_with(ON);
    assert!(flags(&m, "low").contains(IFlags::IMMUTABLE));
    refused(
        Errno::PERM,
        rustix::fs::open(m.at("low"), OFlags::RDWR, rustix::fs::Mode::empty()),
    );
    same_bytes("low", &m.read("low"), &content);
    assert_without_data(bed, "low");
    clear(&m, "low", IFlags::IMMUTABLE);
    assert_without_data(bed, "low");
    m.append("low", b"more");
    assert_with_data(bed, "low", &[&content, &b"more"[..]].concat());
}

fn flags_are_kept_by_the_data(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.lower.file("low", &content);
    set(&bed.lower, "low", IFlags::NOATIME);
    let m = bed.mount_with(ON);
    m.chmod("low", 0o640);
    assert_without_data(bed, "low");
    for dir in [&m, &bed.upper] {
        assert!(flags(dir, "low").contains(IFlags::NOATIME));
    }
    drop(m.open_rw("low"));
    assert_with_data(bed, "low", &content);
    for dir in [&m, &bed.upper] {
        assert!(flags(dir, "low").contains(IFlags::NOATIME));
    }
}

const FS_XFLAG_IMMUTABLE: u32 = 0x8;

#[track_caller]
fn set_extended(dir: &Dir, name: &str, extended: Extended) {
    must("FS_IOC_FSSETXATTR", try_set_extended(dir, name, &extended));
}

fn immutable_by_extended_flags(bed: &Bed) {
    let content = pattern(1, SIZE);
    for (name, options) in [("whole", "metacopy=off"), ("metacopy", ON)] {
        bed.lower.file(name, &content);
        let m = bed.mount_with(options);
        let mut new = extended(&m, name);
        new.xflags |= FS_XFLAG_IMMUTABLE;
        set_extended(&m, name, new);
        assert_eq!(extended(&m, name).xflags & FS_XFLAG_IMMUTABLE, 8);
        assert_eq!(extended(&bed.upper, name).xflags & FS_XFLAG_IMMUTABLE, 0);
        assert!(flags(&m, name).contains(IFlags::IMMUTABLE));
        refused(Errno::PERM, unlink(m.at(name)));
        set_extended(&m, name, extended(&bed.upper, name));
        m.append(name, b"more");
        m.unlink(name);
        bed.umount();
    }
    bed.mount();
}

fn the_project_is_stored(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.lower.file("whole", &content);
    bed.lower.file("metacopy", &content);
    for (name, options) in [("whole", "metacopy=off"), ("metacopy", ON)] {
        let m = bed.mount_with(options);
        let early = m.open_read(name);
        let mut new = extended(&m, name);
        new.project = 4242;
        set_extended(&m, name, new);
        assert_eq!(extended(&m, name).project, 4242);
        assert_eq!(extended(&bed.upper, name).project, 4242);
        assert_eq!(extended(&bed.lower, name).project, 0);
        m.append(name, b"more");
        assert_with_data(bed, name, &[&content, &b"more"[..]].concat());
        assert_eq!(extended(&bed.upper, name).project, 4242);
        drop(early);
        bed.umount();
    }
    let m = bed.mount_with(ON);
    assert_eq!(extended(&m, "metacopy").project, 4242);
}
