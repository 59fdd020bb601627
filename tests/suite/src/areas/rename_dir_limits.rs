// SPDX-License-Identifier: GPL-2.0

//! Renaming directories of lower layers without redirects: when it is refused, and
//! that nothing has changed then.

use rustix::fs::{rename, renameat_with, RenameFlags, CWD};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::must::{must, refused};
use crate::support::{parameter, snapshot};

tests! {
    TWICE: no_space;
    ONCE:
        refused_if_asked_for,
        too_many_objects,
        too_much_data,
        the_option_is_shown,
        the_default_is_a_parameter,
        something_that_cannot_be_had;
}

fn refused_if_asked_for(bed: &Bed) {
    bed.lower.sub("dir").file("low", "");
    bed.upper.sub("up");
    let m = must("mount", bed.try_mount(&bed.strict_options()));
    refused(Errno::XDEV, rename(m.at("dir"), m.at("new")));
    refused(Errno::XDEV, rename(m.at("dir"), m.at("up/new")));
    let exchanged = renameat_with(CWD, m.at("up"), CWD, m.at("dir"), RenameFlags::EXCHANGE);
    refused(Errno::XDEV, exchanged);
    assert_eq!(bed.upper.names(""), ["up"]);
    refused(
        Errno::INVAL,
        bed.try_mount(&format!("{},rename_dir=maybe", bed.options())),
    );
}

fn too_many_objects(bed: &Bed) {
    let dir = bed.lower.sub("dir");
    dir.sub("sub");
    for name in ["a", "b", "sub/c"] {
        dir.file(name, "");
    }
    let m = bed.mount();
    parameter::with(bed, "rename_dir_objects", "4", || {
        refused(Errno::XDEV, rename(m.at("dir"), m.at("new")));
        // Nothing was copied in vain.
        assert!(bed.upper.names("").is_empty());
        // What is in upper is not counted.
        m.chmod("dir/a", 0o600);
        m.rename("dir", "new");
    });
    assert_eq!(m.names("new"), ["a", "b", "sub"]);
}

fn too_much_data(bed: &Bed) {
    let dir = bed.lower.sub("dir");
    dir.file("a", pattern(1, 1 << 20));
    dir.file("b", "more");
    let m = bed.mount();
    parameter::with(bed, "rename_dir_mib", "1", || {
        refused(Errno::XDEV, rename(m.at("dir"), m.at("new")));
        assert!(bed.upper.names("").is_empty());
        m.unlink("dir/b");
        m.rename("dir", "new");
    });
    assert_eq!(m.names("new"), ["a"]);
}

fn the_option_is_shown(bed: &Bed) {
    for (value, shown) in [("copy", false), ("exdev", true)] {
        let options = format!("{},rename_dir={value}", bed.options());
        must("mount", bed.try_mount(&options));
        let mounts = must("read mounts", std::fs::read_to_string("/proc/self/mounts"));
        let line = mounts
            .lines()
            .find(|line| line.contains(&bed.mnt.to_string()));
        let line = line.unwrap_or_default();
        assert_eq!(line.contains("rename_dir="), shown, "{line}");
        bed.umount();
    }
}

fn the_default_is_a_parameter(bed: &Bed) {
    bed.lower.sub("dir");
    parameter::with(bed, "rename_dir_copy", "N", || {
        let m = bed.mount();
        refused(Errno::XDEV, rename(m.at("dir"), m.at("new")));
        bed.umount();
        let options = format!("{},rename_dir=copy", bed.options());
        must("mount", bed.try_mount(&options)).rename("dir", "new");
    });
}

fn no_space(bed: &Bed) {
    let dir = bed.lower.sub("dir");
    for number in 0..8 {
        dir.file(&format!("{number}"), pattern(number, 256 << 10));
    }
    let tmpfs = bed.mount_tmpfs("small", "size=1m");
    let (upper, work) = (tmpfs.sub("u"), tmpfs.sub("w"));
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    let m = must("mount", bed.try_mount(&options));
    let before = snapshot::take(&m.join("dir"));
    refused(Errno::NOSPC, rename(m.at("dir"), m.at("new")));
    assert!(!m.exists("new"));
    snapshot::assert_same(&snapshot::take(&m.join("dir")), &before);
    crate::harness::bed::assert_work_is_empty(&work);
    must(
        "grow",
        rustix::mount::mount_remount(
            tmpfs.path(),
            rustix::mount::MountFlags::empty(),
            c"size=16m",
        ),
    );
    m.rename("dir", "new");
    snapshot::assert_same(&snapshot::take(&m.join("new")), &before);
}

fn something_that_cannot_be_had(bed: &Bed) {
    // A metacopy is refused without the option.
    bed.below(1).sub("dir").file("meta", "");
    bed.lower.sub("dir").file("meta", "");
    bed.lower
        .set_xattr("dir/meta", "trusted.overlay.metacopy", b"");
    bed.lower.file("dir/good", "content");
    let m = must(
        "mount",
        bed.try_mount(&format!("{},metacopy=off", bed.options())),
    );
    refused(Errno::XDEV, rename(m.at("dir"), m.at("new")));
    assert_eq!(m.text("dir/good"), "content");
    assert!(bed.upper.names("").is_empty());
}
