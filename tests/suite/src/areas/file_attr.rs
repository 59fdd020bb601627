// SPDX-License-Identifier: GPL-2.0

//! Attributes by `file_getattr`, `file_setattr` and `FS_IOC_FSSETXATTR`, with
//! projects and extent sizes.

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::file_attr::{
    change, extended, get, try_get, try_set, try_set_extended, FileAttr, XFLAG_NOATIME,
    XFLAG_NODUMP, XFLAG_PROJINHERIT, XFLAG_SYNC,
};
use crate::support::must::{must, refused};
use crate::support::process::{as_user, USER};

tests! {
    EVERYWHERE:
        are_those_of_the_layer,
        of_symlinks_and_special_files_are_shown;
    ONE_FILESYSTEM:
        setting_copies_up,
        of_a_directory,
        by_the_ioctl,
        nonsense_is_refused,
        are_for_the_owner,
        others_are_not_copied,
        of_special_files_copy_up;
    PROJECTS:
        a_project_is_shown,
        a_project_is_not_copied,
        a_project_is_inherited,
        setting_a_project_copies_up,
        of_a_symlink_copy_up;
}

fn are_those_of_the_layer(bed: &Bed) {
    for (layer, prefix) in [(&bed.lower, "low-"), (&bed.upper, "up-")] {
        layer.file(&format!("{prefix}file"), "content");
        layer.sub(&format!("{prefix}dir"));
        for kind in ["file", "dir"] {
            change(layer, &format!("{prefix}{kind}"), |attr| {
                attr.xflags |= XFLAG_NOATIME;
            });
        }
    }
    let m = bed.mount();
    for (layer, prefix) in [(&bed.lower, "low-"), (&bed.upper, "up-")] {
        for kind in ["file", "dir"] {
            let name = format!("{prefix}{kind}");
            assert_eq!(get(&m, &name), get(layer, &name), "{name}");
            assert_eq!(extended(&m, &name), extended(layer, &name), "{name}");
        }
    }
    assert_eq!(bed.upper.names(""), ["up-dir", "up-file"]);
}

const SPECIAL: [&str; 4] = ["link", "fifo", "socket", "null"];

fn make_special(layer: &Dir, prefix: &str) {
    layer.symlink("target", &format!("{prefix}link"));
    layer.node(&format!("{prefix}fifo"), FileType::Fifo, 0o600, (0, 0));
    layer.node(&format!("{prefix}socket"), FileType::Socket, 0o600, (0, 0));
    let null = format!("{prefix}null");
    layer.node(&null, FileType::CharacterDevice, 0o666, (1, 3));
}

fn of_symlinks_and_special_files_are_shown(bed: &Bed) {
    make_special(&bed.lower, "low-");
    make_special(&bed.upper, "up-");
    let m = bed.mount();
    for (layer, prefix) in [(&bed.lower, "low-"), (&bed.upper, "up-")] {
        for kind in SPECIAL {
            let name = format!("{prefix}{kind}");
            assert_eq!(try_get(&m, &name), try_get(layer, &name), "{name}");
        }
    }
}

fn setting_copies_up(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.upper.file("up", "content");
    let m = bed.mount();
    for name in ["low", "up"] {
        change(&m, name, |attr| attr.xflags |= XFLAG_NOATIME);
        for dir in [&m, &bed.upper] {
            assert_eq!(get(dir, name).xflags & XFLAG_NOATIME, XFLAG_NOATIME);
        }
        change(&m, name, |attr| attr.xflags &= !XFLAG_NOATIME);
        for dir in [&m, &bed.upper] {
            assert_eq!(get(dir, name).xflags & XFLAG_NOATIME, 0);
        }
        assert_eq!(m.text(name), "content");
    }
}

fn of_a_directory(bed: &Bed) {
    bed.lower.sub("low").file("inside", "");
    bed.lower.sub("both").file("inside", "");
    bed.upper.sub("both");
    let m = bed.mount();
    for name in ["low", "both", ""] {
        change(&m, name, |attr| attr.xflags |= XFLAG_NOATIME);
        for dir in [&m, &bed.upper] {
            assert_eq!(get(dir, name).xflags & XFLAG_NOATIME, XFLAG_NOATIME);
        }
    }
    assert_eq!(m.names("low"), ["inside"]);
    assert_eq!(m.names("both"), ["inside"]);
}

fn by_the_ioctl(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.sub("low-dir").file("inside", "");
    bed.upper.file("up", "content");
    let m = bed.mount();
    for name in ["low", "low-dir", "up"] {
        let mut attr = extended(&m, name);
        attr.xflags |= XFLAG_NOATIME as u32;
        must("FS_IOC_FSSETXATTR", try_set_extended(&m, name, &attr));
        for dir in [&m, &bed.upper] {
            let shown = u64::from(extended(dir, name).xflags);
            assert_eq!(shown & XFLAG_NOATIME, XFLAG_NOATIME, "{dir}/{name}");
        }
    }
    assert_eq!(m.names("low-dir"), ["inside"]);
}

fn nonsense_is_refused(bed: &Bed) {
    let bare = bed.aside("bare");
    for dir in [&bed.lower, &bare] {
        dir.file("low", "content");
    }
    let m = bed.mount();
    let unknown = FileAttr {
        xflags: 1 << 40,
        ..FileAttr::default()
    };
    refused(Errno::INVAL, try_set(&m, "low", &unknown));
    let inherits = FileAttr {
        xflags: 0x1000,
        extent_size: 4096,
        ..FileAttr::default()
    };
    let want = try_set(&bare, "low", &inherits);
    assert_eq!(try_set(&m, "low", &inherits), want);
    assert!(want.is_err());
    assert_eq!(try_get(&m, "none"), Err(Errno::NOENT));
}

fn are_for_the_owner(bed: &Bed) {
    bed.lower.file("of-root", "content");
    bed.lower.file("own", "content");
    bed.lower.chown("own", USER, USER);
    let m = bed.mount();
    as_user(USER, || {
        let mut attr = get(&m, "of-root");
        attr.xflags |= XFLAG_NOATIME;
        refused(Errno::PERM, try_set(&m, "of-root", &attr));
        change(&m, "own", |attr| attr.xflags |= XFLAG_NOATIME);
    });
    assert!(!bed.upper.exists("of-root"));
    assert_eq!(get(&bed.upper, "own").xflags & XFLAG_NOATIME, XFLAG_NOATIME);
}

fn others_are_not_copied(bed: &Bed) {
    let kept = XFLAG_NOATIME | XFLAG_SYNC;
    for name in ["sync", "no-atime", "no-dump"] {
        bed.lower.file(name, "content");
    }
    for (name, flag) in [
        ("sync", XFLAG_SYNC),
        ("no-atime", XFLAG_NOATIME),
        ("no-dump", XFLAG_NODUMP),
    ] {
        let mut attr = get(&bed.lower, name);
        attr.xflags |= flag;
        if try_set(&bed.lower, name, &attr).is_err() {
            // Not every filesystem has every flag.
            continue;
        }
        let mounted = bed.mount();
        assert_eq!(get(&mounted, name).xflags & flag, flag, "{name}");
        mounted.append(name, b", more");
        let copy = get(&mounted, name).xflags;
        assert_eq!(copy & flag, flag & kept, "{name}");
        assert_eq!(get(&bed.upper, name).xflags, copy, "{name}");
        bed.umount();
    }
}

fn of_special_files_copy_up(bed: &Bed) {
    make_special(&bed.lower, "");
    let m = bed.mount();
    for name in SPECIAL {
        let Ok(mut attr) = try_get(&bed.lower, name) else {
            continue;
        };
        attr.xflags |= XFLAG_NOATIME;
        let scratch = bed.aside(&format!("scratch-{name}"));
        make_special(&scratch, "");
        let want = try_set(&scratch, name, &attr);
        assert_eq!(try_set(&m, name, &attr), want, "{name}");
        if want.is_ok() {
            assert_eq!(get(&m, name), get(&bed.upper, name), "{name}");
            assert_eq!(get(&m, name).xflags & XFLAG_NOATIME, XFLAG_NOATIME);
        }
    }
}

const PROJECT: u32 = 4711;

fn a_project_is_shown(bed: &Bed) {
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file(name, "content");
        change(layer, name, |attr| attr.project = PROJECT);
    }
    let m = bed.mount();
    for name in ["low", "up"] {
        assert_eq!(get(&m, name).project, PROJECT);
        assert_eq!(extended(&m, name).project, PROJECT);
    }
}

/// A copy belongs to the project of the directory that it is made in.
fn a_project_is_not_copied(bed: &Bed) {
    bed.lower.file("file", "content");
    bed.lower.sub("dir").file("inside", "");
    for name in ["file", "dir", "dir/inside"] {
        change(&bed.lower, name, |attr| attr.project = PROJECT);
    }
    let m = bed.mount();
    m.append("file", b", more");
    m.append("dir/inside", b"more");
    for name in ["file", "dir", "dir/inside"] {
        assert_eq!(get(&m, name).project, 0, "{name}");
        assert_eq!(get(&bed.upper, name).project, 0, "{name}");
    }
}

fn a_project_is_inherited(bed: &Bed) {
    bed.upper.sub("dir");
    change(&bed.upper, "dir", |attr| {
        attr.project = PROJECT;
        attr.xflags |= XFLAG_PROJINHERIT;
    });
    bed.lower.sub("dir").file("low", "content");
    bed.lower.file("outside", "content");
    let m = bed.mount();
    m.file("dir/new", "");
    m.sub("dir/sub");
    assert_eq!(get(&bed.upper, "dir/new").project, PROJECT);
    assert_eq!(get(&m, "dir/new").project, PROJECT);
    assert_eq!(get(&m, "dir/sub").project, PROJECT);
    assert_eq!(
        get(&m, "dir/sub").xflags & XFLAG_PROJINHERIT,
        XFLAG_PROJINHERIT
    );
}

fn setting_a_project_copies_up(bed: &Bed) {
    bed.lower.file("low", "content");
    bed.lower.sub("dir").file("inside", "");
    let m = bed.mount();
    change(&m, "low", |attr| attr.project = PROJECT);
    let mut attr = extended(&m, "dir");
    attr.project = PROJECT;
    attr.xflags |= XFLAG_PROJINHERIT as u32;
    must("FS_IOC_FSSETXATTR", try_set_extended(&m, "dir", &attr));
    for dir in [&m, &bed.upper] {
        assert_eq!(get(dir, "low").project, PROJECT);
        assert_eq!(get(dir, "dir").project, PROJECT);
    }
    assert_eq!(get(&bed.lower, "low").project, 0);
    assert_eq!(m.text("low"), "content");
}

fn of_a_symlink_copy_up(bed: &Bed) {
    make_special(&bed.lower, "");
    let m = bed.mount();
    for name in ["link", "fifo", "socket"] {
        change(&m, name, |attr| attr.project = PROJECT);
        assert_eq!(get(&bed.upper, name).project, PROJECT, "{name}");
        assert_eq!(get(&m, name).project, PROJECT, "{name}");
        assert_eq!(m.kind(name), bed.lower.kind(name));
    }
    assert_eq!(m.target("link"), "target");
}
