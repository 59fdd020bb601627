// SPDX-License-Identifier: GPL-2.0

//! Changing a mount: `mount -o remount`, and `fspick` with `fsconfig`.

use std::ffi::CString;
use std::process::Command;

use rustix::io::Errno;
use rustix::mount::{mount_remount, MountFlags};

use super::copy_up_io_error::disk::Disk;
use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused};
use crate::support::newmount::Context;
use crate::support::shown::{self, is_readonly};

tests! {
    TWICE:
        read_only_and_back,
        read_only_and_back_by_fsconfig,
        without_upper_it_stays_read_only,
        what_is_open_for_writing_keeps_it_writable,
        options_that_it_has_are_taken,
        options_that_it_was_asked_for_are_taken,
        layers_that_it_has_are_taken_by_other_names,
        layers_that_were_added_are_taken,
        other_options_are_refused,
        other_options_are_refused_by_fsconfig,
        a_refused_change_changes_nothing,
        by_mount_8;
    ONCE: read_only_writes_upper_back, the_mount_s_own_flags_change;
}

fn remount(m: &Dir, flags: MountFlags, options: &str) -> Result<(), Errno> {
    let data = must("options", CString::new(options));
    mount_remount(m.path(), flags, data.as_c_str())
}

#[track_caller]
fn assert_read_only(m: &Dir) {
    refused(Errno::ROFS, std::fs::write(m.at("new"), "2"));
    refused(Errno::ROFS, std::fs::write(m.at("low"), "2"));
    refused(Errno::ROFS, std::fs::remove_file(m.at("low")));
    assert_eq!(m.text("low"), "from lower");
    assert!(is_readonly(m));
}

fn read_only_and_back(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let m = bed.mount();
    m.file("new", "1");
    for _ in 0..3 {
        must("remount read-only", remount(&m, MountFlags::RDONLY, ""));
        assert_read_only(&m);
        must("again", remount(&m, MountFlags::RDONLY, ""));
        must("remount writable", remount(&m, MountFlags::empty(), ""));
        m.file("new", "3");
    }
    m.file("low", "2");
    assert_eq!(m.text("low"), "2");
}

fn read_only_and_back_by_fsconfig(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let m = bed.mount();
    let context = Context::pick(bed, &m);
    must("ro", context.flag("ro"));
    must("reconfigure", context.reconfigure());
    assert_read_only(&m);
    must("rw", context.flag("rw"));
    must("reconfigure", context.reconfigure());
    assert!(!is_readonly(&m));
    m.file("low", "2");
}

fn without_upper_it_stays_read_only(bed: &Bed) {
    bed.below(1).file("b", "second");
    let m = bed.mount_lowers();
    refused(Errno::ROFS, remount(&m, MountFlags::empty(), ""));
    refused(Errno::ROFS, std::fs::write(m.at("new"), ""));
    let context = Context::pick(bed, &m);
    must("rw", context.flag("rw"));
    refused(Errno::ROFS, context.reconfigure());
    must("still read-only", remount(&m, MountFlags::RDONLY, ""));
    assert!(is_readonly(&m));
}

fn what_is_open_for_writing_keeps_it_writable(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let m = bed.mount();
    let file = m.open_rw("low");
    refused(Errno::BUSY, remount(&m, MountFlags::RDONLY, ""));
    m.file("new", "1");
    drop(file);
    must("remount read-only", remount(&m, MountFlags::RDONLY, ""));
}

fn options_that_it_has_are_taken(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let m = bed.mount_with("redirect_dir=on,index=on,xino=off,default_permissions");
    // As mount(8) does: what the mount shows, and perhaps what it was given.
    let shown = shown::list(&m);
    let given = bed.options() + ",redirect_dir=on,index=on,xino=off,default_permissions";
    for options in [shown.join(","), given] {
        must(&options, remount(&m, MountFlags::RDONLY, &options));
        assert_read_only(&m);
        must(&options, remount(&m, MountFlags::empty(), &options));
        m.file("new", "");
    }
    assert_eq!(shown::list(&m), shown);
}

fn options_that_it_was_asked_for_are_taken(bed: &Bed) {
    bed.lower.file("low", "from lower");
    // Without upper the index and the work directory are useless.
    let options = format!(
        "lowerdir={}:{},workdir={},index=on,volatile",
        bed.lower,
        bed.below(1),
        bed.work
    );
    let m = must("mount", bed.try_mount(&options));
    assert!(!shown::raw(&m).contains("index=on"));
    must("remount", remount(&m, MountFlags::RDONLY, &options));
    let shown = shown::list(&m).join(",");
    must("remount", remount(&m, MountFlags::RDONLY, &shown));
}

fn layers_that_it_has_are_taken_by_other_names(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let m = bed.mount();
    let (lower, upper, work) = (&bed.lower, &bed.upper, &bed.work);
    must("chdir", rustix::process::chdir(lower.path()));
    let options = format!("lowerdir=.,upperdir={upper}/../u/,workdir={work}/.");
    let result = remount(&m, MountFlags::RDONLY, &options);
    must("chdir", rustix::process::chdir("/"));
    must("remount", result);
    assert_read_only(&m);
    must("remount", remount(&m, MountFlags::empty(), ""));
}

fn layers_that_were_added_are_taken(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let (second, data) = (bed.below(1), bed.below(2));
    let context = Context::open(bed);
    for (key, dir) in [
        ("lowerdir+", &bed.lower),
        ("lowerdir+", &second),
        ("datadir+", &data),
        ("upperdir", &bed.upper),
        ("workdir", &bed.work),
    ] {
        must(key, context.string(key, &dir.to_string()));
    }
    let m = must("mount", context.mount(&bed.mnt));
    let options = shown::list(&m).join(",");
    must("remount", remount(&m, MountFlags::RDONLY, &options));
    let whole = format!("lowerdir={}:{second}::{data}", bed.lower);
    must("remount", remount(&m, MountFlags::RDONLY, &whole));
    for wrong in [
        format!("lowerdir+={second},lowerdir+={}", bed.lower),
        format!("lowerdir+={},datadir+={second}", bed.lower),
        format!("{options},lowerdir+={}", bed.lower),
        format!("lowerdir={}:{second}:{data}", bed.lower),
        format!("lowerdir={}:{second}", bed.lower),
        format!("{whole}::{}", bed.upper),
    ] {
        let result = remount(&m, MountFlags::RDONLY, &wrong);
        assert_eq!(result, Err(Errno::INVAL), "{wrong}");
    }
}

/// Options that a mount without options does not have.
const OTHERS: [&str; 15] = [
    "override_creds",
    "nooverride_creds",
    "userxattr",
    "lowerdir=/",
    "lowerdir=",
    "lowerdir+=/",
    "datadir+=/",
    "upperdir=/",
    "workdir=/",
    "volatile",
    "default_permissions",
    "index=maybe",
    "xino=on",
    "nonsense",
    "nonsense=1",
];

fn other_options_are_refused(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let m = bed.mount();
    for option in OTHERS {
        for flags in [MountFlags::empty(), MountFlags::RDONLY] {
            let result = remount(&m, flags, option);
            assert_eq!(result, Err(Errno::INVAL), "{option}");
        }
    }
    assert!(!is_readonly(&m));
}

fn other_options_are_refused_by_fsconfig(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let m = bed.mount();
    for option in OTHERS {
        let context = Context::pick(bed, &m);
        refused(Errno::INVAL, context.options([option]));
        let said = context.said('e');
        assert!(!said.is_empty(), "{option}: not a word");
        // What was taken before is done.
        must("ro", context.flag("ro"));
        must("reconfigure", context.reconfigure());
        assert!(is_readonly(&m));
        must("remount", remount(&m, MountFlags::empty(), ""));
    }
    let context = Context::pick(bed, &m);
    refused(
        Errno::INVAL,
        context.fd("upperdir", bed.lower.open_read("")),
    );
    refused(Errno::INVAL, context.binary("upperdir", b"x"));
    refused(Errno::INVAL, context.flag("upperdir"));
    assert_eq!(m.names(""), ["low"]);
}

fn a_refused_change_changes_nothing(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let m = bed.mount();
    let before = shown::list(&m);
    refused(
        Errno::INVAL,
        remount(&m, MountFlags::RDONLY, "lowerdir=/,nonsense"),
    );
    assert_eq!(shown::list(&m), before);
    assert!(!is_readonly(&m));
    assert_eq!(m.names(""), ["low"]);
    m.file("new", "");
}

/// The program mount(8), with what it finds in `/proc`.
fn by_mount_8(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let odd = bed.lower.sub("a, b").sub("c");
    odd.file("low", "from lower");
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        odd.to_string().replace(',', "\\,"),
        bed.upper,
        bed.work
    );
    let m = must("mount", bed.try_mount(&options));
    for (flag, readonly) in [("ro", true), ("rw", false), ("remount,ro", true)] {
        let output = Command::new("mount")
            .arg("-o")
            .arg(format!("remount,{flag}"))
            .arg(m.path())
            .output();
        let output = must("run mount", output);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "remount,{flag}: {said}");
        assert_eq!(is_readonly(&m), readonly);
    }
}

/// Going read-only writes to the disk, and tells when that fails, unless the mount is
/// volatile.
fn read_only_writes_upper_back(bed: &Bed) {
    bed.lower.file("low", "from lower");
    // Without a journal an error does not make ext4 itself read-only.
    let disk = Disk::with(bed, "ext4", 24 << 20, &["-O", "^has_journal"]);
    let at = &disk.dir;
    for (number, more) in [",volatile", ""].into_iter().enumerate() {
        let (upper, work) = (at.sub(&format!("u{number}")), at.sub(&format!("w{number}")));
        rustix::fs::sync();
        let options = format!(
            "lowerdir={},upperdir={upper},workdir={work}{more}",
            bed.lower
        );
        let m = must("mount", bed.try_mount(&options));
        m.file("new", vec![1; 100_000]);
        let failing = disk.fail(0);
        let result = remount(&m, MountFlags::RDONLY, "");
        drop(failing);
        assert_eq!(result.is_ok(), number == 0, "{options}: {result:?}");
        assert_eq!(is_readonly(&m), number == 0);
        bed.umount();
    }
}

fn the_mount_s_own_flags_change(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let m = bed.mount();
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    must("remount", remount(&m, flags, ""));
    let fields = shown::fields(&m);
    for flag in ["nosuid", "nodev", "noexec"] {
        assert!(
            fields[3].split(',').any(|option| option == flag),
            "{fields:?}"
        );
    }
    let bind = MountFlags::BIND | MountFlags::RDONLY;
    must("remount the mount alone", remount(&m, bind, ""));
    refused(Errno::ROFS, std::fs::write(m.at("new"), ""));
    assert!(!is_readonly(&m));
}
