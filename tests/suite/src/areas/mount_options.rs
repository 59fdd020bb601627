// SPDX-License-Identifier: GPL-2.0

//! What a mount says about itself, and what remounting changes.

use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::mount::{
    fsconfig_reconfigure, fsconfig_set_string, fspick, mount_remount, FsPickFlags, MountFlags,
};

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused};

tests! {
    TWICE:
        shown_options_mount_again,
        shown_options_without_upper_mount_again,
        odd_characters_are_shown_escaped,
        remounted_read_only_and_back,
        without_upper_it_stays_read_only,
        remount_ignores_layer_options,
        reconfigure_refuses_layer_options;
    ONCE: the_type_is_registered, bind_mounts_show_the_same;
}

/// The fields of the mount's line in `/proc/self/mounts`: source, mount point,
/// type, options.
fn shown(at: &Dir) -> Vec<String> {
    let mounts = must("read mounts", std::fs::read_to_string("/proc/self/mounts"));
    let line = mounts
        .lines()
        .rfind(|line| line.split(' ').nth(1) == Some(&at.to_string()))
        .unwrap_or_else(|| panic!("{at} is not in /proc/self/mounts"));
    line.split(' ').map(String::from).collect()
}

/// The options of that line that are the filesystem's own.
pub fn shown_options(at: &Dir) -> String {
    let fields = shown(at);
    let own: Vec<_> = fields[3]
        .split(',')
        .filter(|option| !matches!(*option, "rw" | "ro" | "relatime" | "noatime"))
        .collect();
    own.join(",")
}

fn shown_options_mount_again(bed: &Bed) {
    bed.lower.file("a", "first");
    bed.below(1).file("b", "second");
    let m = bed.mount();
    m.append("b", b", changed");
    let fields = shown(&m);
    assert_eq!(fields[2], bed.fs);
    assert!(fields[3].starts_with("rw,"), "{}", fields[3]);
    let options = shown_options(&m);
    assert!(options.starts_with(&bed.options()), "{options}");
    bed.umount();

    let m = must("mount with the shown options", bed.try_mount(&options));
    assert_eq!(m.text("a"), "first");
    assert_eq!(m.text("b"), "second, changed");
    assert_eq!(shown_options(&m), options);
}

fn shown_options_without_upper_mount_again(bed: &Bed) {
    bed.below(1).file("b", "second");
    let m = bed.mount_lowers();
    assert!(shown(&m)[3].starts_with("ro,"), "{}", shown(&m)[3]);
    let options = shown_options(&m);
    assert!(!options.contains("upperdir"), "{options}");
    assert!(!options.contains("workdir"), "{options}");
    bed.umount();

    let m = must("mount with the shown options", bed.try_mount(&options));
    assert_eq!(m.text("b"), "second");
}

fn odd_characters_are_shown_escaped(bed: &Bed) {
    let lower = bed.lower.sub("a b\tc");
    lower.file("low", "from lower");
    let options = format!(
        "lowerdir={lower},upperdir={},workdir={}",
        bed.upper, bed.work
    );
    let m = must("mount", bed.try_mount(&options));
    let shown = shown_options(&m);
    assert!(shown.contains("/a\\040b\\011c,"), "{shown}");
}

fn remount(m: &Dir, flags: MountFlags) -> Result<(), Errno> {
    mount_remount(m.path(), flags, c"")
}

fn remounted_read_only_and_back(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let m = bed.mount();
    m.file("new", "1");
    must("remount read-only", remount(&m, MountFlags::RDONLY));
    refused(Errno::ROFS, std::fs::write(m.at("new"), "2"));
    refused(Errno::ROFS, std::fs::write(m.at("low"), "2"));
    refused(Errno::ROFS, std::fs::remove_file(m.at("low")));
    assert_eq!(m.text("new"), "1");
    assert!(shown(&m)[3].starts_with("ro"), "{}", shown(&m)[3]);
    must("remount writable", remount(&m, MountFlags::empty()));
    m.file("low", "2");
    assert_eq!(m.text("low"), "2");
}

fn without_upper_it_stays_read_only(bed: &Bed) {
    bed.below(1).file("b", "second");
    let m = bed.mount_lowers();
    refused(Errno::ROFS, remount(&m, MountFlags::empty()));
    refused(Errno::ROFS, std::fs::write(m.at("new"), ""));
}

fn remount_ignores_layer_options(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let m = bed.mount();
    let before = shown_options(&m);
    must(
        "remount with options",
        mount_remount(m.path(), MountFlags::empty(), c"lowerdir=/,nonsense"),
    );
    assert_eq!(shown_options(&m), before);
    assert_eq!(m.names(""), ["low"]);
}

fn reconfigure_refuses_layer_options(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let m = bed.mount();
    let context = must(
        "fspick",
        fspick(rustix::fs::CWD, m.path(), FsPickFlags::FSPICK_CLOEXEC),
    );
    refused(
        Errno::INVAL,
        fsconfig_set_string(context.as_fd(), "lowerdir", "/"),
    );
    must("reconfigure", fsconfig_reconfigure(context.as_fd()));
    assert_eq!(m.names(""), ["low"]);
}

fn the_type_is_registered(bed: &Bed) {
    let list = must("read", std::fs::read_to_string("/proc/filesystems"));
    assert!(list
        .lines()
        .any(|line| line == format!("nodev\t{}", bed.fs)));
}

fn bind_mounts_show_the_same(bed: &Bed) {
    bed.lower.sub("dir").file("low", "from lower");
    let m = bed.mount();
    let at = bed.aside("bound");
    must("bind", rustix::mount::mount_bind(m.at("dir"), at.path()));
    bed.mounted(&at);
    at.file("low", "changed");
    assert_eq!(m.text("dir/low"), "changed");
    assert_eq!(at.stat("low").st_ino, m.stat("dir/low").st_ino);
}
