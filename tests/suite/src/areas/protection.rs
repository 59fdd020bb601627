// SPDX-License-Identifier: GPL-2.0

//! Immutable and append-only objects: upper's cannot be so themselves, since
//! they could not be put in their place, so the overlay keeps a note of it.

use rustix::fs::{ioctl_getflags, ioctl_setflags, mkdir, rename, rmdir, unlink, IFlags, Mode};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::attribute::PROTATTR as NOTE;
use crate::support::dir::Dir;
use crate::support::must::{must, refused};

tests! {
    ONE_FILESYSTEM:
        is_noted_in_upper,
        a_directory_keeps_its_entries,
        of_a_lower_directory,
        of_an_append_only_lower_directory,
        outlasts_the_mount,
        both_at_once,
        with_other_flags,
        statx_tells;
    TWICE:
        notes_that_make_no_sense,
        a_note_by_hand;
}

#[track_caller]
fn flags(dir: &Dir, name: &str) -> IFlags {
    let all = must("FS_IOC_GETFLAGS", ioctl_getflags(dir.open_read(name)));
    all & (IFlags::IMMUTABLE | IFlags::APPEND | IFlags::NOATIME)
}

#[track_caller]
fn set(dir: &Dir, name: &str, flags: IFlags) {
    let file = dir.open_read(name);
    let mut all = must("FS_IOC_GETFLAGS", ioctl_getflags(&file));
    all.remove(IFlags::IMMUTABLE | IFlags::APPEND | IFlags::NOATIME);
    must("FS_IOC_SETFLAGS", ioctl_setflags(&file, all | flags));
}

fn is_noted_in_upper(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.sub("low-dir");
    bed.upper.file("up", "content");
    let m = bed.mount();
    for name in ["low", "low-dir", "up"] {
        for (flag, note) in [(IFlags::IMMUTABLE, b"i"), (IFlags::APPEND, b"a")] {
            set(&m, name, flag);
            assert_eq!(flags(&m, name), flag, "{name}");
            assert_eq!(flags(&bed.upper, name), IFlags::empty(), "{name}");
            assert_eq!(bed.upper.xattr(name, NOTE).as_deref(), Some(&note[..]));
            assert_eq!(m.xattr(name, NOTE), None);
        }
        set(&m, name, IFlags::empty());
        assert_eq!(bed.upper.xattr(name, NOTE), None);
        m.chmod(name, 0o700);
    }
}

#[track_caller]
fn assert_immutable(dir: &Dir, entry: &str) {
    refused(Errno::PERM, std::fs::write(dir.at("new"), ""));
    refused(Errno::PERM, mkdir(dir.at("new"), Mode::RWXU));
    refused(Errno::PERM, unlink(dir.at(entry)));
    refused(Errno::PERM, rename(dir.at(entry), dir.at("renamed")));
    refused(Errno::PERM, rmdir(dir.path()));
}

fn a_directory_keeps_its_entries(bed: &Bed) {
    bed.lower.sub("dir").file("low", "content");
    bed.upper.sub("dir").file("up", "content");
    let m = bed.mount();
    set(&m, "dir", IFlags::IMMUTABLE);
    for entry in ["low", "up"] {
        assert_immutable(&m.join("dir"), entry);
        // Its entries are not immutable themselves, also not the one to be copied up into it.
        m.join("dir").append(entry, b", more");
        assert_eq!(m.text(&format!("dir/{entry}")), "content, more");
    }
    assert!(bed.upper.exists("dir/low"));
    set(&m, "dir", IFlags::empty());
    m.unlink("dir/low");
    m.unlink("dir/up");
    m.rmdir("dir");
}

fn of_a_lower_directory(bed: &Bed) {
    bed.lower.sub("dir").file("low", "content");
    bed.lower.sub("dir/sub").file("deep", "content");
    set(&bed.lower, "dir", IFlags::IMMUTABLE);
    let m = bed.mount();
    for _ in 0..2 {
        assert_eq!(flags(&m, "dir"), IFlags::IMMUTABLE);
        assert_immutable(&m.join("dir"), "low");
        m.append("dir/low", b"+");
        m.append("dir/sub/deep", b"+");
    }
    assert_eq!(bed.upper.text("dir/low"), "content++");
    assert_eq!(flags(&bed.upper, "dir"), IFlags::empty());
    assert_eq!(bed.upper.xattr("dir", NOTE).as_deref(), Some(&b"i"[..]));
    set(&m, "dir", IFlags::empty());
    m.file("dir/new", "");
    set(&bed.lower, "dir", IFlags::empty());
}

fn of_an_append_only_lower_directory(bed: &Bed) {
    bed.lower.sub("dir").file("low", "content");
    set(&bed.lower, "dir", IFlags::APPEND);
    let m = bed.mount();
    m.file("dir/new", "");
    refused(Errno::PERM, unlink(m.at("dir/low")));
    refused(Errno::PERM, unlink(m.at("dir/new")));
    assert_eq!(flags(&m, "dir"), IFlags::APPEND);
    assert_eq!(bed.upper.xattr("dir", NOTE).as_deref(), Some(&b"a"[..]));
    set(&m, "dir", IFlags::empty());
    m.unlink("dir/low");
    m.unlink("dir/new");
    set(&bed.lower, "dir", IFlags::empty());
}

fn outlasts_the_mount(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.sub("dir").file("inside", "");
    let m = bed.mount();
    set(&m, "low", IFlags::APPEND);
    set(&m, "dir", IFlags::IMMUTABLE);
    let m = bed.remount_fresh();
    assert_eq!(flags(&m, "low"), IFlags::APPEND);
    refused(Errno::PERM, std::fs::write(m.at("low"), ""));
    m.append("low", b", more");
    assert_immutable(&m.join("dir"), "inside");
    bed.umount();
    // The other driver understands the notes.
    let m = bed.mount_by_other();
    assert_eq!(flags(&m, "low"), IFlags::APPEND);
    assert_immutable(&m.join("dir"), "inside");
    set(&m, "low", IFlags::empty());
    set(&m, "dir", IFlags::APPEND);
    bed.umount();
    let m = bed.mount();
    assert_eq!(flags(&m, "low"), IFlags::empty());
    assert_eq!(flags(&m, "dir"), IFlags::APPEND);
    set(&m, "dir", IFlags::empty());
}

fn both_at_once(bed: &Bed) {
    let both = IFlags::IMMUTABLE | IFlags::APPEND;
    bed.lower.file("low", "content");
    set(&bed.lower, "low", both);
    bed.lower.file("plain", "content");
    let m = bed.mount();
    assert_eq!(flags(&m, "low"), both);
    set(&m, "plain", both);
    assert_eq!(bed.upper.xattr("plain", NOTE).as_deref(), Some(&b"ai"[..]));
    set(&m, "low", IFlags::APPEND);
    assert_eq!(flags(&m, "low"), IFlags::APPEND);
    set(&m, "low", IFlags::empty());
    set(&m, "plain", IFlags::empty());
    set(&bed.lower, "low", IFlags::empty());
}

fn with_other_flags(bed: &Bed) {
    bed.lower.sub("dir").file("inside", "content");
    bed.lower.file("low", "content");
    let (dir, file) = (
        IFlags::IMMUTABLE | IFlags::NOATIME,
        IFlags::APPEND | IFlags::NOATIME,
    );
    set(&bed.lower, "dir", dir);
    set(&bed.lower, "low", file);
    let m = bed.mount();
    m.append("dir/inside", b", more");
    m.append("low", b", more");
    for at in [&m, &bed.remount_fresh()] {
        assert_eq!(flags(at, "dir"), dir);
        assert_eq!(flags(at, "low"), file);
    }
    assert_eq!(flags(&bed.upper, "dir"), IFlags::NOATIME);
    assert_eq!(flags(&bed.upper, "low"), IFlags::NOATIME);
    set(&bed.lower, "dir", IFlags::empty());
    set(&bed.lower, "low", IFlags::empty());
}

fn statx_tells(bed: &Bed) {
    use rustix::fs::{statx, AtFlags, StatxAttributes, StatxFlags, CWD};
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    let m = bed.mount();
    let told = |name| {
        let stat = statx(CWD, m.at(name), AtFlags::empty(), StatxFlags::empty());
        must("statx", stat).stx_attributes & (StatxAttributes::IMMUTABLE | StatxAttributes::APPEND)
    };
    for name in ["low", "up"] {
        assert_eq!(told(name), StatxAttributes::empty());
        set(&m, name, IFlags::IMMUTABLE);
        assert_eq!(told(name), StatxAttributes::IMMUTABLE);
        set(&m, name, IFlags::APPEND);
        assert_eq!(told(name), StatxAttributes::APPEND);
        set(&m, name, IFlags::empty());
    }
}

fn notes_that_make_no_sense(bed: &Bed) {
    let values: [&[u8]; 6] = [b"", b"x", b"ix", b"xi", b"\0", &[b'i'; 200]];
    for (number, value) in values.iter().enumerate() {
        bed.upper.file(&format!("up-{number}"), "content");
        bed.upper.set_xattr(&format!("up-{number}"), NOTE, value);
    }
    let m = bed.mount();
    for number in 0..values.len() {
        m.append(&format!("up-{number}"), b", more");
        m.file(&format!("up-{number}"), "over");
        m.unlink(&format!("up-{number}"));
    }
}

fn a_note_by_hand(bed: &Bed) {
    for (name, note) in [("i", "i"), ("a", "a"), ("ai", "ai"), ("iaa", "iaa")] {
        bed.upper.file(name, "content");
        bed.upper.set_xattr(name, NOTE, note.as_bytes());
    }
    // What is not in upper has none.
    bed.lower.file("low", "content");
    bed.lower.set_xattr("low", NOTE, b"i");
    let m = bed.mount();
    for name in ["i", "a", "ai", "iaa"] {
        refused(Errno::PERM, unlink(m.at(name)));
        refused(Errno::PERM, std::fs::write(m.at(name), ""));
    }
    m.append("a", b", more");
    m.append("low", b", more");
    assert_eq!(bed.upper.xattr("low", NOTE), None);
}
