// SPDX-License-Identifier: GPL-2.0

//! Running programs from the overlay.

use std::process::Command;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::exec::{install, run, start, status_of, GREETING};
use crate::support::must::{must, refused};
use crate::support::process::{as_user, USER};

tests! {
    TWICE:
        of_a_lower_program,
        of_a_copied_up_program,
        of_a_new_program,
        of_a_script,
        needs_an_execute_bit,
        by_an_unprivileged_user,
        a_running_lower_program_is_not_written,
        a_running_upper_program_is_not_written,
        a_program_open_for_writing_does_not_run,
        a_running_program_is_replaced_by_rename,
        set_user_id;
    ONCE: noexec_mounts;
}

#[track_caller]
fn assert_runs(program: &std::path::Path) {
    assert_eq!(must("run", run(program)), GREETING);
}

fn of_a_lower_program(bed: &Bed) {
    install(&bed.lower.sub("bin"), "program");
    let m = bed.mount();
    assert_runs(&m.at("bin/program"));
    assert!(bed.upper.names("").is_empty());
}

fn of_a_copied_up_program(bed: &Bed) {
    install(&bed.lower, "program");
    let m = bed.mount();
    m.chmod("program", 0o700);
    assert!(bed.upper.exists("program"));
    assert_runs(&m.at("program"));
}

fn of_a_new_program(bed: &Bed) {
    let m = bed.mount();
    install(&m, "program");
    assert_runs(&m.at("program"));
    assert_runs(&bed.upper.at("program"));
}

fn of_a_script(bed: &Bed) {
    install(&bed.lower, "program");
    let script = format!("#!{} --probe\n", bed.mnt.at("program").display());
    bed.lower.file_mode("script", script, 0o755);
    let m = bed.mount();
    // The script's name follows as an argument, which nobody reads any more.
    let output = must("run", Command::new(m.at("script")).output());
    assert!(String::from_utf8_lossy(&output.stdout).contains(GREETING));
}

fn needs_an_execute_bit(bed: &Bed) {
    install(&bed.lower, "program");
    bed.lower.chmod("program", 0o644);
    let m = bed.mount();
    refused(Errno::ACCESS, run(&m.at("program")));
    m.chmod("program", 0o755);
    assert_runs(&m.at("program"));
}

fn by_an_unprivileged_user(bed: &Bed) {
    install(&bed.lower, "program");
    let m = bed.mount();
    as_user(USER, || assert_runs(&m.at("program")));
    m.chmod("program", 0o744);
    as_user(USER, || refused(Errno::ACCESS, run(&m.at("program"))));
}

fn not_written_while_running(bed: &Bed) {
    let m = &bed.mnt;
    let mut running = must("start", start(&m.at("program")));
    let writable = rustix::fs::open(m.at("program"), OFlags::WRONLY, rustix::fs::Mode::empty());
    drop(running.stdin.take());
    assert!(must("wait", running.wait()).success());
    refused(Errno::TXTBSY, writable);
    drop(m.open("program", OFlags::WRONLY));
}

fn a_running_lower_program_is_not_written(bed: &Bed) {
    install(&bed.lower, "program");
    bed.mount();
    not_written_while_running(bed);
}

fn a_running_upper_program_is_not_written(bed: &Bed) {
    install(&bed.upper, "program");
    bed.mount();
    not_written_while_running(bed);
}

fn a_program_open_for_writing_does_not_run(bed: &Bed) {
    install(&bed.lower, "low");
    install(&bed.upper, "up");
    let m = bed.mount();
    for name in ["low", "up"] {
        let writer = m.open(name, OFlags::WRONLY);
        refused(Errno::TXTBSY, run(&m.at(name)));
        drop(writer);
        assert_runs(&m.at(name));
    }
}

fn a_running_program_is_replaced_by_rename(bed: &Bed) {
    install(&bed.lower, "program");
    let m = bed.mount();
    let mut running = must("start", start(&m.at("program")));
    install(&m, "new");
    m.rename("new", "program");
    assert_runs(&m.at("program"));
    drop(running.stdin.take());
    assert!(must("wait", running.wait()).success());
}

fn set_user_id(bed: &Bed) {
    install(&bed.lower, "program");
    bed.lower.chown("program", USER, USER);
    bed.lower.chmod("program", 0o4755);
    let m = bed.mount();
    for _ in 0..2 {
        let status = status_of(&m.at("program"));
        let uids = status
            .lines()
            .find(|line| line.starts_with("Uid:"))
            .expect("Uid");
        assert_eq!(uids.split_whitespace().nth(2), Some("1000"), "{uids}");
        m.set_times("program", (1, 0), (1, 0));
        assert_eq!(bed.upper.mode("program"), 0o4755);
    }
}

fn noexec_mounts(bed: &Bed) {
    install(&bed.lower, "program");
    let m = bed.mount();
    must(
        "remount noexec",
        rustix::mount::mount_remount(
            m.path(),
            rustix::mount::MountFlags::BIND | rustix::mount::MountFlags::NOEXEC,
            c"",
        ),
    );
    refused(Errno::ACCESS, run(&m.at("program")));
}
