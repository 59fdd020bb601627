// SPDX-License-Identifier: GPL-2.0

//! Mounts in a user namespace of layers, and by contexts, that are not all of that
//! namespace.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::pipe;

use crate::areas::userxattr::ON;
use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused};
use crate::support::newmount::Context;
use crate::support::userns::{self, give_layers, inside, BASE, CONTAINER};

tests! {
    TWICE: those_outside;
    ONCE:
        a_context_of_another_namespace,
        layers_of_another_mount_namespace,
        layers_below_a_mount;
}

/// Who is outside of the namespace has no number in it, whatever rights there are.
fn those_outside(bed: &Bed) {
    bed.lower.file_mode("file", "content", 0o644);
    bed.lower.chmod("", 0o777);
    bed.upper.chmod("", 0o777);
    give_layers(bed, BASE);
    let (ready, is_ready) = must("pipe", pipe());
    let (finish, may_finish) = must("pipe", pipe());
    let mounter = userns::start(CONTAINER, || {
        let m = bed.mount_with(ON);
        must("write", rustix::io::write(&is_ready, b"."));
        must("read", rustix::io::read(&finish, &mut [0_u8; 1]));
        assert_eq!(m.names(""), ["file"]);
        assert_eq!(m.text("file"), "content");
        bed.umount();
    });
    drop(is_ready);
    if must("read", rustix::io::read(&ready, &mut [0_u8; 1])) == 1 {
        let pid = mounter.pid().as_raw_nonzero();
        let m = Dir::new(format!("/proc/{pid}/root{}", bed.mnt));
        assert_eq!(m.text("file"), "content");
        assert_eq!(m.stat("file").st_uid, BASE);
        refused(Errno::OVERFLOW, std::fs::write(m.at("new"), ""));
        refused(Errno::OVERFLOW, rustix::fs::mkdir(m.at("new"), Mode::RWXU));
        must("write", rustix::io::write(&may_finish, b"."));
    }
    mounter.join();
}

/// Whoever completes the mount has to be where it was begun.
fn a_context_of_another_namespace(bed: &Bed) {
    let context = userns::descriptor_of(CONTAINER, || Context::open(bed).into_fd());
    let context = Context::from_fd(bed, context);
    context.all_layers();
    refused(Errno::INVAL, context.create());

    let context = Context::open(bed);
    inside(CONTAINER, || {
        refused(Errno::PERM, context.create());
    });
    assert_work_is_clean(bed);
}

/// Nothing was made in the work directory.
#[track_caller]
fn assert_work_is_clean(bed: &Bed) {
    assert_eq!(bed.work.names(""), [""; 0]);
}

/// A layer is a mount that one has rights to.
fn layers_of_another_mount_namespace(bed: &Bed) {
    give_layers(bed, BASE);
    let layers = [&bed.below(1), &bed.lower].map(|dir| dir.open("", OFlags::PATH));
    inside(CONTAINER, || {
        let context = Context::open(bed);
        for layer in &layers {
            must("lowerdir+", context.fd("lowerdir+", layer));
        }
        refused(Errno::INVAL, context.create());
    });
    // Where they are ours it works.
    let context = Context::open(bed);
    for layer in &layers {
        must("lowerdir+", context.fd("lowerdir+", layer));
    }
    must("create", context.create());
}

/// What a mount hides is not to be shown to whoever may not unmount it.
fn layers_below_a_mount(bed: &Bed) {
    bed.lower.sub("dir").file("hidden", "secret");
    give_layers(bed, BASE);
    let at = bed.lower.join("dir");
    must("mount tmpfs", bed.try_mount_at("tmpfs", "mode=755", &at));
    inside(CONTAINER, || {
        for more in ["", ",userxattr"] {
            let options = format!("{}{more}", bed.options());
            refused(Errno::INVAL, bed.try_mount(&options));
        }
    });
    let m = bed.mount();
    assert_eq!(m.text("dir/hidden"), "secret");
}
