// SPDX-License-Identifier: GPL-2.0

//! Layers that are used twice, lie within each other, or change their mounts.

use std::os::fd::AsRawFd;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::{mount_bind, mount_change, mount_remount, unmount, MountFlags};
use rustix::mount::{MountPropagationFlags, UnmountFlags};

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused};
use crate::support::newmount::{detached, Context};

tests! {
    TWICE:
        an_upper_in_use_is_taken_without_an_index,
        an_upper_in_use_is_refused_with_an_index,
        a_failed_mount_leaves_no_mark,
        a_layer_by_two_mounts,
        a_lower_within_upper_or_work,
        a_lower_that_is_moved_into_another,
        upper_that_is_moved_into_lower,
        flags_of_a_layer_s_mount_change,
        a_layer_s_mount_goes_away,
        a_layer_s_mount_gets_something_on_it,
        an_unbindable_mount,
        data_only_layers_are_protected_too;
    ONCE: automounts_are_refused, within_a_layer_they_are_not_followed;
}

fn options(lower: impl ToString, upper: &Dir, work: &Dir) -> String {
    let lower = lower.to_string();
    format!("lowerdir={lower},upperdir={upper},workdir={work}")
}

fn an_upper_in_use_is_taken_without_an_index(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.mount();
    let at = bed.aside("m2");
    let m = must(
        "mount again",
        bed.try_mount_at(&bed.fs, &(bed.options() + ",index=off"), &at),
    );
    assert_eq!(m.text("low"), "content");
    let context = Context::open(bed);
    must(
        "options",
        context.options(bed.options().split(',').chain(["index=off"])),
    );
    must("create", context.create());
    if bed.copies_directories() {
        let said = context.said('w').join("\n");
        for key in ["upperdir", "workdir"] {
            let words = format!("{key}: '");
            assert!(
                said.contains(&words) && said.contains("is in use"),
                "{said}"
            );
        }
    }
}

fn an_upper_in_use_is_refused_with_an_index(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.mount();
    let at = bed.aside("m2");
    let inside = bed.upper.sub("inside");
    let deep = bed.upper.sub("deep");
    for number in 0..6 {
        let base = bed.aside(&format!("free-{number}"));
        let (upper, work) = (base.sub("u"), base.sub("w"));
        let options = match number {
            0 => options(&bed.lower, &bed.upper, &work),
            1 => options(&bed.lower, &upper, &bed.work),
            2 => options(&bed.upper, &upper, &work),
            3 => options(&bed.work, &upper, &work),
            4 => options(&inside, &upper, &work),
            _ => options(&bed.lower, &deep, &work),
        };
        refused(
            Errno::BUSY,
            bed.try_mount_at(&bed.fs, &(options.clone() + ",index=on"), &at),
        );
        must(&options, bed.try_mount_at(&bed.fs, &options, &at));
        bed.umount();
    }
    // Once it is unmounted nothing is in use.
    bed.umount();
    must(
        "mount",
        bed.try_mount(&(options(&bed.lower, &bed.upper, &bed.work) + ",index=on")),
    );
}

fn a_failed_mount_leaves_no_mark(bed: &Bed) {
    bed.lower.file("low", "content");
    for _ in 0..3 {
        // This is found out after upper was marked.
        let missing = format!("{},redirect_dir=on,index=on", bed.options());
        bed.work.sub("work").sub("incompat").sub("something");
        refused(Errno::INVAL, bed.try_mount(&missing));
        std::fs::remove_dir_all(bed.work.at("work")).expect("remove");
        let at = bed.aside("m2");
        must("mount", bed.try_mount_at(&bed.fs, &missing, &at));
        bed.umount();
        std::fs::remove_dir(at.path()).expect("remove");
        std::fs::remove_dir_all(bed.work.at("work")).expect("remove");
    }
}

fn a_layer_by_two_mounts(bed: &Bed) {
    bed.lower.file("low", "content");
    let bound = bed.aside("bound");
    must("bind", mount_bind(bed.lower.path(), bound.path()));
    bed.mounted(&bound);
    let twice = format!("{}:{bound}", bed.lower);
    refused(
        Errno::LOOP,
        bed.try_mount(&options(&twice, &bed.upper, &bed.work)),
    );
    let tree = detached(&bed.lower);
    let context = Context::open(bed);
    must("lowerdir+", context.fd("lowerdir+", &tree));
    must(
        "lowerdir+",
        context.string("lowerdir+", &bed.lower.to_string()),
    );
    refused(Errno::LOOP, context.create());
}

fn a_lower_within_upper_or_work(bed: &Bed) {
    for inside in [bed.upper.sub("inside"), bed.work.sub("inside")] {
        refused(
            Errno::LOOP,
            bed.try_mount(&options(&inside, &bed.upper, &bed.work)),
        );
        let both = format!("{}:{inside}", bed.lower);
        refused(
            Errno::LOOP,
            bed.try_mount(&options(&both, &bed.upper, &bed.work)),
        );
    }
}

fn a_lower_that_is_moved_into_another(bed: &Bed) {
    let base = bed.aside("base");
    let (first, second) = (base.sub("first"), base.sub("second"));
    first.file("a", "1");
    second.file("b", "2");
    let lower = format!("{first}:{second}");
    let m = must(
        "mount",
        bed.try_mount(&options(&lower, &bed.upper, &bed.work)),
    );
    must("move", rustix::fs::rename(second.path(), first.at("moved")));
    refused(Errno::LOOP, std::fs::metadata(m.at("moved")));
    assert_eq!(m.text("a"), "1");
    assert_eq!(m.text("b"), "2");
}

fn upper_that_is_moved_into_lower(bed: &Bed) {
    let base = bed.aside("base");
    let (lower, upper, work) = (base.sub("l"), base.sub("u"), base.sub("w"));
    lower.sub("dir");
    let m = must("mount", bed.try_mount(&options(&lower, &upper, &work)));
    m.file("new", "new");
    for (dir, name) in [(&upper, "dir/u"), (&work, "dir/w")] {
        must("move", rustix::fs::rename(dir.path(), lower.at(name)));
        refused(Errno::LOOP, std::fs::metadata(m.at(name)));
        m.file("new", "changed");
        refused(Errno::LOOP, std::fs::write(m.at(&format!("{name}/x")), ""));
    }
    assert_eq!(lower.text("dir/u/new"), "changed");
    m.unlink("new");
}

/// Bind mounts of lower and upper.
#[track_caller]
fn bound(bed: &Bed) -> (Dir, Dir) {
    bed.lower.file("low", "content");
    bed.lower.file_mode("program", "#!/bin/sh\nexit 0\n", 0o755);
    let base = bed.aside("base");
    base.sub("u");
    base.sub("w");
    let (lower, upper) = (bed.aside("bound-lower"), bed.aside("bound-upper"));
    must("bind", mount_bind(bed.lower.path(), lower.path()));
    bed.mounted(&lower);
    must("bind", mount_bind(base.path(), upper.path()));
    bed.mounted(&upper);
    (lower, upper)
}

#[track_caller]
fn mount_bound(bed: &Bed, lower: &Dir, upper: &Dir) -> Dir {
    let options = options(lower, &upper.join("u"), &upper.join("w"));
    must("mount", bed.try_mount(&options))
}

fn flags_of_a_layer_s_mount_change(bed: &Bed) {
    let (lower, upper) = bound(bed);
    let m = mount_bound(bed, &lower, &upper);
    for flags in [
        MountFlags::RDONLY,
        MountFlags::NOEXEC | MountFlags::NOSUID | MountFlags::NODEV,
        MountFlags::NOATIME,
    ] {
        for at in [&lower, &upper] {
            let flags = MountFlags::BIND | flags;
            must("remount", mount_remount(at.path(), flags, c""));
        }
        m.append("low", b"!");
        m.file("new", "new");
        let status = std::process::Command::new(m.at("program")).status();
        assert!(must("run", status).success());
        m.unlink("new");
    }
    assert_eq!(m.text("low"), "content!!!");
}

fn a_layer_s_mount_goes_away(bed: &Bed) {
    let (lower, upper) = bound(bed);
    let m = mount_bound(bed, &lower, &upper);
    for at in [&lower, &upper] {
        must("umount", unmount(at.path(), UnmountFlags::empty()));
    }
    m.append("low", b"!");
    m.file("new", "new");
    assert_eq!(m.text("low"), "content!");
    assert_eq!(bed.aside("base2").names(""), [""; 0]);
    bed.umount();
    bed.unmounted();
    bed.unmounted();
}

fn a_layer_s_mount_gets_something_on_it(bed: &Bed) {
    let (lower, upper) = bound(bed);
    bed.lower.sub("dir").file("beneath", "");
    must(
        "share",
        mount_change(lower.path(), MountPropagationFlags::SHARED),
    );
    let m = mount_bound(bed, &lower, &upper);
    must(
        "mount tmpfs",
        bed.try_mount_at("tmpfs", "", &lower.join("dir")),
    );
    lower.file("dir/on-top", "");
    assert_eq!(m.names("dir"), ["beneath"]);
    bed.umount();
    assert_eq!(m.names("dir"), ["beneath"]);
}

fn an_unbindable_mount(bed: &Bed) {
    let (lower, upper) = bound(bed);
    for at in [&lower, &upper] {
        must(
            "make unbindable",
            mount_change(at.path(), MountPropagationFlags::UNBINDABLE),
        );
        let options = options(&lower, &upper.join("u"), &upper.join("w"));
        refused(Errno::INVAL, bed.try_mount(&options));
        must(
            "make private",
            mount_change(at.path(), MountPropagationFlags::PRIVATE),
        );
    }
    mount_bound(bed, &lower, &upper);
}

fn data_only_layers_are_protected_too(bed: &Bed) {
    let (u2, w2) = (bed.aside("u2"), bed.aside("w2"));
    let data = |dir: &Dir| format!("{}::{dir}", bed.lower);
    let inside = bed.lower.sub("inside");
    for dir in [&bed.lower, &inside, &bed.upper, &bed.work] {
        refused(
            Errno::LOOP,
            bed.try_mount(&options(data(dir), &bed.upper, &bed.work)),
        );
    }
    bed.mount();
    let at = bed.aside("m2");
    let options = options(data(&bed.upper), &u2, &w2) + ",index=on";
    refused(Errno::BUSY, bed.try_mount_at(&bed.fs, &options, &at));
}

/// An autofs that nobody serves: this process group sees it as its daemon does.
#[track_caller]
fn autofs(bed: &Bed, name: &str, kind: &str) -> Dir {
    let (end, pipe) = must("pipe", rustix::pipe::pipe());
    let group = must("getpgrp", Ok::<_, Errno>(rustix::process::getpgrp()));
    let options = format!(
        "fd={},pgrp={},minproto=5,maxproto=5,{kind}",
        pipe.as_raw_fd(),
        group.as_raw_nonzero()
    );
    let at = bed.aside(name);
    must("mount autofs", bed.try_mount_at("autofs", &options, &at));
    // The mount has the one end; whoever would serve it, the other.
    std::mem::forget(end);
    at
}

fn automounts_are_refused(bed: &Bed) {
    let at = autofs(bed, "direct", "direct");
    let fd = at.open("", OFlags::PATH | OFlags::DIRECTORY);
    let context = Context::open(bed);
    refused(Errno::INVAL, context.fd("lowerdir+", fd));
    refused(Errno::INVAL, context.string("lowerdir+", &at.to_string()));
}

fn within_a_layer_they_are_not_followed(bed: &Bed) {
    let at = autofs(bed, "indirect", "indirect");
    at.sub("trigger");
    bed.lower.file("low", "content");
    let lower = format!("{}:{at}", bed.lower);
    let m = must(
        "mount",
        bed.try_mount(&options(&lower, &bed.upper, &bed.work)),
    );
    assert_eq!(m.text("low"), "content");
    refused(Errno::REMOTE, std::fs::metadata(m.at("trigger")));
    refused(Errno::REMOTE, std::fs::create_dir(m.at("trigger")));
    assert!(m.names("").contains(&"low".to_owned()));
}
