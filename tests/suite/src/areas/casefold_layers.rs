// SPDX-License-Identifier: GPL-2.0

//! Which layers can be together, where names are told apart without their case.

use rustix::fs::{ioctl_getflags, ioctl_setflags, mkdir, rmdir, Mode};
use rustix::io::Errno;

use crate::areas::casefold::{fold, is_folded, set_folded, CASEFOLD};
use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::metacopy;
use crate::support::must::{must, refused};

tests! {
    CASEFOLD:
        a_mixture_of_layers_is_refused,
        upper_alone_is_refused,
        a_plain_directory_in_a_layer,
        a_plain_parent_in_a_layer,
        plain_layers_on_such_a_filesystem,
        a_folded_directory_in_a_plain_layer,
        data_only_layers,
        cannot_be_changed;
    ONCE: strict_encodings_are_refused, different_encodings_are_refused;
}

fn a_mixture_of_layers_is_refused(bed: &Bed) {
    fold(bed, 1);
    bed.below(1);
    refused(Errno::INVAL, bed.try_mount(&bed.options()));
    let options = format!("lowerdir={}:{}", bed.lower, bed.below(1));
    refused(Errno::INVAL, bed.try_mount(&options));
    let options = format!("lowerdir={}:{}", bed.below(1), bed.lower);
    refused(Errno::INVAL, bed.try_mount(&options));
}

fn upper_alone_is_refused(bed: &Bed) {
    refused(Errno::INVAL, {
        set_folded(&bed.upper, "", true);
        bed.try_mount(&bed.options())
    });
    set_folded(&bed.work, "", true);
    refused(Errno::INVAL, bed.try_mount(&bed.options()));
    set_folded(&bed.upper, "", false);
    set_folded(&bed.lower, "", true);
    refused(Errno::INVAL, bed.try_mount(&bed.options()));
    set_folded(&bed.upper, "", true);
    set_folded(&bed.work, "", false);
    refused(Errno::INVAL, bed.try_mount(&bed.options()));
    set_folded(&bed.work, "", true);
    bed.mount();
}

fn a_plain_directory_in_a_layer(bed: &Bed) {
    fold(bed, 1);
    bed.lower.sub("Low");
    set_folded(&bed.lower, "Low", false);
    bed.lower.file("Low/inside", "");
    bed.upper.sub("Up");
    set_folded(&bed.upper, "Up", false);
    bed.lower.file("File", "content");
    let m = bed.mount();
    for name in ["Low", "low", "Up"] {
        refused(Errno::REMOTE, rustix::fs::lstat(m.at(name)));
        refused(Errno::REMOTE, rmdir(m.at(name)));
    }
    assert_eq!(m.text("file"), "content");
}

/// Whose case-folding was changed while it is mounted.
fn a_plain_parent_in_a_layer(bed: &Bed) {
    fold(bed, 1);
    bed.lower.sub("Low");
    bed.upper.sub("Up");
    let m = bed.mount();
    assert!(m.exists("low") && m.exists("up"));
    set_folded(&bed.lower, "Low", false);
    set_folded(&bed.upper, "Up", false);
    for name in ["low/none", "up/none"] {
        refused(Errno::STALE, rustix::fs::lstat(m.at(name)));
        refused(Errno::STALE, mkdir(m.at(name), Mode::RWXU));
    }
}

/// That a filesystem can fold names makes no difference where it does not.
fn plain_layers_on_such_a_filesystem(bed: &Bed) {
    bed.lower.file("Name", "lower");
    bed.upper.file("name", "upper");
    bed.lower.sub("Dir").file("inside", "");
    let m = bed.mount();
    assert_eq!(m.text("Name"), "lower");
    assert_eq!(m.text("name"), "upper");
    assert!(!m.exists("NAME"));
    assert_eq!(m.names(""), ["Dir", "Name", "name"]);
    m.append("Name", b", more");
    m.file("NAME", "new");
    m.unlink("Dir/inside");
    m.rmdir("Dir");
    m.sub("dir");
    assert!(!m.exists("Dir"));
    assert_eq!(m.names(""), ["NAME", "Name", "dir", "name"]);
}

fn a_folded_directory_in_a_plain_layer(bed: &Bed) {
    bed.lower.sub("low");
    bed.upper.sub("up");
    set_folded(&bed.lower, "low", true);
    set_folded(&bed.upper, "up", true);
    bed.lower.file("low/Name", "");
    bed.lower.file("file", "content");
    let m = bed.mount();
    for name in ["low", "up", "low/Name"] {
        refused(Errno::REMOTE, rustix::fs::lstat(m.at(name)));
    }
    assert_eq!(m.text("file"), "content");
}

fn data_only_layers(bed: &Bed) {
    fold(bed, 2);
    let data = bed.below(1);
    data.sub("Dir").file("data", "the data");
    metacopy::make(&bed.lower, "file", 8, Some("/dir/Data"));
    let options = format!(
        "lowerdir={}::{data},upperdir={},workdir={},metacopy=on,redirect_dir=on",
        bed.lower, bed.upper, bed.work
    );
    let m = must("mount", bed.try_mount(&options));
    assert_eq!(m.text("file"), "the data");
    m.append("FILE", b" and more");
    assert_eq!(m.text("file"), "the data and more");
}

fn cannot_be_changed(bed: &Bed) {
    bed.lower.sub("low");
    let m = bed.mount();
    m.sub("new");
    for name in ["low", "new"] {
        let file = m.open_read(name);
        let flags = must("FS_IOC_GETFLAGS", ioctl_getflags(&file));
        refused(Errno::OPNOTSUPP, ioctl_setflags(&file, flags | CASEFOLD));
        assert!(!is_folded(&bed.upper, "new"));
        assert!(!is_folded(&m, name));
        m.file(&format!("{name}/file"), "");
        assert!(!m.exists(&format!("{name}/FILE")));
    }
}

fn folded_tmpfs(bed: &Bed, name: &str, options: &str) -> [Dir; 3] {
    let root = bed.mount_tmpfs(name, options);
    ["l", "u", "w"].map(|name| {
        let dir = root.sub(name);
        set_folded(&root, name, true);
        dir
    })
}

fn strict_encodings_are_refused(bed: &Bed) {
    let [lower, upper, work] = folded_tmpfs(bed, "strict", "casefold,strict_encoding");
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    refused(Errno::INVAL, bed.try_mount(&options));
}

fn different_encodings_are_refused(bed: &Bed) {
    let [lower, ..] = folded_tmpfs(bed, "old", "casefold=utf8-9.0.0");
    let [other, upper, work] = folded_tmpfs(bed, "new", "casefold=utf8-12.1.0");
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    refused(Errno::INVAL, bed.try_mount(&options));
    refused(
        Errno::INVAL,
        bed.try_mount(&format!("lowerdir={lower}:{other}")),
    );
    let options = format!("lowerdir={other},upperdir={upper},workdir={work}");
    must("mount", bed.try_mount(&options));
}
