// SPDX-License-Identifier: GPL-2.0

//! The layers that all operations start from.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{chown, symlink, FileExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, Timespec, Timestamps, XattrFlags, CWD};

use crate::acl;

/// Lower layers between the two that most operations have.
pub const MANY: usize = 12;

/// What is in a small file.
pub const SMALL: &[u8] = b"What is in a small file of a lower layer.\n";
/// Bytes of a large one.
pub const LARGE: usize = 60_001;
/// Where the data of a sparse one is, which follows a hole.
pub const BEHIND_HOLE: u64 = 50_000;
/// The attribute that some objects have.
pub const ATTRIBUTE: &str = "user.colour";

/// A byte of a large file.
pub fn byte(at: usize) -> u8 {
    (at % 251) as u8
}

/// Makes all lower layers below `root`.
pub fn make(root: &Path) -> io::Result<()> {
    base(&root.join("base"))?;
    top(&root.join("top"))?;
    for number in 0..MANY {
        let layer = root.join(format!("m{number}"));
        fs::create_dir_all(layer.join("dir"))?;
        fs::write(layer.join(format!("dir/of{number}")), SMALL)?;
    }
    lazy(&root.join("lazy"))?;
    let program = root.join("program/program");
    fs::create_dir_all(root.join("program"))?;
    fs::write(&program, PROGRAM)?;
    fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    for layer in ["base", "top", "lazy", "program"] {
        set_times(&root.join(layer))?;
    }
    (0..MANY).try_for_each(|number| set_times(&root.join(format!("m{number}"))))
}

fn base(dir: &Path) -> io::Result<()> {
    for name in [
        "dir/sub",
        "empty",
        "alone/sub",
        "opaque",
        "masked",
        "default",
    ] {
        fs::create_dir_all(dir.join(name))?;
    }
    for name in [
        "small",
        "gone",
        "linked",
        "listed",
        "removed",
        "dir/a",
        "dir/b",
        "dir/sub/c",
        "alone/d",
        "alone/sub/e",
        "opaque/hidden",
        "masked/m",
    ] {
        fs::write(dir.join(name), SMALL)?;
    }
    fs::hard_link(dir.join("linked"), dir.join("alias"))?;
    let large: Vec<u8> = (0..LARGE).map(byte).collect();
    fs::write(dir.join("large"), large)?;
    let sparse = File::create(dir.join("sparse"))?;
    sparse.write_all_at(SMALL, BEHIND_HOLE)?;
    symlink("where/it/leads", dir.join("symlink"))?;
    let mode = Mode::from_raw_mode(0o640);
    let make =
        |name: &str, kind, device| rustix::fs::mknodat(CWD, dir.join(name), kind, mode, device);
    make(
        "device",
        FileType::CharacterDevice,
        rustix::fs::makedev(1, 7),
    )?;
    make("fifo", FileType::Fifo, 0)?;
    chown(dir.join("listed"), Some(7), Some(8))?;
    fs::set_permissions(dir.join("listed"), Permissions::from_mode(0o640))?;
    let set = |name: &str, attribute: &str, value: &[u8]| {
        rustix::fs::lsetxattr(dir.join(name), attribute, value, XattrFlags::empty())
    };
    set("listed", ATTRIBUTE, b"blue")?;
    set("listed", acl::ACCESS, &acl::with_user(9, 6))?;
    set("default", acl::DEFAULT, &acl::with_user(9, 6))?;
    set("dir", ATTRIBUTE, b"green")?;
    Ok(())
}

/// A layer above that one.
fn top(dir: &Path) -> io::Result<()> {
    for name in ["dir", "opaque", "masked"] {
        fs::create_dir_all(dir.join(name))?;
    }
    for name in ["dir/b", "dir/x", "opaque/shown"] {
        fs::write(dir.join(name), b"in top\n")?;
    }
    whiteout(&dir.join("gone"))?;
    whiteout(&dir.join("masked/m"))?;
    for namespace in ["trusted", "user"] {
        let name = format!("{namespace}.overlay.opaque");
        rustix::fs::lsetxattr(dir.join("opaque"), name, b"y", XattrFlags::empty())?;
    }
    Ok(())
}

/// A layer with a file whose data is in a layer of data only.
fn lazy(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    File::create(dir.join("lazy"))?.set_len(SMALL.len() as u64)?;
    let set = |attribute: &str, value: &[u8]| {
        rustix::fs::lsetxattr(dir.join("lazy"), attribute, value, XattrFlags::empty())
    };
    set("trusted.overlay.metacopy", b"")?;
    Ok(set("trusted.overlay.redirect", b"/small")?)
}

/// Makes what upper has before an operation.
pub fn make_upper(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir.join("updir"))?;
    fs::write(dir.join("up"), SMALL)?;
    fs::write(dir.join("updir/f"), SMALL)?;
    whiteout(&dir.join("removed"))?;
    set_times(dir)
}

fn whiteout(path: &Path) -> io::Result<()> {
    let none = Mode::empty();
    Ok(rustix::fs::mknodat(
        CWD,
        path,
        FileType::CharacterDevice,
        none,
        0,
    )?)
}

/// Gives all a time of long ago, to see whether it is kept.
fn set_times(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            set_times(&entry?.path())?;
        }
    }
    let time = Timespec {
        tv_sec: 1_000_000_000 + path.as_os_str().len() as i64,
        tv_nsec: 123_456_789,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(rustix::fs::utimensat(
        CWD,
        path,
        &times,
        AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

/// A program for Linux on x86-64 that ends with success: an ELF header, one program header
/// that maps all of the file at 0x400000, and `mov $60, %eax; xor %edi, %edi; syscall`.
const PROGRAM: &[u8] = &[
    0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, // ident
    2, 0, 62, 0, 1, 0, 0, 0, // type, machine, version
    0x78, 0, 0x40, 0, 0, 0, 0, 0, // entry
    64, 0, 0, 0, 0, 0, 0, 0, // program headers
    0, 0, 0, 0, 0, 0, 0, 0, // section headers
    0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0, // flags, sizes and counts
    1, 0, 0, 0, 5, 0, 0, 0, // PT_LOAD, read and execute
    0, 0, 0, 0, 0, 0, 0, 0, // offset
    0, 0, 0x40, 0, 0, 0, 0, 0, // virtual address
    0, 0, 0x40, 0, 0, 0, 0, 0, // physical address
    0x81, 0, 0, 0, 0, 0, 0, 0, // size in the file
    0x81, 0, 0, 0, 0, 0, 0, 0, // size in memory
    0, 0x10, 0, 0, 0, 0, 0, 0, // alignment
    0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05, // code
];
