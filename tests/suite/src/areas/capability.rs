// SPDX-License-Identifier: GPL-2.0

//! File capabilities: kept by a copy-up, dropped by a write.

use rustix::fs::{setxattr, XattrFlags};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::image::CAPABILITY;
use crate::support::must::refused;
use crate::support::process::{as_user, USER};

tests! {
    EVERYWHERE: is_kept_by_copy_up, is_dropped_by_a_write;
    TWICE:
        is_dropped_by_truncation,
        is_dropped_by_a_change_of_the_owner,
        is_set_by_root_alone,
        is_in_force;
}

const KEY: &str = "security.capability";

fn capable(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file_mode(name, "content", 0o755);
        layer.set_xattr(name, KEY, CAPABILITY);
    }
}

fn is_kept_by_copy_up(bed: &Bed) {
    capable(bed);
    let m = bed.mount();
    assert_eq!(m.xattr("low", KEY).as_deref(), Some(CAPABILITY));
    m.chmod("low", 0o700);
    for dir in [&m, &bed.upper, &bed.lower] {
        assert_eq!(dir.xattr("low", KEY).as_deref(), Some(CAPABILITY));
    }
    m.rename("low", "renamed");
    assert_eq!(
        bed.remount_fresh().xattr("renamed", KEY).as_deref(),
        Some(CAPABILITY)
    );
}

fn is_dropped_by_a_write(bed: &Bed) {
    capable(bed);
    let m = bed.mount();
    for name in ["low", "up"] {
        let writer = m.open_rw(name);
        assert_eq!(
            m.xattr(name, KEY).as_deref(),
            Some(CAPABILITY),
            "{name} opened"
        );
        crate::support::must::must("write", rustix::io::write(&writer, b"C"));
        for dir in [&m, &bed.upper] {
            assert_eq!(dir.xattr(name, KEY), None, "{name} written");
        }
    }
    assert_eq!(bed.lower.xattr("low", KEY).as_deref(), Some(CAPABILITY));
}

fn is_dropped_by_truncation(bed: &Bed) {
    capable(bed);
    let m = bed.mount();
    for name in ["low", "up"] {
        crate::support::must::must("ftruncate", m.open_rw(name).set_len(3));
        assert_eq!(m.xattr(name, KEY), None, "{name}");
        assert_eq!(bed.upper.xattr(name, KEY), None, "{name}");
    }
}

fn is_dropped_by_a_change_of_the_owner(bed: &Bed) {
    capable(bed);
    let m = bed.mount();
    for name in ["low", "up"] {
        m.chown(name, USER, USER);
        assert_eq!(m.xattr(name, KEY), None, "{name}");
        assert_eq!(bed.upper.xattr(name, KEY), None, "{name}");
    }
}

fn is_set_by_root_alone(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file(name, "content");
        layer.chown(name, USER, USER);
    }
    let m = bed.mount();
    for name in ["low", "up"] {
        as_user(USER, || {
            refused(
                Errno::PERM,
                setxattr(m.at(name), KEY, CAPABILITY, XattrFlags::empty()),
            );
        });
        m.set_xattr(name, KEY, CAPABILITY);
        assert_eq!(m.xattr(name, KEY).as_deref(), Some(CAPABILITY));
        assert_eq!(bed.upper.xattr(name, KEY).as_deref(), Some(CAPABILITY));
    }
}

fn is_in_force(bed: &Bed) {
    crate::support::exec::install(&bed.lower, "program");
    bed.lower.set_xattr("program", KEY, CAPABILITY);
    let m = bed.mount();
    for _ in 0..2 {
        as_user(USER, || {
            let status = crate::support::exec::status_of(&m.at("program"));
            let line = status.lines().find(|line| line.starts_with("CapPrm:"));
            assert_eq!(line, Some("CapPrm:\t0000000000002000"));
        });
        m.chmod("program", 0o755);
        assert!(bed.upper.exists("program"));
    }
}
