// SPDX-License-Identifier: GPL-2.0

//! File handles with `nfs_export=on`: they find objects, whatever happened since.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;

use rustix::fs::{fstat, FileType, OFlags};
use rustix::io::Errno;

use crate::areas::coherence_watches::{Event, Fanotify};
use crate::areas::identity_views::{each, make_each};
use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::handle::{self, get, Handle};
use crate::support::index::{self, drop_caches, remount};
use crate::support::must::{must, refused};

tests! {
    EVERYWHERE:
        find_every_object,
        outlive_copy_up,
        outlive_remount,
        of_removed_objects_are_stale,
        of_directories_far_below;
    TWICE:
        stay_the_same,
        outlive_rename,
        of_hard_links,
        without_a_name_files_are_changed,
        without_a_name_files_are_linked,
        find_files_that_are_removed_but_open,
        of_objects_from_before,
        of_merged_directories_from_before,
        of_directories_over_several_layers,
        of_the_root,
        without_upper,
        of_the_root_without_upper,
        that_make_no_sense,
        of_other_overlays_are_stale,
        that_lead_to_names_are_not_made,
        without_the_option_are_not_made,
        without_the_option_tell_objects_apart,
        of_events_in_the_filesystem,
        of_events_in_directories,
        copy_up_of_an_exported_lower;
}

const READ: OFlags = OFlags::RDONLY;

/// Opens without following or blocking on anything.
#[track_caller]
fn open(m: &Dir, handle: &Handle) -> File {
    must("open_by_handle_at", handle::open(m, handle, OFlags::PATH))
}

#[track_caller]
fn assert_finds(m: &Dir, name: &str, handle: &Handle) {
    let found = must("fstat", fstat(open(m, handle)));
    let stat = m.stat(name);
    assert_eq!(
        (found.st_dev, found.st_ino, found.st_mode, found.st_nlink),
        (stat.st_dev, stat.st_ino, stat.st_mode, stat.st_nlink),
        "{name}"
    );
}

#[track_caller]
fn assert_stale(m: &Dir, handle: &Handle) {
    refused(Errno::STALE, handle::open(m, handle, OFlags::PATH));
}

/// Objects of each type, in both layers.
#[track_caller]
fn all(bed: &Bed) -> Vec<String> {
    make_each(&bed.lower, "low-");
    make_each(&bed.lower.sub("dir"), "");
    make_each(&bed.upper, "up-");
    make_each(&bed.upper.sub("own"), "");
    let inner = ["dir", "own"];
    let inner = inner.iter().flat_map(|dir| each(&format!("{dir}/")));
    let prefixes = ["low-", "up-"].into_iter().flat_map(each);
    prefixes
        .chain(inner)
        .chain(["".into(), "dir".into(), "own".into()])
        .collect()
}

#[track_caller]
fn handles(m: &Dir, names: &[String]) -> Vec<Handle> {
    names.iter().map(|name| get(m, name)).collect()
}

#[track_caller]
fn assert_all_found(m: &Dir, names: &[String], handles: &[Handle]) {
    for (name, handle) in names.iter().zip(handles) {
        assert_finds(m, name, handle);
    }
}

fn find_every_object(bed: &Bed) {
    let names = all(bed);
    let m = bed.mount_with(index::EXPORT);
    let handles = handles(&m, &names);
    assert_all_found(&m, &names, &handles);
    drop_caches();
    assert_all_found(&m, &names, &handles);
    drop_caches();
    for (name, handle) in names.iter().zip(&handles).rev() {
        let found = open(&m, handle);
        if m.kind(name) == FileType::RegularFile {
            let by_proc = format!("/proc/self/fd/{}", found.as_raw_fd());
            let text = must("read", std::fs::read_to_string(by_proc));
            assert_eq!(text, "content", "{name}");
        }
    }
}

fn stay_the_same(bed: &Bed) {
    let mut names = all(bed);
    let m = bed.mount_with(index::EXPORT);
    let before = handles(&m, &names);
    for name in &names {
        m.chown(name, 1, 1);
    }
    assert_eq!(handles(&m, &names), before);
    drop_caches();
    assert_eq!(handles(&m, &names), before);
    for name in names.iter_mut().filter(|name| name.ends_with("file")) {
        let new = format!("{name}.new");
        m.rename(name, &new);
        *name = new;
    }
    assert_eq!(handles(&m, &names), before);
    let m = remount(bed, index::EXPORT);
    assert_eq!(handles(&m, &names), before);
}

fn outlive_copy_up(bed: &Bed) {
    let names = all(bed);
    let m = bed.mount_with(index::EXPORT);
    let handles = handles(&m, &names);
    for name in names.iter().filter(|name| name.ends_with("file")) {
        m.append(name, b", more");
    }
    for name in &names {
        m.chown(name, 1, 1);
    }
    for _ in 0..2 {
        assert_all_found(&m, &names, &handles);
        for (name, handle) in names.iter().zip(&handles) {
            if m.kind(name) == FileType::RegularFile {
                let mut text = String::new();
                let mut file = must("open", handle::open(&m, handle, READ));
                must("read", file.read_to_string(&mut text));
                assert_eq!(text, "content, more", "{name}");
            }
        }
        drop_caches();
    }
}

fn outlive_remount(bed: &Bed) {
    let names = all(bed);
    let m = bed.mount_with(index::EXPORT);
    let handles = handles(&m, &names);
    let m = remount(bed, index::EXPORT);
    assert_all_found(&m, &names, &handles);
    for name in &names {
        m.chown(name, 1, 1);
    }
    let m = remount(bed, index::EXPORT);
    assert_all_found(&m, &names, &handles);
    // Before any of the names was looked up.
    let m = remount(bed, index::EXPORT);
    for handle in &handles {
        open(&m, handle);
    }
    assert_all_found(&m, &names, &handles);
}

fn outlive_rename(bed: &Bed) {
    all(bed);
    bed.lower.sub("to");
    let m = bed.mount_with(index::EXPORT);
    let mut moved = Vec::new();
    for name in [
        "low-file",
        "dir/symlink",
        "up-file",
        "up-dir",
        "own",
        "dir/fifo",
    ] {
        let new = format!("to/{}", name.replace('/', "-"));
        moved.push((new.clone(), get(&m, name)));
        m.rename(name, &new);
    }
    let mut m = m;
    for round in 0..3 {
        for (name, handle) in &moved {
            assert_finds(&m, name, handle);
        }
        match round {
            0 => drop_caches(),
            _ => m = remount(bed, index::EXPORT),
        }
    }
}

fn of_removed_objects_are_stale(bed: &Bed) {
    let names = all(bed);
    let m = bed.mount_with(index::EXPORT);
    let mut removed = Vec::new();
    for name in names.iter().filter(|name| !name.is_empty()) {
        removed.push((name.clone(), get(&m, name)));
    }
    // One half is copied up before.
    for (name, _) in removed.iter().step_by(2) {
        m.chown(name, 1, 1);
    }
    for (name, _) in &removed {
        if m.kind(name) == FileType::Directory {
            if !matches!(name.as_str(), "dir" | "own") {
                m.rmdir(name);
            }
        } else {
            m.unlink(name);
        }
    }
    m.rmdir("dir");
    m.rmdir("own");
    for (name, handle) in &removed {
        let found = handle::open(&m, handle, OFlags::PATH);
        assert_eq!(found.err(), Some(Errno::STALE), "{name}");
    }
    drop_caches();
    let m = remount(bed, index::EXPORT);
    for (_, handle) in &removed {
        assert_stale(&m, handle);
    }
    // Something new of the name is something else.
    m.file("low-file", "new");
    for (_, handle) in &removed {
        assert_stale(&m, handle);
    }
}

fn of_directories_far_below(bed: &Bed) {
    let mut dir = bed.lower.clone();
    let mut path = String::new();
    for depth in 0..20 {
        dir = dir.sub(&format!("d{depth}"));
        path.push_str(&format!("d{depth}/"));
    }
    dir.file("file", "content");
    let path = path.trim_end_matches('/');
    let m = bed.mount_with(index::EXPORT);
    let handle = get(&m, path);
    drop_caches();
    let opened = must("open", handle::open(&m, &handle, READ | OFlags::DIRECTORY));
    let by_proc = format!("/proc/self/fd/{}", opened.as_raw_fd());
    let seen = must("readlink", std::fs::read_link(&by_proc));
    assert_eq!(seen, m.at(path));
    m.file(&format!("{path}/new"), "");
    drop(opened);
    let m = remount(bed, index::EXPORT);
    let opened = must("open", handle::open(&m, &handle, READ | OFlags::DIRECTORY));
    let names: Vec<_> = crate::support::listing::all(&opened)
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    assert!(names.contains(&"new".into()), "{names:?}");
    assert!(names.contains(&"file".into()), "{names:?}");
}

fn of_hard_links(bed: &Bed) {
    bed.lower.file("a", "content");
    bed.lower.link("a", "b");
    let m = bed.mount_with(index::EXPORT);
    let handle = get(&m, "a");
    assert_eq!(get(&m, "b"), handle);
    m.append("b", b"!");
    assert_finds(&m, "a", &handle);
    m.unlink("b");
    drop_caches();
    assert_finds(&m, "a", &handle);
    m.link("a", "c");
    m.unlink("a");
    let m = remount(bed, index::EXPORT);
    assert_finds(&m, "c", &handle);
    assert_eq!(m.stat("c").st_nlink, 1);
    m.unlink("c");
    assert_stale(&m, &handle);
}

fn without_a_name_files_are_changed(bed: &Bed) {
    bed.lower.sub("dir").file("low", "content");
    bed.lower.file("a", "content");
    bed.lower.link("a", "b");
    for name in ["dir/low", "a"] {
        let m = bed.mount_with(index::EXPORT);
        let handle = get(&m, name);
        let m = remount(bed, index::EXPORT);
        let mut file = must("open", handle::open(&m, &handle, OFlags::RDWR));
        must("write", file.write_all(b"CONTENT"));
        drop(file);
        assert!(!bed.upper.exists(name), "{name} is in the index alone");
        assert_eq!(m.text(name), "CONTENT");
        assert_finds(&m, name, &handle);
        let m = remount(bed, index::EXPORT);
        assert_eq!(m.text(name), "CONTENT");
        assert!(!bed.upper.exists(name));
        m.append(name, b"!");
        assert!(bed.upper.exists(name));
        let m = remount(bed, index::EXPORT);
        assert_eq!(m.text(name), "CONTENT!");
        assert_finds(&m, name, &handle);
        bed.umount();
    }
    let m = bed.mount_with(index::EXPORT);
    assert_eq!(m.text("b"), "CONTENT!");
    assert_eq!(m.stat("b").st_nlink, 2);
}

fn without_a_name_files_are_linked(bed: &Bed) {
    bed.lower.sub("dir").file("low", "content");
    let m = bed.mount_with(index::EXPORT);
    let handle = get(&m, "dir/low");
    let m = remount(bed, index::EXPORT);
    let file = must("open", handle::open(&m, &handle, READ));
    let by_proc = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = rustix::fs::AtFlags::SYMLINK_FOLLOW;
    let cwd = rustix::fs::CWD;
    must(
        "linkat",
        rustix::fs::linkat(cwd, by_proc.as_str(), cwd, m.at("linked"), flags),
    );
    drop(file);
    for m in [m.clone(), remount(bed, index::EXPORT)] {
        assert_eq!(m.stat("linked").st_nlink, 2);
        assert_eq!(m.stat("linked").st_ino, m.stat("dir/low").st_ino);
        assert_finds(&m, "linked", &handle);
    }
}

fn find_files_that_are_removed_but_open(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount_with(index::EXPORT);
    m.file("new", "content");
    for name in ["low", "new"] {
        let handle = get(&m, name);
        let held = m.open_read(name);
        m.unlink(name);
        let found = open(&m, &handle);
        assert_eq!(
            must("fstat", fstat(&found)).st_ino,
            must("fstat", fstat(&held)).st_ino
        );
        drop(found);
        drop(held);
        assert_stale(&m, &handle);
    }
}

fn of_objects_from_before(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.file("renamed", "content");
    bed.lower.file("a", "content");
    bed.lower.link("a", "b");
    let m = bed.mount();
    for name in ["low", "renamed", "a"] {
        m.append(name, b"!");
    }
    m.rename("renamed", "new");
    let m = remount(bed, index::EXPORT);
    let names = ["low", "new", "a", "b"].map(String::from);
    let handles = handles(&m, &names);
    assert_all_found(&m, &names, &handles);
    let m = remount(bed, index::EXPORT);
    for handle in &handles {
        open(&m, handle);
    }
    assert_all_found(&m, &names, &handles);
    assert_eq!(m.text("new"), "content!");
    m.append("new", b"!");
    let m = remount(bed, index::EXPORT);
    assert_all_found(&m, &names, &handles);
    assert_eq!(m.text("new"), "content!!");
    m.unlink("new");
    assert_stale(&m, &handles[1]);
}

/// Fails unless the handles are good at the next mount, whichever is opened first.
#[track_caller]
fn assert_found_after_remount(bed: &Bed, options: &str, names: &[String], handles: &[Handle]) {
    bed.umount();
    let m = must("mount", bed.try_mount(options));
    for handle in handles.iter().rev() {
        open(&m, handle);
    }
    assert_all_found(&m, names, handles);
}

fn of_merged_directories_from_before(bed: &Bed) {
    bed.lower
        .sub("dir")
        .sub("inner")
        .sub("below")
        .file("low", "");
    bed.mount().file("dir/new", "");
    let m = remount(bed, index::EXPORT);
    let names = ["dir", "dir/inner", "dir/inner/below", "dir/inner/below/low"].map(String::from);
    let handles = handles(&m, &names);
    assert_all_found(&m, &names, &handles);
    drop_caches();
    assert_all_found(&m, &names, &handles);
    let m = remount(bed, index::EXPORT);
    for handle in handles.iter().rev() {
        open(&m, handle);
    }
    assert_all_found(&m, &names, &handles);
}

fn of_directories_over_several_layers(bed: &Bed) {
    bed.lower.sub("a");
    let b = bed.below(1).sub("a").sub("b");
    b.sub("c").file("low", "");
    bed.below(2).sub("a").sub("b").sub("d");
    let names = ["a", "a/b", "a/b/c", "a/b/d", "a/b/c/low"].map(String::from);
    let m = bed.mount_with(index::EXPORT);
    let handles = handles(&m, &names);
    assert_all_found(&m, &names, &handles);
    for _ in 0..2 {
        let m = remount(bed, index::EXPORT);
        for handle in handles.iter().rev() {
            open(&m, handle);
        }
        assert_all_found(&m, &names, &handles);
        m.chmod("a/b/c", 0o700);
    }
    // Making a handle may copy up what could not be found otherwise.
    assert!(bed.upper.exists("a/b"));
}

fn of_the_root(bed: &Bed) {
    let m = bed.mount_with(index::EXPORT);
    let handle = get(&m, "");
    assert_finds(&m, "", &handle);
    let m = remount(bed, index::EXPORT);
    assert_finds(&m, "", &handle);
    assert_eq!(get(&m, ""), handle);
}

fn without_upper(bed: &Bed) {
    bed.lower.sub("dir").file("low", "content");
    bed.below(1)
        .sub("dir")
        .sub("inner")
        .file("below", "content");
    let options = format!(
        "lowerdir={},redirect_dir=nofollow,nfs_export=on",
        bed.lowerdir()
    );
    let names = ["dir", "dir/low", "dir/inner", "dir/inner/below"].map(String::from);
    let m = must("mount", bed.try_mount(&options));
    let handles = handles(&m, &names);
    assert_all_found(&m, &names, &handles);
    assert_found_after_remount(bed, &options, &names, &handles);
}

fn of_the_root_without_upper(bed: &Bed) {
    bed.below(1);
    let options = format!(
        "lowerdir={},redirect_dir=nofollow,nfs_export=on",
        bed.lowerdir()
    );
    let m = must("mount", bed.try_mount(&options));
    assert_finds(&m, "", &get(&m, ""));
}

fn that_make_no_sense(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount_with(index::EXPORT);
    m.file("up", "");
    for name in ["low", "up"] {
        let good = get(&m, name);
        for at in 0..good.bytes.len() {
            let mut bad = good.clone();
            bad.bytes[at] ^= 0x5a;
            // It may be another good one.
            if let Err(err) = handle::open(&m, &bad, OFlags::PATH) {
                assert_eq!(err, Errno::STALE, "byte {at}");
            }
        }
        for length in 0..good.bytes.len() {
            let mut bad = good.clone();
            bad.bytes.truncate(length);
            if length == 0 {
                refused(Errno::INVAL, handle::open(&m, &bad, OFlags::PATH));
            } else {
                assert_stale(&m, &bad);
            }
        }
        let mut long = good.clone();
        long.bytes.resize(128, 0x77);
        assert_finds(&m, name, &long);
        for kind in [0, 1, 2, 0x81, 0xf7, 0xf9, 0xff] {
            let mut bad = good.clone();
            bad.kind = kind;
            assert_stale(&m, &bad);
        }
        // As old kernels gave them out.
        let mut old = good.clone();
        old.kind = 0xfb;
        old.bytes.rotate_left(3);
        assert_finds(&m, name, &old);
    }
}

fn of_other_overlays_are_stale(bed: &Bed) {
    let other = bed.mount_tmpfs("other", "");
    let (lower, upper, work) = (other.sub("l"), other.sub("u"), other.sub("w"));
    lower.file("low", "content");
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work},nfs_export=on");
    let m = must("mount", bed.try_mount(&options));
    m.file("up", "");
    let handles = ["", "low", "up"].map(|name| get(&m, name));
    bed.umount();
    let m = bed.mount_with(index::EXPORT);
    for handle in &handles {
        assert_stale(&m, handle);
    }
}

fn that_lead_to_names_are_not_made(bed: &Bed) {
    bed.lower.file("low", "content");
    let m = bed.mount_with(index::EXPORT);
    let made = handle::of(&m.at("low"), handle::CONNECTABLE);
    refused(Errno::OVERFLOW, made);
}

fn without_the_option_are_not_made(bed: &Bed) {
    bed.lower.file("low", "content");
    for options in ["nfs_export=off", "index=on,nfs_export=off"] {
        let m = bed.mount_with(options);
        refused(Errno::OPNOTSUPP, handle::of(&m.at("low"), 0));
        let fid = must("fid", handle::of(&m.at("low"), handle::FID));
        refused(Errno::STALE, handle::open(&m, &fid, OFlags::PATH));
        bed.umount();
    }
}

fn without_the_option_tell_objects_apart(bed: &Bed) {
    let names = all(bed);
    let m = bed.mount_with(index::ON);
    let fid = |name: &String| must("fid", handle::of(&m.at(name), handle::FID));
    let before: Vec<_> = names.iter().map(fid).collect();
    for (at, one) in before.iter().enumerate() {
        assert!(!before[..at].contains(one), "{}", names[at]);
        assert_eq!(one.kind, 0xf8);
    }
    for name in &names {
        m.chown(name, 1, 1);
    }
    drop_caches();
    let after: Vec<_> = names.iter().map(fid).collect();
    let files = names
        .iter()
        .enumerate()
        .filter(|(_, name)| !name.is_empty());
    for (at, name) in files {
        assert_eq!(after[at], before[at], "{name}");
    }
}

/// The handles that an event tells, in the order of their kinds.
fn told(event: &Event) -> Vec<Handle> {
    const FSID: usize = 8;

    let mut handles = Vec::new();
    let mut rest = &event.more[..];
    while rest.len() > 4 {
        let length = usize::from(u16::from_ne_bytes([rest[2], rest[3]]));
        let (info, further) = rest.split_at(length);
        let handle = &info[4 + FSID..];
        let word = |at: usize| u32::from_ne_bytes(handle[at..at + 4].try_into().expect("word"));
        let bytes = handle[8..][..word(0) as usize].to_vec();
        handles.push(Handle {
            kind: word(4) as i32,
            bytes,
        });
        rest = further;
    }
    handles
}

fn of_events_in_the_filesystem(bed: &Bed) {
    bed.lower.sub("dir").file("low", "content");
    bed.upper.file("up", "content");
    let m = bed.mount_with(index::EXPORT);
    let watch = Fanotify::of(
        m.path(),
        libc::FAN_REPORT_FID,
        libc::FAN_MARK_FILESYSTEM,
        libc::FAN_MODIFY,
    );
    for name in ["dir/low", "up"] {
        for _ in 0..2 {
            m.append(name, b"!");
            let events = watch.events();
            assert_eq!(events.len(), 1, "{name}");
            assert_eq!(told(&events[0]), [get(&m, name)], "{name}");
            drop_caches();
            assert_finds(&m, name, &told(&events[0])[0]);
        }
    }
}

fn of_events_in_directories(bed: &Bed) {
    bed.lower.sub("dir").sub("inner").file("low", "");
    bed.upper.sub("own");
    let m = bed.mount_with(index::EXPORT);
    let watch = Fanotify::of(
        m.path(),
        libc::FAN_REPORT_DFID_NAME,
        libc::FAN_MARK_FILESYSTEM,
        libc::FAN_CREATE | libc::FAN_DELETE | libc::FAN_ONDIR,
    );
    for dir in ["dir/inner", "own", ""] {
        let before = get(&m, dir);
        m.file(format!("{dir}/new").trim_start_matches('/'), "");
        m.unlink(format!("{dir}/new").trim_start_matches('/'));
        let events = watch.events();
        assert!(!events.is_empty(), "'{dir}'");
        for event in &events {
            assert_eq!(told(event), std::slice::from_ref(&before), "'{dir}'");
        }
        assert_finds(&m, dir, &before);
    }
}

fn copy_up_of_an_exported_lower(bed: &Bed) {
    bed.lower.file("a", "content");
    bed.lower.link("a", "b");
    bed.lower.sub("dir").file("low", "content");
    let inner = bed.aside("inner");
    let options = format!("{},nfs_export=on", bed.options());
    must("mount below", bed.try_mount_at(&bed.fs, &options, &inner));
    let (upper, work) = (bed.aside("u2"), bed.aside("w2"));
    let options = format!("lowerdir={inner},upperdir={upper},workdir={work},nfs_export=on");
    let m = must("mount", bed.try_mount(&options));
    let names = ["", "a", "dir", "dir/low"].map(String::from);
    let handles = handles(&m, &names);
    m.append("a", b"!");
    assert_eq!(m.text("b"), "content!");
    m.append("dir/low", b"!");
    assert_all_found(&m, &names, &handles);
    drop_caches();
    assert_all_found(&m, &names, &handles);
    assert_found_after_remount(bed, &options, &names, &handles);
}
