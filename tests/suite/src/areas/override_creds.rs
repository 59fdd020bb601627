// SPDX-License-Identifier: GPL-2.0

//! The option `override_creds`: whose rights the overlay uses for its layers.
//!
//! By default they are those of whoever completes the mount. A user of the mount may
//! do what the user and the mounter both may.

use rustix::fs::{makedev, mknodat, FileType, Mode, CWD};
use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use crate::areas::mount_options::shown_options;
use crate::areas::userxattr::ON;
use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused};
use crate::support::newmount::Context;
use crate::support::process::{as_user, become_user, in_child, USER};
use crate::support::userns::{self, drop_capabilities, give_layers, inside, BASE, CONTAINER};

tests! {
    TWICE:
        without_the_option,
        capabilities_that_were_dropped,
        without_the_right_to_write,
        of_another_user,
        the_last_one_counts,
        taken_back,
        features_need_rights,
        by_the_old_interface,
        of_a_namespace_below,
        the_user_needs_rights_too;
    ONCE:
        from_outside_of_the_namespace,
        cannot_be_changed,
        is_not_shown,
        takes_no_value;
}

/// A mount that is being set up, with all layers.
#[track_caller]
fn begin<'a>(bed: &'a Bed, more: &[&str]) -> Context<'a> {
    let context = Context::open(bed);
    context.all_layers();
    for flag in more {
        must(flag, context.flag(flag));
    }
    context
}

/// Completes it.
#[track_caller]
fn complete(bed: &Bed, context: &Context<'_>) -> Dir {
    must("mount", context.mount(&bed.mnt))
}

/// Has the overlay use the rights that a child has after `lower`.
#[track_caller]
fn set_by(context: &Context<'_>, lower: impl FnOnce()) {
    in_child(|| {
        lower();
        must("override_creds", context.flag("override_creds"));
    });
}

fn make_device(m: &Dir, name: &str) -> Result<(), Errno> {
    let kind = FileType::CharacterDevice;
    mknodat(CWD, m.at(name), kind, Mode::RUSR, makedev(1, 3))
}

/// Files that only who has `CAP_DAC_OVERRIDE`, or owns them, may use.
fn secrets(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file_mode(name, "content", 0o600);
        layer.chown(name, USER, USER);
        layer
            .sub_mode(&format!("{name}-dir"), 0o700)
            .file("inside", "");
        layer.chown(&format!("{name}-dir"), USER, USER);
    }
}

fn without_the_option(bed: &Bed) {
    secrets(bed);
    let context = begin(bed, &[]);
    let m = complete(bed, &context);
    must("mknod", make_device(&m, "device"));
    for name in ["low", "up"] {
        assert_eq!(m.text(name), "content");
        as_user(USER, || m.append(name, b", more"));
        assert_eq!(m.names(&format!("{name}-dir")), ["inside"]);
    }
}

#[track_caller]
fn chown(m: &Dir, name: &str, uid: u32) -> Result<(), Errno> {
    rustix::fs::chown(m.at(name), Some(rustix::fs::Uid::from_raw(uid)), None)
}

fn capabilities_that_were_dropped(bed: &Bed) {
    secrets(bed);
    bed.lower.file("plain", "content");
    let context = begin(bed, &[]);
    set_by(&context, || {
        drop_capabilities(CapabilitySet::MKNOD | CapabilitySet::CHOWN | CapabilitySet::FOWNER);
    });
    // Root completes it, and has all capabilities.
    let m = complete(bed, &context);
    refused(Errno::PERM, make_device(&m, "device"));
    m.node("fifo", FileType::Fifo, 0o600, (0, 0));
    refused(Errno::PERM, chown(&m, "up", USER + 1));
    refused(Errno::PERM, chown(&m, "fifo", USER));
    let mode = Mode::from_raw_mode(0o640);
    refused(Errno::PERM, rustix::fs::chmod(m.at("up"), mode));
    // It would be copied with its owner.
    refused(Errno::PERM, rustix::fs::chmod(m.at("low"), mode));
    assert!(!bed.upper.exists("low"));
    assert_eq!(m.text("low"), "content");
    m.append("plain", b", more");
    m.unlink("low");
    assert!(bed.upper.is_whiteout("low"));
    bed.assert_work_is_empty();
}

/// The work directory is for nobody, so it takes a capability to use it.
fn without_the_right_to_write(bed: &Bed) {
    let context = begin(bed, &[]);
    set_by(&context, || drop_capabilities(CapabilitySet::DAC_OVERRIDE));
    refused(Errno::ACCESS, context.create());
    let _ = std::fs::remove_dir(bed.work.at("work"));
    for dir in [&bed.lower, &bed.upper, &bed.work] {
        dir.chown("", USER, USER);
    }
    let context = begin(bed, &[ON]);
    set_by(&context, || become_user(USER, USER));
    refused(Errno::ACCESS, context.create());
}

/// Reading the layers alone takes none.
fn of_another_user(bed: &Bed) {
    for layer in [&bed.lower, &bed.below(1)] {
        layer.file_mode("of-root", "content", 0o600);
        layer.file_mode("of-user", "content", 0o600);
        layer.chown("of-user", USER, USER);
        layer.sub_mode("dir", 0o700).file("inside", "");
    }
    let context = Context::open(bed);
    must("lowerdir", context.string("lowerdir", &bed.lowerdir()));
    set_by(&context, || become_user(USER, USER));
    let m = complete(bed, &context);
    assert_eq!(m.names(""), ["dir", "of-root", "of-user"]);
    refused(Errno::ACCESS, std::fs::read(m.at("of-root")));
    refused(Errno::ACCESS, std::fs::read_dir(m.at("dir")));
    refused(Errno::ACCESS, std::fs::metadata(m.at("dir/inside")));
    assert_eq!(m.text("of-user"), "content");
    // The mounter may, but not this user.
    as_user(USER + 1, || {
        refused(Errno::ACCESS, std::fs::read(m.at("of-user")));
    });
    // This user may, but not the mounter.
    bed.umount();
    let m = bed.mount();
    as_user(USER, || assert_eq!(m.text("of-user"), "content"));
    assert_eq!(m.text("of-root"), "content");
}

fn the_last_one_counts(bed: &Bed) {
    secrets(bed);
    let context = begin(bed, &[]);
    set_by(&context, || drop_capabilities(CapabilitySet::all()));
    set_by(&context, || drop_capabilities(CapabilitySet::MKNOD));
    let m = complete(bed, &context);
    refused(Errno::PERM, make_device(&m, "device"));
    assert_eq!(m.text("low"), "content");
}

fn taken_back(bed: &Bed) {
    secrets(bed);
    let context = begin(bed, &[]);
    set_by(&context, || drop_capabilities(CapabilitySet::MKNOD));
    must("nooverride_creds", context.flag("nooverride_creds"));
    let m = complete(bed, &context);
    must("mknod", make_device(&m, "device"));
    assert_eq!(m.text("low"), "content");
    bed.umount();
    // There is nothing to be taken back.
    let context = begin(bed, &["nooverride_creds"]);
    assert_eq!(complete(bed, &context).text("up"), "content");
}

/// It is the mounter that features need rights of.
fn features_need_rights(bed: &Bed) {
    bed.lower.file("low", "content");
    let with = |key: &str| {
        let context = begin(bed, &[]);
        must(key, context.string(key, "on"));
        set_by(&context, || drop_capabilities(CapabilitySet::SYS_ADMIN));
        context
    };
    for key in ["redirect_dir", "metacopy", "verity"] {
        refused(Errno::PERM, with(key).create());
    }
    let m = complete(bed, &with("index"));
    let shown = shown_options(&m);
    assert!(!shown.contains("index=on"), "{shown}");
    m.append("low", b", more");
    assert_eq!(bed.upper.xattr_names("low"), [""; 0]);
    bed.umount();

    let context = begin(bed, &[ON]);
    set_by(&context, || drop_capabilities(CapabilitySet::SYS_ADMIN));
    let m = complete(bed, &context);
    m.chmod("low", 0o600);
    assert!(shown_options(&m).contains(ON));
}

fn by_the_old_interface(bed: &Bed) {
    secrets(bed);
    for option in ["override_creds", "nooverride_creds"] {
        let m = bed.mount_with(option);
        assert_eq!(m.text("low"), "content");
        bed.umount();
    }
    // Whoever mounts is who gives the option, and so it makes no difference.
    in_child(|| {
        drop_capabilities(CapabilitySet::MKNOD);
        let m = bed.mount_with("override_creds");
        refused(Errno::PERM, make_device(&m, "device"));
        bed.umount();
    });
}

/// A part of a container's layers is prepared by who has more rights.
fn of_a_namespace_below(bed: &Bed) {
    bed.lower.file_mode("own", "content", 0o600);
    bed.lower.file_mode("foreign", "content", 0o600);
    give_layers(bed, BASE);
    bed.lower.chown("foreign", USER, USER);
    let context = begin(bed, &[ON]);
    inside(CONTAINER, || {
        must("override_creds", context.flag("override_creds"));
    });
    let m = complete(bed, &context);
    assert_eq!(m.text("own"), "content");
    m.append("own", b", more");
    refused(Errno::ACCESS, std::fs::read(m.at("foreign")));
    as_user(USER, || {
        refused(Errno::ACCESS, std::fs::read(m.at("foreign")));
    });
    m.unlink("foreign");
    assert!(bed.upper.is_whiteout("foreign"));
    refused(Errno::PERM, make_device(&m, "device"));
    // Root has no number in the mounter's namespace, and so cannot own anything there.
    as_user(BASE, || m.file("new", ""));
    assert_eq!(m.stat("new").st_uid, BASE);
}

/// The mounter's rights are not the user's.
fn the_user_needs_rights_too(bed: &Bed) {
    secrets(bed);
    bed.upper.chmod("", 0o777);
    for context in [begin(bed, &[]), begin(bed, &["override_creds"])] {
        let m = complete(bed, &context);
        as_user(USER + 1, || {
            for name in ["low", "up"] {
                refused(Errno::ACCESS, std::fs::read(m.at(name)));
                refused(Errno::ACCESS, std::fs::write(m.at(name), ""));
                refused(
                    Errno::ACCESS,
                    std::fs::read_dir(m.at(&format!("{name}-dir"))),
                );
            }
            refused(Errno::PERM, make_device(&m, "device"));
            refused(Errno::PERM, chown(&m, "up", USER + 1));
        });
        bed.umount();
    }
}

fn from_outside_of_the_namespace(bed: &Bed) {
    give_layers(bed, BASE);
    let context = userns::descriptor_of(CONTAINER, || begin(bed, &[ON]).into_fd());
    let context = Context::from_fd(bed, context);
    let set = |flag| context.flag(flag);
    // Neither root of the host nor of another namespace is in it.
    refused(Errno::INVAL, set("override_creds"));
    inside(CONTAINER, || refused(Errno::INVAL, set("override_creds")));
    must("nooverride_creds", set("nooverride_creds"));
}

fn cannot_be_changed(bed: &Bed) {
    secrets(bed);
    let context = begin(bed, &[]);
    set_by(&context, || drop_capabilities(CapabilitySet::MKNOD));
    let m = complete(bed, &context);
    for option in ["override_creds", "nooverride_creds", "userxattr"] {
        let picked = Context::pick(bed, &m);
        refused(Errno::INVAL, picked.flag(option));
        must("reconfigure", picked.reconfigure());
        refused(Errno::PERM, make_device(&m, "device"));
        assert!(!shown_options(&m).contains("userxattr"));
    }
}

fn is_not_shown(bed: &Bed) {
    // Upper gets its uuid.
    bed.mount();
    let plain = shown_options(&bed.remount_fresh());
    bed.umount();
    for option in ["override_creds", "nooverride_creds"] {
        assert_eq!(shown_options(&bed.mount_with(option)), plain);
        bed.umount();
    }
}

fn takes_no_value(bed: &Bed) {
    for option in [
        "override_creds=on",
        "override_creds=",
        "nooverride_creds=on",
    ] {
        let options = format!("{},{option}", bed.options());
        refused(Errno::INVAL, bed.try_mount(&options));
    }
}
