// SPDX-License-Identifier: GPL-2.0

//! The flags of `open` and of `fcntl(F_SETFL)`.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{
    fcntl_getfl, fcntl_setfl, fstat, linkat, open, openat, AtFlags, Mode, OFlags, CWD,
};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::must::{must, refused, same_bytes};
use crate::support::process::{as_user, USER};

tests! {
    EVERYWHERE: truncate, direct, temporary_file, temporary_file_gets_a_name;
    TWICE:
        append,
        append_set_and_cleared,
        create_and_exclusive,
        directory,
        path,
        path_of_a_file_reopened,
        no_atime,
        truncate_a_read_only_file,
        write_only_refuses_reads,
        read_only_refuses_writes,
        a_directory_is_not_written,
        synchronous,
        temporary_file_of_a_user,
        temporary_file_in_a_lower_directory,
        temporary_file_stays_nameless,
        unlinked_while_open,
        removed_while_open_and_changed_then,
        through_a_directory_descriptor,
        reopened_by_proc,
        flags_survive_copy_up;
}

/// A lower, an upper and a copied-up file, each saying `content`.
fn three_files(bed: &Bed) -> (Dir, [&'static str; 3]) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    bed.lower.file("copied", "content");
    let m = bed.mount();
    m.chmod("copied", 0o644);
    (m, ["low", "up", "copied"])
}

fn try_open(m: &Dir, name: &str, flags: OFlags) -> Result<File, Errno> {
    open(m.at(name), flags, Mode::from_raw_mode(0o644)).map(File::from)
}

fn append(bed: &Bed) {
    let (m, names) = three_files(bed);
    for name in names {
        let mut one = m.open(name, OFlags::RDWR | OFlags::APPEND);
        let mut two = m.open(name, OFlags::WRONLY | OFlags::APPEND);
        must("write", one.write_all(b", one"));
        must("write", two.write_all(b", two"));
        must("lseek", one.seek(SeekFrom::Start(0)));
        must("write", one.write_all(b", three"));
        assert_eq!(m.text(name), "content, one, two, three");
    }
}

fn append_set_and_cleared(bed: &Bed) {
    let (m, names) = three_files(bed);
    for name in names {
        let mut file = m.open_rw(name);
        must("F_SETFL", fcntl_setfl(&file, OFlags::APPEND));
        assert!(must("F_GETFL", fcntl_getfl(&file)).contains(OFlags::APPEND));
        must("write", file.write_all(b", more"));
        must("F_SETFL", fcntl_setfl(&file, OFlags::empty()));
        must("lseek", file.seek(SeekFrom::Start(0)));
        must("write", file.write_all(b"C"));
        assert_eq!(m.text(name), "Content, more");
    }
}

fn truncate(bed: &Bed) {
    let (m, names) = three_files(bed);
    for name in names {
        drop(m.open(name, OFlags::WRONLY | OFlags::TRUNC));
        assert_eq!(m.stat(name).st_size, 0);
        assert_eq!(bed.upper.stat(name).st_size, 0);
        m.file(name, "new");
        assert_eq!(m.text(name), "new");
    }
    assert_eq!(bed.lower.text("low"), "content");
}

fn truncate_a_read_only_file(bed: &Bed) {
    let (m, names) = three_files(bed);
    for name in names {
        m.chmod(name, 0o444);
        as_user(USER, || {
            refused(
                Errno::ACCESS,
                try_open(&m, name, OFlags::RDONLY | OFlags::TRUNC),
            );
        });
        drop(m.open(name, OFlags::RDONLY | OFlags::TRUNC));
        assert_eq!(m.stat(name).st_size, 0);
    }
}

fn create_and_exclusive(bed: &Bed) {
    let (m, names) = three_files(bed);
    for name in names {
        let flags = OFlags::RDWR | OFlags::CREATE;
        refused(Errno::EXIST, try_open(&m, name, flags | OFlags::EXCL));
        let mut text = String::new();
        must(
            "read",
            must("open", try_open(&m, name, flags)).read_to_string(&mut text),
        );
        assert_eq!(text, "content");
    }
    drop(must(
        "create",
        try_open(&m, "new", OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL),
    ));
    assert_eq!(bed.upper.mode("new"), 0o644);
    m.unlink("low");
    let again = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    drop(must("create over a whiteout", try_open(&m, "low", again)));
    assert_eq!(m.text("low"), "");
}

fn directory(bed: &Bed) {
    let (m, names) = three_files(bed);
    for name in names {
        refused(
            Errno::NOTDIR,
            try_open(&m, name, OFlags::RDONLY | OFlags::DIRECTORY),
        );
    }
    drop(m.open("", OFlags::RDONLY | OFlags::DIRECTORY));
}

fn a_directory_is_not_written(bed: &Bed) {
    bed.lower.sub("low");
    bed.upper.sub("up");
    let m = bed.mount();
    for name in ["", "low", "up"] {
        refused(Errno::ISDIR, try_open(&m, name, OFlags::WRONLY));
        refused(Errno::ISDIR, try_open(&m, name, OFlags::RDWR));
        refused(
            Errno::ISDIR,
            try_open(&m, name, OFlags::RDONLY | OFlags::CREATE),
        );
        refused(
            Errno::ISDIR,
            rustix::io::read(m.open_read(name), &mut [0; 8]),
        );
    }
}

fn path(bed: &Bed) {
    let (m, names) = three_files(bed);
    for name in names {
        let file = m.open(name, OFlags::PATH);
        refused(Errno::BADF, rustix::io::read(&file, &mut [0; 8]));
        let stat = must("fstat", fstat(&file));
        assert_eq!(stat.st_ino, m.stat(name).st_ino);
    }
    assert!(!bed.upper.exists("low"));
    m.append("low", b", more");
}

fn path_of_a_file_reopened(bed: &Bed) {
    let (m, names) = three_files(bed);
    for name in names {
        let file = m.open(name, OFlags::PATH);
        let again = format!("/proc/self/fd/{}", file.as_raw_fd());
        must("write", std::fs::write(&again, "changed"));
        assert_eq!(m.text(name), "changed");
    }
}

fn direct(bed: &Bed) {
    let content = pattern(1, 16384);
    bed.lower.file("low", &content);
    bed.upper.file("up", &content);
    let m = bed.mount();
    for name in ["low", "up"] {
        let reader = m.open(name, OFlags::RDONLY | OFlags::DIRECT);
        let mut buffer = Aligned::new();
        must("read", reader.read_exact_at(buffer.bytes(), 8192));
        same_bytes(name, buffer.bytes(), &content[8192..12288]);

        let writer = m.open(name, OFlags::RDWR | OFlags::DIRECT);
        buffer.bytes().fill(7);
        must("write", writer.write_all_at(buffer.bytes(), 4096));
        let mut want = content.clone();
        want[4096..8192].fill(7);
        same_bytes(name, &m.read(name), &want);
        must("read", reader.read_exact_at(buffer.bytes(), 4096));
        same_bytes("the older descriptor", buffer.bytes(), &[7; 4096]);
    }
    same_bytes("lower", &bed.lower.read("low"), &content);
}

/// A page in memory, as direct input and output demands.
struct Aligned(Vec<u8>);

impl Aligned {
    fn new() -> Self {
        Self(vec![0; 8192])
    }

    fn bytes(&mut self) -> &mut [u8] {
        let offset = self.0.as_ptr().align_offset(4096);
        &mut self.0[offset..offset + 4096]
    }
}

fn temporary_file(bed: &Bed) {
    let m = bed.mount();
    let mut file = m.open_temporary("");
    must("write", file.write_all(b"nameless"));
    let mut text = String::new();
    must("lseek", file.seek(SeekFrom::Start(0)));
    must("read", file.read_to_string(&mut text));
    assert_eq!(text, "nameless");
    let stat = must("fstat", fstat(&file));
    assert_eq!((stat.st_nlink, stat.st_size), (0, 8));
    assert!(m.names("").is_empty());
    drop(file);
    assert!(bed.upper.names("").is_empty());
    bed.assert_work_is_empty();
}

fn give_name(file: &File, m: &Dir, name: &str) -> Result<(), Errno> {
    let by_proc = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(CWD, by_proc, CWD, m.at(name), AtFlags::SYMLINK_FOLLOW)
}

fn temporary_file_gets_a_name(bed: &Bed) {
    bed.lower.sub("dir").file("taken", "");
    let m = bed.mount();
    let mut file = m.open_temporary("");
    must("write", file.write_all(b"named later"));
    refused(Errno::EXIST, give_name(&file, &m, "dir/taken"));
    must("linkat", give_name(&file, &m, "dir/name"));
    assert_eq!(m.text("dir/name"), "named later");
    assert_eq!(
        must("fstat", fstat(&file)).st_ino,
        m.stat("dir/name").st_ino
    );
    assert_eq!(m.stat("dir/name").st_nlink, 1);
    must("write", file.write_all(b", written on"));
    drop(file);
    let m = bed.remount_fresh();
    assert_eq!(m.text("dir/name"), "named later, written on");
}

fn temporary_file_stays_nameless(bed: &Bed) {
    let m = bed.mount();
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::EXCL;
    let file = File::from(must(
        "open",
        open(m.path(), flags, Mode::from_raw_mode(0o600)),
    ));
    refused(Errno::NOENT, give_name(&file, &m, "name"));
}

fn temporary_file_of_a_user(bed: &Bed) {
    bed.lower.sub_mode("dir", 0o777);
    let m = bed.mount();
    as_user(USER, || {
        refused(
            Errno::ACCESS,
            open(
                m.path(),
                OFlags::TMPFILE | OFlags::RDWR,
                Mode::from_raw_mode(0o600),
            ),
        );
        let mut file = m.open_temporary("dir");
        must("write", file.write_all(b"mine"));
        assert_eq!(must("fstat", fstat(&file)).st_uid, USER);
        must("linkat", give_name(&file, &m, "dir/name"));
    });
    assert_eq!(bed.upper.stat("dir/name").st_uid, USER);
    assert_eq!(bed.upper.mode("dir/name"), 0o600);
}

fn temporary_file_in_a_lower_directory(bed: &Bed) {
    bed.lower.sub("a").sub("b").file("low", "");
    let m = bed.mount();
    let file = m.open_temporary("a/b");
    must("linkat", give_name(&file, &m, "a/b/name"));
    assert_eq!(m.names("a/b"), ["low", "name"]);
    assert_eq!(bed.upper.names("a/b"), ["name"]);
}

fn no_atime(bed: &Bed) {
    let (m, names) = three_files(bed);
    for name in names {
        let mut text = String::new();
        let mut file = m.open(name, OFlags::RDONLY | OFlags::NOATIME);
        must("read", file.read_to_string(&mut text));
        assert_eq!(text, "content");
        assert!(must("F_GETFL", fcntl_getfl(&file)).contains(OFlags::NOATIME));
    }
}

fn write_only_refuses_reads(bed: &Bed) {
    let (m, names) = three_files(bed);
    for name in names {
        let file = m.open(name, OFlags::WRONLY);
        refused(Errno::BADF, rustix::io::read(&file, &mut [0; 8]));
    }
}

fn read_only_refuses_writes(bed: &Bed) {
    let (m, names) = three_files(bed);
    for name in names {
        let file = m.open_read(name);
        refused(Errno::BADF, rustix::io::write(&file, b"x"));
        refused(Errno::BADF, rustix::io::pwrite(&file, b"x", 0));
    }
    assert!(!bed.upper.exists("low"));
}

fn synchronous(bed: &Bed) {
    let (m, names) = three_files(bed);
    for name in names {
        for flag in [OFlags::SYNC, OFlags::DSYNC] {
            let file = m.open(name, OFlags::RDWR | flag);
            must("write", file.write_all_at(b"C", 0));
        }
        assert_eq!(m.text(name), "Content");
    }
}

fn unlinked_while_open(bed: &Bed) {
    let (m, names) = three_files(bed);
    for name in names {
        let mut file = m.open_rw(name);
        m.unlink(name);
        must("write", file.write_all(b"CON"));
        must("lseek", file.seek(SeekFrom::Start(0)));
        let mut text = String::new();
        must("read", file.read_to_string(&mut text));
        assert_eq!(text, "CONtent");
        assert_eq!(must("fstat", fstat(&file)).st_nlink, 0);
    }
    assert!(m.names("").is_empty());
}

fn removed_while_open_and_changed_then(bed: &Bed) {
    bed.lower.file("file", "content");
    bed.lower.sub("dir");
    let m = bed.mount();
    let file = m.open_read("file");
    let dir = m.open("dir", OFlags::RDONLY | OFlags::DIRECTORY);
    m.unlink("file");
    m.rmdir("dir");
    for gone in [&file, &dir] {
        must(
            "fchmod",
            rustix::fs::fchmod(gone, Mode::from_raw_mode(0o700)),
        );
        assert_eq!(must("fstat", fstat(gone)).st_mode & 0o7777, 0o700);
    }
    assert!(m.names("").is_empty());
}

fn through_a_directory_descriptor(bed: &Bed) {
    let sub = bed.lower.sub("dir");
    sub.file("low", "content");
    let m = bed.mount();
    let dir = m.open("dir", OFlags::RDONLY | OFlags::DIRECTORY);
    let flags = OFlags::WRONLY | OFlags::CREATE;
    let mode = Mode::from_raw_mode(0o644);
    for name in ["low", "new"] {
        let file = must("openat", openat(dir.as_fd(), name, flags, mode));
        must("write", rustix::io::write(file, b"CONTENT"));
    }
    m.rename("dir/new", "dir/newer");
    assert_eq!(m.text("dir/low"), "CONTENT");
    assert_eq!(m.text("dir/newer"), "CONTENT");
}

fn reopened_by_proc(bed: &Bed) {
    let (m, names) = three_files(bed);
    for name in names {
        let file = m.open_read(name);
        let again = format!("/proc/self/fd/{}", file.as_raw_fd());
        let target = must("readlink", std::fs::read_link(&again));
        assert_eq!(target, m.at(name));
        must("write", std::fs::write(&again, "changed"));
        assert_eq!(m.text(name), "changed");
        let mut text = String::new();
        must("read", (&file).read_to_string(&mut text));
        assert_eq!(text, "changed");
    }
}

fn flags_survive_copy_up(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount();
    let file = m.open("low", OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOATIME);
    let before = must("F_GETFL", fcntl_getfl(&file));
    m.append("low", b"more");
    assert_eq!(must("read", rustix::io::read(&file, &mut [0; 32])), 11);
    assert_eq!(must("F_GETFL", fcntl_getfl(&file)), before);
}
