// SPDX-License-Identifier: GPL-2.0

//! A program that is copied up while it runs, or while a descriptor from before
//! is going to run it.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::exec::{install, run, start, GREETING};
use crate::support::must::{must, refused};

tests! {
    TWICE:
        a_running_program_that_is_copied_up_is_not_written,
        a_copy_that_is_open_for_writing_does_not_run,
        an_old_descriptor_runs_the_current_program,
        a_running_program_survives_the_copy_up;
}

#[track_caller]
fn assert_not_writable(m: &Dir) {
    for flags in [OFlags::WRONLY, OFlags::RDWR, OFlags::WRONLY | OFlags::TRUNC] {
        refused(
            Errno::TXTBSY,
            rustix::fs::open(m.at("program"), flags, rustix::fs::Mode::empty()),
        );
    }
    refused(
        Errno::TXTBSY,
        std::fs::OpenOptions::new()
            .write(true)
            .open(m.at("program"))
            .and_then(|file| file.set_len(0)),
    );
}

fn a_running_program_that_is_copied_up_is_not_written(bed: &Bed) {
    install(&bed.lower, "program");
    let m = bed.mount();
    let mut running = must("start", start(&m.at("program")));
    m.chmod("program", 0o700);
    assert!(bed.upper.exists("program"));
    assert_not_writable(&m);
    // What runs a copy is no reason against the other's end.
    let mut second = must("start again", start(&m.at("program")));
    drop(running.stdin.take());
    assert!(must("wait", running.wait()).success());
    assert_not_writable(&m);
    drop(second.stdin.take());
    assert!(must("wait", second.wait()).success());
    drop(m.open("program", OFlags::WRONLY));
}

fn by_proc(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

fn a_copy_that_is_open_for_writing_does_not_run(bed: &Bed) {
    install(&bed.lower, "program");
    let m = bed.mount();
    let early = m.open_read("program");
    let writer = m.open_rw("program");
    refused(Errno::TXTBSY, run(&m.at("program")));
    refused(Errno::TXTBSY, run(&by_proc(&early)));
    drop(writer);
    assert_eq!(must("run", run(&by_proc(&early))), GREETING);
}

fn an_old_descriptor_runs_the_current_program(bed: &Bed) {
    bed.lower
        .file_mode("program", "not a program at all", 0o755);
    install(&bed.lower, "other");
    let m = bed.mount();
    let early = m.open_read("program");
    refused(Errno::NOEXEC, run(&by_proc(&early)));
    m.file("program", m.read("other"));
    assert_eq!(must("run", run(&by_proc(&early))), GREETING);
}

fn a_running_program_survives_the_copy_up(bed: &Bed) {
    install(&bed.lower, "program");
    let m = bed.mount();
    let mut running = must("start", start(&m.at("program")));
    m.chown("program", 1, 1);
    rustix::fs::sync();
    must(
        "drop caches",
        std::fs::write("/proc/sys/vm/drop_caches", "3"),
    );
    let link = format!("/proc/{}/exe", running.id());
    let by_link = must("stat the program", rustix::fs::stat(link.as_str()));
    let by_path = m.stat("program");
    assert_eq!(
        (by_link.st_dev, by_link.st_ino, by_link.st_uid),
        (by_path.st_dev, by_path.st_ino, 1)
    );
    assert_eq!(must("readlink", std::fs::read_link(&link)), m.at("program"));
    // It needs pages that it did not touch before.
    drop(running.stdin.take());
    assert!(must("wait", running.wait()).success());
}
