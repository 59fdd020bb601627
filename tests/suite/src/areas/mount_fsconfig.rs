// SPDX-License-Identifier: GPL-2.0

//! Layers that are given by `fsconfig`: one by one, by descriptors, again and again.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::{mount, mount_bind, MountFlags};

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused};
use crate::support::newmount::{detached, Context};
use crate::support::shown;

tests! {
    TWICE:
        layers_one_by_one,
        all_layers_by_descriptor,
        by_path_descriptors,
        by_detached_mounts,
        a_detached_mount_that_is_gone,
        a_detached_mount_of_upper_for_both,
        two_detached_mounts_of_upper_are_refused,
        descriptors_of_other_things_are_refused,
        a_descriptor_for_an_option_without,
        an_empty_lowerdir_resets,
        lowerdir_replaces_what_was_added,
        nothing_is_added_to_lowerdir,
        nothing_is_appended_by_a_colon,
        regular_layers_after_data_are_refused,
        a_refused_lowerdir_leaves_none,
        the_last_upperdir_counts,
        a_backslash_means_nothing_in_lowerdir_plus,
        keys_that_are_none,
        values_of_other_kinds,
        nothing_follows_the_creation,
        nothing_follows_a_failure,
        the_source_is_taken,
        relative_to_the_caller_s_directory,
        magic_links_of_mount;
}

/// Two lower layers and an upper one, with a file each.
fn fill(bed: &Bed) -> (Dir, Dir) {
    bed.lower.file("first", "1");
    let second = bed.below(1);
    second.file("second", "2");
    bed.upper.file("up", "3");
    (bed.lower.clone(), second)
}

#[track_caller]
fn assert_filled(bed: &Bed, m: &Dir) {
    assert_eq!(m.names(""), ["first", "second", "up"]);
    m.append("first", b", changed");
    m.file("new", "new");
    assert_eq!(bed.upper.text("first"), "1, changed");
    assert_eq!(bed.lower.text("first"), "1");
    assert_eq!(m.names(""), ["first", "new", "second", "up"]);
}

#[track_caller]
fn set(context: &Context, key: &str, value: impl ToString) {
    must(key, context.string(key, &value.to_string()));
}

#[track_caller]
fn set_upper(bed: &Bed, context: &Context) {
    set(context, "upperdir", &bed.upper);
    set(context, "workdir", &bed.work);
}

fn layers_one_by_one(bed: &Bed) {
    let (first, second) = fill(bed);
    let context = Context::open(bed);
    set(&context, "lowerdir+", &first);
    set_upper(bed, &context);
    set(&context, "lowerdir+", &second);
    let m = must("mount", context.mount(&bed.mnt));
    assert_filled(bed, &m);
    let shown = shown::list(&m);
    let layers = [
        format!("lowerdir+={first}"),
        format!("lowerdir+={second}"),
        format!("upperdir={}", bed.upper),
        format!("workdir={}", bed.work),
    ];
    assert_eq!(shown[..4], layers);
}

/// Mounts with descriptors that `open` makes of the directories.
#[track_caller]
fn by<F: AsFd>(bed: &Bed, open: impl Fn(&Dir) -> F) -> Dir {
    let (first, second) = fill(bed);
    let context = Context::open(bed);
    for (key, dir) in [
        ("lowerdir+", &first),
        ("lowerdir+", &second),
        ("upperdir", &bed.upper),
        ("workdir", &bed.work),
    ] {
        must(key, context.fd(key, open(dir)));
    }
    must("mount", context.mount(&bed.mnt))
}

fn all_layers_by_descriptor(bed: &Bed) {
    let m = by(bed, |dir| dir.open_read(""));
    assert_filled(bed, &m);
    let shown = shown::list(&m);
    assert!(
        shown.contains(&format!("upperdir={}", bed.upper)),
        "{shown:?}"
    );
    assert!(
        shown.contains(&format!("lowerdir+={}", bed.lower)),
        "{shown:?}"
    );
}

fn by_path_descriptors(bed: &Bed) {
    let m = by(bed, |dir| dir.open("", OFlags::PATH | OFlags::DIRECTORY));
    assert_filled(bed, &m);
}

fn by_detached_mounts(bed: &Bed) {
    let (first, second) = fill(bed);
    let context = Context::open(bed);
    let trees = [detached(&first), detached(&second)];
    for tree in &trees {
        must("lowerdir+", context.fd("lowerdir+", tree));
    }
    set_upper(bed, &context);
    let m = must("mount", context.mount(&bed.mnt));
    drop(trees);
    assert_filled(bed, &m);
}

fn a_detached_mount_that_is_gone(bed: &Bed) {
    let (first, second) = fill(bed);
    let context = Context::open(bed);
    must("lowerdir+", context.fd("lowerdir+", detached(&first)));
    set(&context, "lowerdir+", second);
    // Its descriptor was closed.
    refused(Errno::INVAL, context.create());
}

fn a_detached_mount_of_upper_for_both(bed: &Bed) {
    let (first, second) = fill(bed);
    let base = bed.aside("base");
    let (upper, work) = (base.sub("u"), base.sub("w"));
    let tree = detached(&base);
    let within = |name| {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&tree, name, flags, rustix::fs::Mode::empty());
        must("open in the detached mount", fd)
    };
    let context = Context::open(bed);
    set(&context, "lowerdir+", first);
    set(&context, "lowerdir+", second);
    must("upperdir", context.fd("upperdir", within("u")));
    must("workdir", context.fd("workdir", within("w")));
    let m = must("mount", context.mount(&bed.mnt));
    m.file("new", "new");
    assert_eq!(upper.text("new"), "new");
    assert!(work.exists("work"));
}

fn two_detached_mounts_of_upper_are_refused(bed: &Bed) {
    let (first, second) = fill(bed);
    let context = Context::open(bed);
    set(&context, "lowerdir+", first);
    set(&context, "lowerdir+", second);
    must("upperdir", context.fd("upperdir", detached(&bed.upper)));
    must("workdir", context.fd("workdir", detached(&bed.work)));
    refused(Errno::INVAL, context.create());
}

fn descriptors_of_other_things_are_refused(bed: &Bed) {
    bed.lower.file("file", "");
    let context = Context::open(bed);
    let file = bed.lower.open_read("file");
    let by_path = bed.lower.open("file", OFlags::PATH);
    let (end, _other) = must("pipe", rustix::pipe::pipe());
    for key in ["lowerdir+", "datadir+", "upperdir", "workdir"] {
        refused(Errno::INVAL, context.fd(key, &file));
        refused(Errno::INVAL, context.fd(key, &by_path));
        refused(Errno::INVAL, context.fd(key, &end));
    }
}

fn a_descriptor_for_an_option_without(bed: &Bed) {
    let context = Context::open(bed);
    let dir = bed.lower.open_read("");
    for key in ["lowerdir", "index", "volatile", "nonsense"] {
        refused(Errno::INVAL, context.fd(key, &dir));
    }
}

fn an_empty_lowerdir_resets(bed: &Bed) {
    let (first, second) = fill(bed);
    let context = Context::open(bed);
    set(&context, "lowerdir+", bed.aside("other"));
    set(&context, "datadir+", bed.aside("data"));
    set(&context, "lowerdir", "");
    set(&context, "lowerdir+", &first);
    set(&context, "lowerdir", format!("{second}:{first}"));
    set(&context, "lowerdir", "");
    set(&context, "lowerdir+", first);
    set(&context, "lowerdir+", second);
    set_upper(bed, &context);
    let m = must("mount", context.mount(&bed.mnt));
    assert_filled(bed, &m);
}

fn lowerdir_replaces_what_was_added(bed: &Bed) {
    let (first, second) = fill(bed);
    let context = Context::open(bed);
    set(&context, "lowerdir+", bed.aside("other"));
    set(&context, "lowerdir", format!("{first}:{second}"));
    set_upper(bed, &context);
    let m = must("mount", context.mount(&bed.mnt));
    assert_filled(bed, &m);
    assert_eq!(shown::list(&m)[0], format!("lowerdir={first}:{second}"));
}

fn nothing_is_added_to_lowerdir(bed: &Bed) {
    let (first, second) = fill(bed);
    let context = Context::open(bed);
    set(&context, "lowerdir", &first);
    for key in ["lowerdir+", "datadir+"] {
        refused(Errno::INVAL, context.string(key, &second.to_string()));
        refused(Errno::INVAL, context.fd(key, second.open_read("")));
        // What is not there, first of all is not there.
        let missing = second.join("missing").to_string();
        refused(Errno::NOENT, context.string(key, &missing));
    }
}

fn nothing_is_appended_by_a_colon(bed: &Bed) {
    let (first, second) = fill(bed);
    for value in [format!(":{second}"), format!("::{second}"), ":".into()] {
        let context = Context::open(bed);
        set(&context, "lowerdir", &first);
        refused(Errno::INVAL, context.string("lowerdir", &value));
    }
}

fn regular_layers_after_data_are_refused(bed: &Bed) {
    let (first, second) = fill(bed);
    let context = Context::open(bed);
    set(&context, "lowerdir+", &first);
    set(&context, "datadir+", &second);
    let third = bed.below(2);
    refused(
        Errno::INVAL,
        context.string("lowerdir+", &third.to_string()),
    );
    set(&context, "datadir+", third);
    set_upper(bed, &context);
    let m = must("mount", context.mount(&bed.mnt));
    assert_eq!(m.names(""), ["first", "up"]);
}

fn a_refused_lowerdir_leaves_none(bed: &Bed) {
    let (first, second) = fill(bed);
    let context = Context::open(bed);
    set(&context, "lowerdir+", bed.aside("other"));
    refused(
        Errno::INVAL,
        context.string("lowerdir", &format!("{first}:{second}:")),
    );
    set(&context, "lowerdir", format!("{first}:{second}"));
    set_upper(bed, &context);
    let m = must("mount", context.mount(&bed.mnt));
    assert_filled(bed, &m);
}

fn the_last_upperdir_counts(bed: &Bed) {
    let (first, second) = fill(bed);
    let context = Context::open(bed);
    set(&context, "lowerdir", format!("{first}:{second}"));
    set(&context, "upperdir", bed.aside("u2"));
    set(&context, "workdir", bed.aside("w2"));
    must(
        "upperdir",
        context.fd("upperdir", bed.aside("u3").open_read("")),
    );
    refused(Errno::NOENT, context.string("upperdir", "/no/such"));
    set_upper(bed, &context);
    let m = must("mount", context.mount(&bed.mnt));
    assert_filled(bed, &m);
}

fn a_backslash_means_nothing_in_lowerdir_plus(bed: &Bed) {
    let (first, second) = fill(bed);
    let odd = bed.aside("a\\:b,c\\");
    odd.file("odd", "");
    let context = Context::open(bed);
    set(&context, "lowerdir+", &odd);
    set(&context, "lowerdir+", first);
    set(&context, "datadir+", second);
    let m = must("mount", context.mount(&bed.mnt));
    assert_eq!(m.names(""), ["first", "odd"]);
    assert_eq!(shown::list(&m)[0], format!("lowerdir+={odd}"));
}

fn keys_that_are_none(bed: &Bed) {
    let context = Context::open(bed);
    for key in [
        "nonsense",
        "lowerdir++",
        "Lowerdir",
        "lower dir",
        "",
        "novolatile",
    ] {
        refused(Errno::INVAL, context.string(key, "value"));
        refused(Errno::INVAL, context.flag(key));
        refused(Errno::INVAL, context.binary(key, b"value"));
    }
    // One byte more than a key may have.
    refused(Errno::INVAL, context.flag(&"k".repeat(256)));
    refused(Errno::INVAL, context.string("lowerdir", &"v".repeat(256)));
}

fn values_of_other_kinds(bed: &Bed) {
    let context = Context::open(bed);
    for key in [
        "lowerdir",
        "lowerdir+",
        "upperdir",
        "workdir",
        "index",
        "uuid",
    ] {
        refused(Errno::INVAL, context.flag(key));
        refused(Errno::INVAL, context.binary(key, b"value"));
    }
    for key in [
        "lowerdir+",
        "datadir+",
        "upperdir",
        "workdir",
        "index",
        "uuid",
    ] {
        refused(Errno::INVAL, context.string(key, ""));
    }
    for key in ["volatile", "default_permissions"] {
        refused(Errno::INVAL, context.string(key, ""));
        refused(Errno::INVAL, context.string(key, "on"));
        refused(Errno::INVAL, context.binary(key, b"on"));
    }
}

fn nothing_follows_the_creation(bed: &Bed) {
    let (first, second) = fill(bed);
    let context = Context::open(bed);
    set(&context, "lowerdir", format!("{first}:{second}"));
    must("create", context.create());
    refused(Errno::BUSY, context.create());
    refused(Errno::BUSY, context.string("lowerdir+", "/"));
    must("attach", context.attach(&bed.mnt));
}

fn nothing_follows_a_failure(bed: &Bed) {
    let context = Context::open(bed);
    refused(Errno::INVAL, context.create());
    refused(Errno::BUSY, context.string("lowerdir", "/"));
    refused(Errno::BUSY, context.create());
}

fn the_source_is_taken(bed: &Bed) {
    let (first, second) = fill(bed);
    let context = Context::open(bed);
    set(&context, "source", "a name");
    refused(Errno::INVAL, context.string("source", "another"));
    set(&context, "lowerdir", format!("{first}:{second}"));
    let m = must("mount", context.mount(&bed.mnt));
    assert_eq!(shown::fields(&m)[0], "a\\040name");
}

fn relative_to_the_caller_s_directory(bed: &Bed) {
    let (first, second) = fill(bed);
    let context = Context::open(bed);
    must("chdir", rustix::process::chdir(first.path()));
    set(&context, "lowerdir+", ".");
    must("chdir", rustix::process::chdir(second.path()));
    set(&context, "lowerdir+", ".");
    must("chdir", rustix::process::chdir("/"));
    set_upper(bed, &context);
    let m = must("mount", context.mount(&bed.mnt));
    assert_filled(bed, &m);
}

fn magic_links_of_mount(bed: &Bed) {
    let (first, second) = fill(bed);
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let open = [first, second, bed.upper.clone(), bed.work.clone()].map(|dir| dir.open("", flags));
    let link = |index: usize| format!("/proc/self/fd/{}", open[index].as_raw_fd());
    let options = format!(
        "lowerdir={}:{},upperdir={},workdir={}",
        link(0),
        link(1),
        link(2),
        link(3)
    );
    let data = must("options", CString::new(options));
    must(
        "mount",
        mount(
            bed.fs.as_str(),
            bed.mnt.path(),
            bed.fs.as_str(),
            MountFlags::empty(),
            data.as_c_str(),
        ),
    );
    bed.mounted(&bed.mnt);
    drop(open);
    assert_filled(bed, &bed.mnt);
    // A link to the root of another mount leads there.
    bed.umount();
    let bound = bed.aside("bound");
    must("bind", mount_bind(bed.lower.path(), bound.path()));
    bed.mounted(&bound);
    let at = bound.open("", flags);
    let options = format!("lowerdir=/proc/self/fd/{}:{}", at.as_raw_fd(), bed.below(1));
    let m = must("mount", bed.try_mount(&options));
    assert_eq!(m.names(""), ["first", "second"]);
}
