// SPDX-License-Identifier: GPL-2.0

//! Whatever tells an object's numbers tells the same ones: `stat`, `statx`,
//! `fstat` of an old descriptor and of a new one, `getdents64`, and in `/proc`
//! the list of mappings, of locks, and a descriptor's own file.

use std::fs::{read_to_string, File};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use rustix::fs::{
    flock, fstat, major, makedev, minor, statx, AtFlags, FileType, FlockOperation, OFlags,
    StatxFlags, CWD,
};
use rustix::io::Errno;
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::handle::{self, Handle};
use crate::support::listing;
use crate::support::must::must;

tests! {
    EVERYWHERE:
        agree_on_lower_objects,
        agree_on_upper_objects,
        agree_on_new_objects,
        agree_on_merged_directories;
}

/// Every type of object, with the name that it gets.
const KINDS: [(&str, FileType); 7] = [
    ("file", FileType::RegularFile),
    ("dir", FileType::Directory),
    ("symlink", FileType::Symlink),
    ("fifo", FileType::Fifo),
    ("socket", FileType::Socket),
    ("char", FileType::CharacterDevice),
    ("block", FileType::BlockDevice),
];

/// The names that [`make_each`] gives.
pub fn each(prefix: &str) -> Vec<String> {
    KINDS.map(|(name, _)| format!("{prefix}{name}")).to_vec()
}

/// Makes an object of each type in a directory.
#[track_caller]
pub fn make_each(dir: &Dir, prefix: &str) {
    for (name, kind) in KINDS {
        let name = format!("{prefix}{name}");
        match kind {
            FileType::RegularFile => dir.file(&name, "content"),
            FileType::Directory => drop(dir.sub(&name)),
            FileType::Symlink => dir.symlink("target", &name),
            FileType::CharacterDevice => dir.node(&name, kind, 0o644, (1, 3)),
            FileType::BlockDevice => dir.node(&name, kind, 0o644, (7, 0)),
            _ => dir.node(&name, kind, 0o644, (0, 0)),
        }
    }
}

/// A descriptor of the object, by which alone nothing is changed or read.
#[track_caller]
pub fn hold(m: &Dir, name: &str) -> File {
    match m.kind(name) {
        FileType::RegularFile | FileType::Directory => m.open_read(name),
        _ => m.open(name, OFlags::PATH | OFlags::NOFOLLOW),
    }
}

/// What identifies an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Device and inode number.
    pub numbers: (u64, u64),
    /// The file handle, or why there is none.
    pub handle: Result<Handle, Errno>,
}

/// The identity of the object at `path`, which `held` is a descriptor of;
/// fails if two ways to learn the numbers differ.
#[track_caller]
pub fn look(m: &Dir, path: &str, held: &File) -> Identity {
    let stat = m.stat(path);
    let numbers = (stat.st_dev, stat.st_ino);
    let new = hold(m, path);
    for (how, file) in [("the old descriptor", held), ("a new descriptor", &new)] {
        let stat = must("fstat", fstat(file));
        assert_eq!(
            (stat.st_dev, stat.st_ino),
            numbers,
            "{path}: fstat of {how}"
        );
        let by_statx = statx_numbers(file, Path::new(""), AtFlags::EMPTY_PATH);
        assert_eq!(by_statx, numbers, "{path}: statx of {how}");
        assert_eq!(fdinfo_ino(file), numbers.1, "{path}: fdinfo of {how}");
    }
    let by_statx = statx_numbers(CWD, &m.at(path), AtFlags::SYMLINK_NOFOLLOW);
    assert_eq!(by_statx, numbers, "{path}: statx");
    assert_eq!(entry_ino(m, path), numbers.1, "{path}: d_ino");
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::RegularFile {
        assert_eq!(mapping_numbers(&new), numbers, "{path}: a new mapping");
    }
    if matches!(kind, FileType::RegularFile | FileType::Directory) {
        assert_eq!(lock_numbers(held), numbers, "{path}: a lock");
    }
    Identity {
        numbers,
        handle: handle::of(&m.at(path), 0),
    }
}

fn statx_numbers(dir: impl AsFd, path: &Path, flags: AtFlags) -> (u64, u64) {
    let found = must("statx", statx(dir, path, flags, StatxFlags::BASIC_STATS));
    let device = makedev(found.stx_dev_major, found.stx_dev_minor);
    (device, found.stx_ino)
}

/// What the directory says about the name.
#[track_caller]
fn entry_ino(m: &Dir, path: &str) -> u64 {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    listing::all(&m.open(parent, OFlags::RDONLY | OFlags::DIRECTORY))
        .iter()
        .find(|entry| entry.name == name)
        .unwrap_or_else(|| panic!("{path} is not listed"))
        .ino
}

fn fdinfo_ino(file: &File) -> u64 {
    let path = format!("/proc/self/fdinfo/{}", file.as_raw_fd());
    let text = must("read fdinfo", read_to_string(path));
    text.lines()
        .find_map(|line| line.strip_prefix("ino:"))
        .and_then(|ino| ino.trim().parse().ok())
        .expect("ino: in fdinfo")
}

/// Parses `MAJOR:MINOR` with hexadecimal numbers.
fn device(text: &str) -> Option<u64> {
    let (major, minor) = text.split_once(':')?;
    let parse = |text| u32::from_str_radix(text, 16).ok();
    Some(makedev(parse(major)?, parse(minor)?))
}

fn mapping_numbers(file: &File) -> (u64, u64) {
    let flags = MapFlags::SHARED;
    // SAFETY: a new mapping, which nothing accesses.
    let address = unsafe { mmap(std::ptr::null_mut(), 1, ProtFlags::READ, flags, file, 0) };
    let address = must("mmap", address);
    let maps = must("read maps", read_to_string("/proc/self/maps"));
    // SAFETY: the mapping just made.
    must("munmap", unsafe { munmap(address, 1) });
    let start = format!("{:08x}-", address as usize);
    let line = maps.lines().find(|line| line.starts_with(&start));
    let fields: Vec<_> = line.expect("the mapping").split_whitespace().collect();
    let ino = fields[4].parse().expect("inode number");
    (device(fields[3]).expect("device"), ino)
}

fn lock_numbers(file: &File) -> (u64, u64) {
    must("flock", flock(file, FlockOperation::LockShared));
    let locks = must("read locks", read_to_string("/proc/locks"));
    must("unlock", flock(file, FlockOperation::Unlock));
    let pid = std::process::id().to_string();
    // `1: FLOCK ADVISORY READ PID MAJOR:MINOR:INODE 0 EOF`
    let line = locks
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|fields| fields.get(1) == Some(&"FLOCK") && fields.get(4) == Some(&pid.as_str()))
        .unwrap_or_else(|| panic!("no lock of {pid} in {locks}"));
    let (dev, ino) = line[5].rsplit_once(':').expect("inode number");
    let device = device(dev).expect("device");
    (device, ino.parse().expect("inode number"))
}

/// Fails unless every object has the overlay's own device, as `/proc` shows it,
/// and all ways to learn its number agree.
#[track_caller]
fn assert_agree(m: &Dir, names: &[String]) {
    let device = m.stat("").st_dev;
    for name in names {
        let (dev, _) = look(m, name, &hold(m, name)).numbers;
        assert_eq!(
            (major(dev), minor(dev)),
            (major(device), minor(device)),
            "{name}"
        );
    }
}

/// Mounts all layers so that C overlayfs, too, shows one device.
#[track_caller]
pub fn mount(bed: &Bed) -> Dir {
    let options = format!("{},xino=on", bed.options());
    must("mount with xino=on", bed.try_mount(&options))
}

fn agree_on_lower_objects(bed: &Bed) {
    make_each(&bed.lower, "low-");
    make_each(&bed.below(1).sub("inner"), "bottom-");
    let m = mount(bed);
    assert_agree(&m, &each("low-"));
    assert_agree(&m, &each("inner/bottom-"));
}

fn agree_on_upper_objects(bed: &Bed) {
    make_each(&bed.upper, "up-");
    assert_agree(&mount(bed), &each("up-"));
}

fn agree_on_new_objects(bed: &Bed) {
    make_each(&bed.lower, "gone-");
    let m = mount(bed);
    make_each(&m, "new-");
    assert_agree(&m, &each("new-"));
    m.rmdir("gone-dir");
    for name in each("gone-").iter().filter(|name| *name != "gone-dir") {
        m.unlink(name);
    }
    make_each(&m, "gone-");
    assert_agree(&m, &each("gone-"));
}

fn agree_on_merged_directories(bed: &Bed) {
    for layer in [&bed.upper, &bed.lower, &bed.below(1)] {
        layer.sub("merged").sub("inner");
    }
    bed.lower.sub("copied");
    let m = mount(bed);
    m.file("copied/new", "");
    let names = ["merged", "merged/inner", "copied"].map(String::from);
    assert_agree(&m, &names);
}
