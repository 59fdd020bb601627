// SPDX-License-Identifier: GPL-2.0

//! With `metacopy=on`, a change of attributes copies no data; the data comes
//! when it is to be written.

use std::os::unix::fs::FileExt;

use rustix::fs::{fallocate, fchmod, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::areas::holes::data_ranges;
use crate::harness::bed::Bed;
use crate::support::acl;
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::image::CAPABILITY;
use crate::support::metacopy::{
    assert_no_blocks, assert_with_data, assert_without_data, is_one, ON, REDIRECT,
};
use crate::support::must::{must, refused, same_bytes};
use crate::support::process::as_user;

tests! {
    EVERYWHERE:
        a_large_file,
        changes_of_attributes_copy_no_data,
        writing_copies_the_data,
        attributes_are_kept_by_the_data,
        holes_stay_holes,
        space_is_that_of_the_data;
    ONE_FILESYSTEM: names_are_remembered;
    TWICE:
        off_copies_the_data,
        reading_copies_nothing,
        the_times_are_kept_by_the_data,
        an_empty_file,
        a_file_with_several_names,
        a_file_with_several_names_in_the_index,
        a_name_in_the_same_directory,
        a_name_in_another_directory,
        a_name_that_is_exchanged,
        a_link,
        a_link_of_a_renamed_file,
        a_path_that_is_too_long,
        without_a_name,
        directories_and_others_are_copied,
        truncation_by_path,
        written_by_a_user,
        is_not_followed_when_off,
        hidden_from_users,
        removed_and_made_again;
}

const SIZE: usize = 100_000;

/// Sixteen files with the same content, and the mount.
fn many(bed: &Bed) -> (Dir, Vec<u8>) {
    let content = pattern(1, SIZE);
    for number in 0..16 {
        bed.lower.file(&format!("{number}"), &content);
    }
    (bed.mount_with(ON), content)
}

fn one(bed: &Bed) -> (Dir, Vec<u8>) {
    let content = pattern(1, SIZE);
    bed.lower.file("low", &content);
    (bed.mount_with(ON), content)
}

fn a_large_file(bed: &Bed) {
    const SIZE: u64 = 64 << 20;
    let piece = pattern(1, 1 << 20);
    let file = bed.lower.create("low", 0o644);
    for at in (0..SIZE).step_by(1 << 20) {
        must("write", file.write_all_at(&piece, at));
    }
    drop(file);
    let m = bed.mount_with(ON);
    m.chmod("low", 0o600);
    assert_without_data(bed, "low");
    assert_eq!(bed.upper.stat("low").st_size as u64, SIZE);
    assert_eq!(m.stat("low").st_size as u64, SIZE);
    assert_eq!(m.mode("low"), 0o600);
    let file = m.open_read("low");
    let mut got = vec![0; 1 << 20];
    must("read", file.read_exact_at(&mut got, SIZE - (1 << 20)));
    same_bytes("the end", &got, &piece);
    assert_without_data(bed, "low");
}

fn changes_of_attributes_copy_no_data(bed: &Bed) {
    let (m, content) = many(bed);
    type Change = dyn Fn(&Dir, &str);
    let changes: &[(&str, &Change)] = &[
        ("chmod", &|m, name| m.chmod(name, 0o600)),
        ("chown", &|m, name| m.chown(name, 12, 34)),
        ("utimensat", &|m, name| m.set_times(name, (1, 2), (3, 4))),
        ("setxattr", &|m, name| m.set_xattr(name, "user.note", b"1")),
        ("setxattr of a trusted one", &|m, name| {
            m.set_xattr(name, "trusted.note", b"1");
        }),
        ("an ACL", &|m, name| {
            m.set_xattr(name, acl::ACCESS, &acl::with_user(77, 6));
        }),
        ("fchmod", &|m, name| {
            let file = m.open_read(name);
            must("fchmod", fchmod(&file, Mode::from_raw_mode(0o611)));
        }),
    ];
    for (number, (what, change)) in changes.iter().enumerate() {
        let name = format!("{number}");
        let before = m.stat(&name);
        change(&m, &name);
        assert_without_data(bed, &name);
        let after = m.stat(&name);
        assert_eq!(after.st_ino, before.st_ino, "{what}");
        assert_eq!(after.st_size, SIZE as i64, "{what}");
        same_bytes(what, &m.read(&name), &content);
    }
    let before: Vec<_> = (0..changes.len())
        .map(|number| m.stat(&format!("{number}")))
        .map(|stat| (stat.st_mode, stat.st_uid, stat.st_mtime, stat.st_size))
        .collect();
    bed.umount();
    let m = bed.mount_with(ON);
    for (number, (what, _)) in changes.iter().enumerate() {
        let name = format!("{number}");
        let stat = m.stat(&name);
        let after = (stat.st_mode, stat.st_uid, stat.st_mtime, stat.st_size);
        assert_eq!(after, before[number], "{what}, mounted again");
        same_bytes(what, &m.read(&name), &content);
        assert_without_data(bed, &name);
    }
}

fn writing_copies_the_data(bed: &Bed) {
    let (m, content) = many(bed);
    type Write = dyn Fn(&Dir, &str, &mut Vec<u8>);
    let writes: &[(&str, &Write)] = &[
        ("opening to write", &|m, name, _| {
            drop(m.open(name, OFlags::WRONLY));
        }),
        ("opening to read and write", &|m, name, _| {
            drop(m.open_rw(name));
        }),
        ("writing", &|m, name, content| {
            m.write_at(name, 5000, b"written");
            content[5000..5007].copy_from_slice(b"written");
        }),
        ("appending", &|m, name, content| {
            m.append(name, b"appended");
            content.extend_from_slice(b"appended");
        }),
        ("O_TRUNC", &|m, name, content| {
            m.file(name, "new");
            *content = b"new".to_vec();
        }),
        ("O_TRUNC without writing", &|m, name, content| {
            drop(m.open(name, OFlags::RDONLY | OFlags::TRUNC));
            content.clear();
        }),
        ("truncate", &|m, name, content| {
            must("truncate", m.open_rw(name).set_len(50_000));
            content.truncate(50_000);
        }),
        ("fallocate", &|m, name, content| {
            let file = m.open_rw(name);
            let flags = FallocateFlags::empty();
            must("fallocate", fallocate(&file, flags, 0, 150_000));
            content.resize(150_000, 0);
        }),
    ];
    for (number, (what, write)) in writes.iter().enumerate() {
        let name = format!("{number}");
        let mut content = content.clone();
        m.chmod(&name, 0o640);
        assert_without_data(bed, &name);
        write(&m, &name, &mut content);
        assert_with_data(bed, &name, &content);
        same_bytes(what, &m.read(&name), &content);
        assert_eq!(m.mode(&name), 0o640, "{what}");
        assert_eq!(m.stat(&name).st_size as usize, content.len());
    }
    bed.assert_work_is_empty();
    for number in 0..16 {
        same_bytes("lower", &bed.lower.read(&format!("{number}")), &content);
    }
}

fn attributes_are_kept_by_the_data(bed: &Bed) {
    bed.lower.file("low", pattern(1, SIZE));
    bed.lower.set_xattr("low", "user.note", b"1");
    bed.lower.set_xattr("low", "security.note", b"2");
    let m = bed.mount_with(ON);
    m.set_xattr("low", acl::ACCESS, &acl::with_user(77, 6));
    m.chown("low", 12, 34);
    m.chmod("low", 0o6775);
    m.set_xattr("low", "security.capability", CAPABILITY);
    assert_no_blocks(bed, "low");
    let keys = [
        "user.note",
        "security.note",
        "security.capability",
        acl::ACCESS,
    ];
    let before = keys.map(|key| m.xattr("low", key));
    drop(m.open_rw("low"));
    assert_with_data(bed, "low", &pattern(1, SIZE));
    assert_eq!(keys.map(|key| m.xattr("low", key)), before);
    assert_eq!(keys.map(|key| bed.upper.xattr("low", key)), before);
    assert_eq!(
        m.xattr("low", "security.capability").as_deref(),
        Some(CAPABILITY)
    );
    assert_eq!(m.mode("low"), 0o6775);
    let stat = m.stat("low");
    assert_eq!((stat.st_uid, stat.st_gid), (12, 34));
    // Writing takes it away, as ever.
    m.append("low", b"more");
    assert_eq!(m.xattr("low", "security.capability"), None);
}

fn the_times_are_kept_by_the_data(bed: &Bed) {
    let (m, _) = one(bed);
    m.set_times("low", (1_111_111_111, 5), (1_222_222_222, 6));
    drop(m.open("low", OFlags::WRONLY));
    for dir in [&m, &bed.upper] {
        let stat = dir.stat("low");
        assert_eq!((stat.st_mtime, stat.st_mtime_nsec), (1_222_222_222, 6));
        assert_eq!((stat.st_atime, stat.st_atime_nsec), (1_111_111_111, 5));
    }
}

/// A file with data at 1 MiB and at 3 MiB, 4 MiB long.
fn sparse(dir: &Dir, name: &str) -> [(u64, u64); 2] {
    let file = dir.create(name, 0o644);
    must("write", file.write_all_at(&pattern(1, 65536), 1 << 20));
    must("write", file.write_all_at(&pattern(2, 65536), 3 << 20));
    must("ftruncate", file.set_len(4 << 20));
    must("fsync", file.sync_all());
    [(1 << 20, (1 << 20) + 65536), (3 << 20, (3 << 20) + 65536)]
}

fn holes_stay_holes(bed: &Bed) {
    let ranges = sparse(&bed.lower, "low");
    let content = bed.lower.read("low");
    let m = bed.mount_with(ON);
    m.chmod("low", 0o600);
    assert_no_blocks(bed, "low");
    assert_eq!(data_ranges(&m.open_read("low")), ranges, "by the metacopy");
    drop(m.open_rw("low"));
    assert_with_data(bed, "low", &content);
    let got = data_ranges(&m.open_read("low"));
    assert!(got.iter().all(|&(start, _)| start >= 1 << 20), "{got:?}");
    let hole = (2 << 20)..(3 << 20);
    assert!(!got.iter().any(|range| hole.contains(&range.0)), "{got:?}");
    let blocks = bed.upper.stat("low").st_blocks;
    assert!(blocks * 512 < 3 << 20, "{blocks} blocks");
}

fn space_is_that_of_the_data(bed: &Bed) {
    let (m, _) = one(bed);
    must("fsync", bed.lower.open_rw("low").sync_all());
    let blocks = bed.lower.stat("low").st_blocks;
    assert!(blocks > 100);
    m.chmod("low", 0o600);
    assert_eq!(m.stat("low").st_blocks, blocks);
    let file = m.open_read("low");
    let stat = must("fstat", rustix::fs::fstat(&file));
    assert_eq!(stat.st_blocks, blocks);
    assert_eq!(stat.st_size, SIZE as i64);
    m.write_at("low", 0, b"more");
    must("fsync", m.open_rw("low").sync_all());
    assert_eq!(m.stat("low").st_blocks, bed.upper.stat("low").st_blocks);
}

fn off_copies_the_data(bed: &Bed) {
    bed.lower.file("low", pattern(1, SIZE));
    bed.lower.file("also-low", pattern(1, SIZE));
    let m = bed.mount();
    m.chmod("low", 0o600);
    assert_with_data(bed, "low", &pattern(1, SIZE));
    bed.umount();
    let m = bed.mount_with("metacopy=off");
    m.chmod("also-low", 0o600);
    assert_with_data(bed, "also-low", &pattern(1, SIZE));
}

fn reading_copies_nothing(bed: &Bed) {
    let (m, content) = one(bed);
    same_bytes("low", &m.read("low"), &content);
    assert!(!bed.upper.exists("low"));
    m.chmod("low", 0o600);
    same_bytes("low", &m.read("low"), &content);
    let file = m.open("low", OFlags::RDONLY | OFlags::NOATIME);
    must("fsync", file.sync_all());
    must("fdatasync", file.sync_data());
    assert_without_data(bed, "low");
}

fn an_empty_file(bed: &Bed) {
    bed.lower.file("low", "");
    let m = bed.mount_with(ON);
    m.chmod("low", 0o600);
    assert_eq!(m.stat("low").st_size, 0);
    m.append("low", b"more");
    assert_eq!(m.text("low"), "more");
    bed.umount();
    let m = bed.mount_with(ON);
    assert_eq!(m.text("low"), "more");
    assert_eq!(m.mode("low"), 0o600);
}

/// Each name becomes a file of its own, with `index=off`.
fn a_file_with_several_names(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.lower.file("low", &content);
    bed.lower.link("low", "two");
    let m = bed.mount_with(&format!("{ON},index=off"));
    m.chmod("low", 0o600);
    assert_without_data(bed, "low");
    same_bytes("low", &m.read("low"), &content);
    m.append("low", b"more");
    same_bytes("two", &m.read("two"), &content);
    m.chmod("two", 0o640);
    assert_without_data(bed, "two");
    m.rename("two", "three");
    same_bytes("three", &m.read("three"), &content);
    bed.umount();
    let m = bed.mount_with(&format!("{ON},index=off"));
    same_bytes("three", &m.read("three"), &content);
    assert_eq!(m.read("low").len(), SIZE + 4);
}

/// The names stay those of one file, with `index=on`.
fn a_file_with_several_names_in_the_index(bed: &Bed) {
    let options = format!("{ON},index=on");
    let mut content = pattern(1, SIZE);
    let dir = bed.lower.sub("dir");
    dir.file("low", &content);
    bed.lower.sub("other");
    for name in ["two", "other/three"] {
        must("link", rustix::fs::link(dir.at("low"), bed.lower.at(name)));
    }
    let m = bed.mount_with(&options);
    let early = m.open_read("two");
    m.chmod("dir/low", 0o640);
    assert_without_data(bed, "dir/low");
    for name in ["dir/low", "two", "other/three"] {
        assert_eq!(m.mode(name), 0o640, "{name}");
        assert_eq!(m.stat(name).st_nlink, 3, "{name}");
        same_bytes(name, &m.read(name), &content);
    }
    m.rename("two", "other/renamed");
    must("link", rustix::fs::link(m.at("dir/low"), m.at("four")));
    drop(early);
    bed.umount();
    let m = bed.mount_with(&options);
    let names = ["dir/low", "other/renamed", "other/three", "four"];
    let early = names.map(|name| m.open_read(name));
    for name in names {
        assert_eq!(m.stat(name).st_nlink, 4, "{name}");
        assert_eq!(m.stat(name).st_ino, m.stat("four").st_ino, "{name}");
        same_bytes(name, &m.read(name), &content);
    }
    m.write_at("other/three", 100, b"written");
    content[100..107].copy_from_slice(b"written");
    for (name, file) in names.iter().zip(&early) {
        same_bytes(name, &m.read(name), &content);
        let mut got = vec![0; SIZE];
        must("read", file.read_exact_at(&mut got, 0));
        same_bytes(name, &got, &content);
    }
    assert_with_data(bed, "other/three", &content);
    drop(early);
    bed.umount();
    let m = bed.mount_with(&options);
    for name in names {
        same_bytes(name, &m.read(name), &content);
    }
}

/// Fails unless the file is whole, mounted again, too, and can be written.
#[track_caller]
fn assert_survives(bed: &Bed, name: &str, content: &[u8]) {
    same_bytes("before", &bed.mnt.read(name), content);
    assert_without_data(bed, name);
    bed.umount();
    let m = bed.mount_with(ON);
    same_bytes("mounted again", &m.read(name), content);
    assert_without_data(bed, name);
    m.append(name, b"more");
    let content = [content, b"more"].concat();
    assert_with_data(bed, name, &content);
    bed.umount();
    let m = bed.mount_with(ON);
    same_bytes("with data", &m.read(name), &content);
}

#[track_caller]
fn redirect(bed: &Bed, name: &str) -> Option<String> {
    let value = bed.upper.xattr(name, REDIRECT)?;
    Some(String::from_utf8(value).expect("UTF-8"))
}

fn a_name_in_the_same_directory(bed: &Bed) {
    let (m, content) = one(bed);
    m.rename("low", "renamed");
    assert_eq!(redirect(bed, "renamed").as_deref(), Some("low"));
    m.rename("renamed", "again");
    assert_eq!(redirect(bed, "again").as_deref(), Some("low"));
    assert_survives(bed, "again", &content);
}

fn a_name_in_another_directory(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.lower.sub("a").sub("b").file("low", &content);
    bed.lower.sub("c");
    let m = bed.mount_with(ON);
    m.rename("a/b/low", "c/renamed");
    assert_eq!(redirect(bed, "c/renamed").as_deref(), Some("/a/b/low"));
    m.rename("c/renamed", "c/again");
    m.rename("c/again", "moved");
    assert_eq!(redirect(bed, "moved").as_deref(), Some("/a/b/low"));
    assert_survives(bed, "moved", &content);
}

fn a_name_that_is_exchanged(bed: &Bed) {
    let (a, b) = (pattern(1, SIZE), pattern(2, SIZE));
    bed.lower.sub("dir").file("a", &a);
    bed.lower.file("b", &b);
    let m = bed.mount_with(ON);
    must(
        "exchange",
        rustix::fs::renameat_with(
            rustix::fs::CWD,
            m.at("dir/a"),
            rustix::fs::CWD,
            m.at("b"),
            rustix::fs::RenameFlags::EXCHANGE,
        ),
    );
    same_bytes("b", &m.read("b"), &a);
    assert_survives(bed, "b", &a);
    assert_survives(bed, "dir/a", &b);
}

fn a_link(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.lower.sub("dir").file("low", &content);
    let m = bed.mount_with(ON);
    must("link", rustix::fs::link(m.at("dir/low"), m.at("linked")));
    assert_eq!(redirect(bed, "linked").as_deref(), Some("/dir/low"));
    assert_eq!(m.stat("linked").st_nlink, 2);
    m.unlink("dir/low");
    same_bytes("linked", &m.read("linked"), &content);
    assert_survives(bed, "linked", &content);
}

fn a_link_of_a_renamed_file(bed: &Bed) {
    let (m, content) = one(bed);
    m.sub("dir");
    m.rename("low", "renamed");
    must(
        "link",
        rustix::fs::link(m.at("renamed"), m.at("dir/linked")),
    );
    assert_eq!(redirect(bed, "dir/linked").as_deref(), Some("/low"));
    m.unlink("renamed");
    assert_survives(bed, "dir/linked", &content);
}

/// Where the redirect would be too long, the data is copied.
fn a_path_that_is_too_long(bed: &Bed) {
    let content = pattern(1, SIZE);
    let path = ["n".repeat(100), "m".repeat(100), "l".repeat(100)].join("/");
    must("mkdir", std::fs::create_dir_all(bed.lower.at(&path)));
    for name in ["a", "b", "c"] {
        bed.lower.file(&format!("{path}/{name}"), &content);
    }
    let m = bed.mount_with(ON);
    m.rename(&format!("{path}/a"), &format!("{path}/renamed"));
    assert_without_data(bed, &format!("{path}/renamed"));
    m.rename(&format!("{path}/renamed"), "a");
    assert_with_data(bed, "a", &content);
    m.rename(&format!("{path}/b"), "b");
    assert_with_data(bed, "b", &content);
    must(
        "link",
        rustix::fs::link(m.at(&format!("{path}/c")), m.at("c")),
    );
    assert_with_data(bed, "c", &content);
    assert_eq!(m.stat("c").st_nlink, 2);
    bed.umount();
    let m = bed.mount_with(ON);
    for name in ["a", "b", "c"] {
        same_bytes(name, &m.read(name), &content);
    }
}

/// All the names that a file had are known after the next mount.
fn names_are_remembered(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.lower.sub("dir").file("low", &content);
    let m = bed.mount_with(ON);
    let before = m.stat("dir/low").st_ino;
    m.chmod("dir/low", 0o600);
    must("link", rustix::fs::link(m.at("dir/low"), m.at("linked")));
    m.rename("dir/low", "dir/renamed");
    bed.umount();
    let m = bed.mount_with(ON);
    for name in ["linked", "dir/renamed"] {
        assert_eq!(m.stat(name).st_ino, before, "{name}");
        assert_eq!(m.stat(name).st_nlink, 2, "{name}");
    }
    let early = m.open_read("linked");
    m.append("dir/renamed", b"more");
    let mut got = [0; 4];
    must("read", early.read_exact_at(&mut got, SIZE as u64));
    assert_eq!(&got, b"more");
}

fn without_a_name(bed: &Bed) {
    let (m, content) = one(bed);
    let file = m.open_read("low");
    m.chmod("low", 0o600);
    m.unlink("low");
    must("fchmod", fchmod(&file, Mode::from_raw_mode(0o640)));
    let mut got = vec![0; SIZE];
    must("read", file.read_exact_at(&mut got, 0));
    same_bytes("without a name", &got, &content);
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    let writer = std::fs::OpenOptions::new().write(true).open(path);
    let writer = must("open for writing", writer);
    must("write", writer.write_all_at(b"written", 10));
    must("read", file.read_exact_at(&mut got, 0));
    assert_eq!(&got[10..17], b"written");
    same_bytes("the rest", &got[17..], &content[17..]);
}

fn directories_and_others_are_copied(bed: &Bed) {
    bed.lower.sub("dir");
    bed.lower.symlink("target", "link");
    bed.lower
        .node("fifo", rustix::fs::FileType::Fifo, 0o644, (0, 0));
    let m = bed.mount_with(ON);
    m.chmod("dir", 0o700);
    m.chown("link", 1, 2);
    m.chmod("fifo", 0o600);
    for name in ["dir", "link", "fifo"] {
        assert!(bed.upper.exists(name));
        assert!(!is_one(&bed.upper, name), "{name}");
    }
    assert_eq!(m.target("link"), "target");
}

fn truncation_by_path(bed: &Bed) {
    let (m, content) = many(bed);
    for (number, size) in [(0, 0), (1, 5000), (2, SIZE), (3, SIZE + 5000)] {
        let name = format!("{number}");
        m.chmod(&name, 0o640);
        let path = std::ffi::CString::new(m.at(&name).to_str().expect("UTF-8")).expect("a path");
        // SAFETY: the path is NUL-terminated.
        assert_eq!(unsafe { libc::truncate(path.as_ptr(), size as i64) }, 0);
        let mut want = content.clone();
        want.resize(size, 0);
        assert_with_data(bed, &name, &want);
        same_bytes("truncated", &m.read(&name), &want);
    }
}

fn written_by_a_user(bed: &Bed) {
    let content = pattern(1, SIZE);
    bed.lower.file_mode("low", &content, 0o600);
    let m = bed.mount_with(ON);
    m.chown("low", 1000, 1000);
    assert_without_data(bed, "low");
    as_user(1000, || {
        same_bytes("low", &m.read("low"), &content);
        m.append("low", b"more");
    });
    assert_eq!(m.read("low").len(), SIZE + 4);
    assert_eq!(m.stat("low").st_uid, 1000);
}

fn is_not_followed_when_off(bed: &Bed) {
    let (m, content) = one(bed);
    m.chmod("low", 0o600);
    bed.umount();
    let m = bed.mount_with("metacopy=off");
    refused(Errno::PERM, rustix::fs::lstat(m.at("low")));
    bed.umount();
    let m = bed.mount_with(ON);
    same_bytes("low", &m.read("low"), &content);
}

fn hidden_from_users(bed: &Bed) {
    let (m, _) = one(bed);
    m.rename("low", "renamed");
    assert_eq!(m.xattr_names("renamed"), Vec::<String>::new());
    let mut value = [0; 64];
    for key in ["trusted.overlay.metacopy", "trusted.overlay.redirect"] {
        refused(
            Errno::NODATA,
            rustix::fs::lgetxattr(m.at("renamed"), key, value.as_mut_slice()),
        );
    }
}

fn removed_and_made_again(bed: &Bed) {
    let (m, _) = one(bed);
    m.chmod("low", 0o600);
    m.unlink("low");
    assert!(!m.exists("low"));
    m.file("low", "new");
    assert_with_data(bed, "low", b"new");
    bed.umount();
    assert_eq!(bed.mount_with(ON).text("low"), "new");
}
