// SPDX-License-Identifier: GPL-2.0

//! A descriptor opened read-only before copy-up, whatever changes the file
//! and whoever holds the descriptor.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use rustix::fs::{fstat, seek, OFlags};
use rustix::io::Errno;
use rustix::pipe::pipe;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused, same_bytes};
use crate::support::process::{become_user, Child, USER};

tests! {
    EVERYWHERE:
        fstat_agrees,
        seek_to_the_end_agrees,
        after_truncation,
        after_an_append,
        ten_processes;
    TWICE:
        after_a_rename,
        after_unlinking,
        after_the_name_was_taken,
        after_chmod_and_chown,
        after_a_link,
        after_punching_a_hole,
        after_a_write_by_mapping,
        after_caches_are_dropped,
        of_a_user_who_may_not_open_it_any_more,
        on_a_detached_mount,
        two_mounts_are_apart,
        while_the_file_grows,
        a_read_only_remount_keeps_it;
}

/// A lower file saying `old content`, and a descriptor from before.
fn early(bed: &Bed) -> (Dir, File) {
    bed.lower.file("low", "old content");
    let m = bed.mount();
    let early = m.open_read("low");
    assert_reads(&early, "old content");
    (m, early)
}

#[track_caller]
fn assert_reads(file: &File, want: &str) {
    let mut bytes = vec![0; 200];
    let length = must("pread", file.read_at(&mut bytes, 0));
    same_bytes("the early descriptor", &bytes[..length], want.as_bytes());
    assert_eq!(must("fstat", fstat(file)).st_size, want.len() as i64);
}

fn fstat_agrees(bed: &Bed) {
    let (m, early) = early(bed);
    let assert_agree = || {
        let (by_fd, by_path) = (must("fstat", fstat(&early)), m.stat("low"));
        assert_eq!(
            (by_fd.st_dev, by_fd.st_ino),
            (by_path.st_dev, by_path.st_ino)
        );
        assert_eq!(by_fd.st_size, by_path.st_size);
        assert_eq!(by_fd.st_blocks, by_path.st_blocks);
        assert_eq!(
            (by_fd.st_mode, by_fd.st_uid),
            (by_path.st_mode, by_path.st_uid)
        );
        assert_eq!(
            (by_fd.st_mtime, by_fd.st_mtime_nsec),
            (by_path.st_mtime, by_path.st_mtime_nsec)
        );
        assert_eq!(
            (by_fd.st_ctime, by_fd.st_ctime_nsec),
            (by_path.st_ctime, by_path.st_ctime_nsec)
        );
        assert_eq!(by_fd.st_nlink, by_path.st_nlink);
    };
    assert_agree();
    let changes: [&dyn Fn(); 5] = [
        &|| m.chmod("low", 0o640),
        &|| m.file("low", vec![1; 100_000]),
        &|| m.append("low", b"more"),
        &|| m.chown("low", 1, 2),
        &|| m.link("low", "linked"),
    ];
    for change in changes {
        change();
        assert_agree();
    }
}

fn seek_to_the_end_agrees(bed: &Bed) {
    let (m, mut early) = early(bed);
    assert_eq!(must("lseek", early.seek(SeekFrom::End(0))), 11);
    m.append("low", b", and more");
    assert_eq!(must("lseek", early.seek(SeekFrom::End(0))), 21);
    assert_eq!(must("lseek", early.seek(SeekFrom::End(-4))), 17);
    let mut text = String::new();
    must("read", early.read_to_string(&mut text));
    assert_eq!(text, "more");
    m.file("low", "tiny");
    assert_eq!(must("lseek", early.seek(SeekFrom::End(0))), 4);
    refused(Errno::NXIO, seek(&early, rustix::fs::SeekFrom::Data(4)));
}

fn after_truncation(bed: &Bed) {
    let (m, early) = early(bed);
    drop(m.open("low", OFlags::WRONLY | OFlags::TRUNC));
    assert_reads(&early, "");
    m.file("low", "new");
    assert_reads(&early, "new");
    must("ftruncate", m.open_rw("low").set_len(1));
    assert_reads(&early, "n");
}

fn after_an_append(bed: &Bed) {
    let (m, mut early) = early(bed);
    let mut text = String::new();
    must("read", early.read_to_string(&mut text));
    assert_eq!(text, "old content");
    // A reader at the end, as `tail -f` is.
    for line in ["\none", "\ntwo", "\nthree"] {
        m.append("low", line.as_bytes());
        text.clear();
        must("read", early.read_to_string(&mut text));
        assert_eq!(text, line);
    }
}

fn after_a_rename(bed: &Bed) {
    let (m, early) = early(bed);
    m.rename("low", "moved");
    assert_reads(&early, "old content");
    m.append("moved", b", more");
    assert_reads(&early, "old content, more");
    m.file("low", "another file");
    assert_reads(&early, "old content, more");
    assert_eq!(must("fstat", fstat(&early)).st_ino, m.stat("moved").st_ino);
}

fn after_unlinking(bed: &Bed) {
    let (m, early) = early(bed);
    let writer = m.open_rw("low");
    m.unlink("low");
    must("write", writer.write_all_at(b"NEW", 0));
    assert_reads(&early, "NEW content");
    must("write", writer.write_all_at(b", more", 11));
    assert_reads(&early, "NEW content, more");
    assert_eq!(must("fstat", fstat(&early)).st_nlink, 0);
}

fn after_the_name_was_taken(bed: &Bed) {
    let (m, early) = early(bed);
    m.file("new", "another file");
    m.rename("new", "low");
    // The old file has no name any more, and nobody changed it.
    assert_reads(&early, "old content");
    assert_eq!(m.text("low"), "another file");
    assert_ne!(must("fstat", fstat(&early)).st_ino, m.stat("low").st_ino);
}

fn after_chmod_and_chown(bed: &Bed) {
    let (m, early) = early(bed);
    m.chmod("low", 0o6640);
    m.chown("low", 7, 8);
    let stat = must("fstat", fstat(&early));
    assert_eq!(stat.st_mode & 0o7777, m.mode("low"));
    assert_eq!((stat.st_uid, stat.st_gid), (7, 8));
    assert_reads(&early, "old content");
}

fn after_a_link(bed: &Bed) {
    let (m, early) = early(bed);
    m.link("low", "linked");
    m.append("linked", b", more");
    assert_reads(&early, "old content, more");
    assert_eq!(must("fstat", fstat(&early)).st_nlink, 2);
}

fn after_punching_a_hole(bed: &Bed) {
    bed.lower.file("low", vec![1; 65536]);
    let m = bed.mount();
    let early = m.open_read("low");
    let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    must(
        "fallocate",
        rustix::fs::fallocate(m.open_rw("low"), flags, 0, 32768),
    );
    let mut bytes = vec![9; 65536];
    must("pread", early.read_exact_at(&mut bytes, 0));
    let mut want = vec![1; 65536];
    want[..32768].fill(0);
    same_bytes("the early descriptor", &bytes, &want);
}

fn after_a_write_by_mapping(bed: &Bed) {
    let (m, early) = early(bed);
    let writer = m.open_rw("low");
    // SAFETY: a fresh mapping of eleven bytes that the file has.
    unsafe {
        let map = must(
            "mmap",
            rustix::mm::mmap(
                std::ptr::null_mut(),
                11,
                rustix::mm::ProtFlags::WRITE,
                rustix::mm::MapFlags::SHARED,
                &writer,
                0,
            ),
        );
        std::ptr::copy_nonoverlapping(b"NEW".as_ptr(), map.cast(), 3);
        must("munmap", rustix::mm::munmap(map, 11));
    }
    assert_reads(&early, "NEW content");
}

fn after_caches_are_dropped(bed: &Bed) {
    let (m, early) = early(bed);
    m.append("low", b", more");
    rustix::fs::sync();
    must(
        "drop caches",
        std::fs::write("/proc/sys/vm/drop_caches", "3"),
    );
    assert_reads(&early, "old content, more");
    let (by_fd, by_path) = (must("fstat", fstat(&early)), m.stat("low"));
    assert_eq!(
        (by_fd.st_dev, by_fd.st_ino),
        (by_path.st_dev, by_path.st_ino)
    );
}

fn of_a_user_who_may_not_open_it_any_more(bed: &Bed) {
    bed.lower.file("low", "old content");
    let m = bed.mount();
    let (opened, tell_opened) = must("pipe", pipe());
    let user = Child::spawn(|| {
        become_user(USER, USER);
        let early = m.open_read("low");
        must("tell", rustix::io::write(&tell_opened, b"x"));
        // Waits until root has changed the file and its mode.
        while m.mode("low") != 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        refused(Errno::ACCESS, std::fs::read(m.at("low")));
        assert_reads(&early, "new content");
    });
    drop(tell_opened);
    must("hear", File::from(opened).read_exact(&mut [0]));
    m.file("low", "new content");
    m.chmod("low", 0);
    user.join();
}

fn on_a_detached_mount(bed: &Bed) {
    let (m, early) = early(bed);
    let writer = m.open("low", OFlags::PATH);
    must(
        "detach",
        rustix::mount::unmount(m.path(), rustix::mount::UnmountFlags::DETACH),
    );
    bed.unmounted();
    let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
    must("write", std::fs::write(again, "new content"));
    assert_reads(&early, "new content");
    assert_eq!(bed.upper.text("low"), "new content");
}

fn two_mounts_are_apart(bed: &Bed) {
    let (m, early) = early(bed);
    let (upper, work, at) = (bed.aside("u2"), bed.aside("w2"), bed.aside("m2"));
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    let other = must("second mount", bed.try_mount_at(&bed.fs, &options, &at));
    let other_early = other.open_read("low");
    m.file("low", "changed here");
    assert_reads(&early, "changed here");
    assert_reads(&other_early, "old content");
    other.file("low", "changed there");
    assert_reads(&early, "changed here");
    assert_reads(&other_early, "changed there");
}

fn while_the_file_grows(bed: &Bed) {
    const STEPS: usize = 100;

    bed.lower.file("low", vec![1; 1000]);
    let m = bed.mount();
    let mut early = m.open_read("low");
    let writer = Child::spawn(|| {
        let mut file = m.open("low", OFlags::WRONLY | OFlags::APPEND);
        for _ in 0..STEPS {
            must("write", file.write_all(&[1; 1000]));
        }
    });
    let mut got = 0;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while got < (STEPS + 1) * 1000 && std::time::Instant::now() < deadline {
        let mut bytes = vec![0; 4096];
        let length = must("read", early.read(&mut bytes));
        assert!(bytes[..length].iter().all(|&byte| byte == 1));
        got += length;
        if length == 0 {
            std::thread::yield_now();
        }
    }
    writer.join();
    assert_eq!(got, (STEPS + 1) * 1000);
}

fn a_read_only_remount_keeps_it(bed: &Bed) {
    let (m, early) = early(bed);
    m.file("low", "new content");
    must(
        "remount",
        rustix::mount::mount_remount(m.path(), rustix::mount::MountFlags::RDONLY, c""),
    );
    assert_reads(&early, "new content");
}

fn ten_processes(bed: &Bed) {
    const PROCESSES: usize = 10;

    bed.lower.file("low", "old content");
    let m = bed.mount();
    let (ready, tell_ready) = must("pipe", pipe());
    let (go, tell_go) = must("pipe", pipe());
    let mut tell_go = Some(File::from(tell_go));
    let children: Vec<_> = (0..PROCESSES)
        .map(|_| {
            Child::spawn(|| {
                // Or the end of the file would never come.
                drop(tell_go.take());
                let early = m.open_read("low");
                assert_reads(&early, "old content");
                must("tell", rustix::io::write(&tell_ready, b"x"));
                must("wait", rustix::io::read(&go, &mut [0; 1]));
                assert_reads(&early, "new and longer content");
                assert_eq!(m.text("low"), "new and longer content");
            })
        })
        .collect();
    let mut ready = File::from(ready);
    must("hear", ready.read_exact(&mut [0; PROCESSES]));
    m.file("low", "new and longer content");
    drop(tell_go.take());
    for child in children {
        child.join();
    }
}
