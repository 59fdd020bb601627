// SPDX-License-Identifier: GPL-2.0

//! The fixed tree as lower layer: on every filesystem, read-only images too.

use std::process::Command;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::must::{must, refused, same_bytes};
use crate::support::process::{as_user, USER};
use crate::support::{exec, image, snapshot};

tests! {
    IMAGES_TOO:
        is_shown_as_it_is,
        merges_with_upper,
        a_large_file_is_copied_up,
        attributes_survive_copy_up,
        a_file_is_replaced,
        names_are_removed,
        a_file_is_renamed,
        a_link_is_made,
        names_of_a_link_have_one_number,
        directories_get_new_files,
        everything_is_removed,
        everything_is_copied_up,
        a_program_runs,
        reads_before_and_after_copy_up_agree,
        rights_of_users;
}

/// The overlay over the fixed tree.
fn mount(bed: &Bed) -> Dir {
    if !bed.pair.image() {
        image::make(&bed.lower);
    }
    bed.mount()
}

/// The lower layer, read without the overlay, without what the filesystem of
/// the layer itself puts into its root.
fn lower_snapshot(bed: &Bed) -> snapshot::Snapshot {
    snapshot::take(&bed.lower)
}

fn is_shown_as_it_is(bed: &Bed) {
    let m = mount(bed);
    let mut shown = snapshot::take(&m);
    let mut lower = lower_snapshot(bed);
    // The root directory's attributes are the upper layer's.
    shown.remove("");
    lower.remove("");
    snapshot::assert_same(&shown, &lower);
    assert_eq!(m.names("many").len(), image::MANY);
    assert!(
        bed.upper.names("").is_empty(),
        "reading copied something up"
    );
}

fn merges_with_upper(bed: &Bed) {
    bed.upper.file("small", "of upper\n");
    bed.upper.whiteout("empty");
    let dir = bed.upper.sub("dir");
    dir.file("d", "d\n");
    dir.whiteout("b");
    let many = bed.upper.sub("many");
    many.opaque("");
    many.file("alone", "");
    let m = mount(bed);
    assert_eq!(m.text("small"), "of upper\n");
    assert!(!m.exists("empty"));
    assert_eq!(m.names("dir"), ["a", "c", "d", "deep"]);
    assert_eq!(m.names("many"), ["alone"]);
    assert_eq!(m.text("dir/deep/deeper/bottom"), "at the bottom\n");
}

fn a_large_file_is_copied_up(bed: &Bed) {
    let m = mount(bed);
    let mut want = image::large();
    m.write_at("large", 5000, b"changed");
    want[5000..5007].copy_from_slice(b"changed");
    same_bytes("through the overlay", &m.read("large"), &want);
    same_bytes("in upper", &bed.upper.read("large"), &want);
    same_bytes("in lower", &bed.lower.read("large"), &image::large());
    let m = bed.remount_fresh();
    same_bytes("mounted again", &m.read("large"), &want);
}

fn attributes_survive_copy_up(bed: &Bed) {
    let m = mount(bed);
    m.append("owned", b"more");
    assert_eq!(
        (m.stat("owned").st_uid, m.stat("owned").st_gid),
        (1000, 1001)
    );
    m.chown("set-id", 1000, 1001);
    m.chmod("set-id", 0o6711);
    assert_eq!(bed.upper.mode("set-id"), 0o6711);
    m.append("coloured", b"more");
    assert_eq!(
        bed.upper.xattr("coloured", "user.colour").as_deref(),
        Some(&b"red"[..])
    );
    m.chmod("capable", 0o600);
    assert_eq!(
        bed.upper.xattr("capable", "security.capability").as_deref(),
        Some(image::CAPABILITY)
    );
    m.chmod("large", 0o600);
    assert_eq!(bed.upper.stat("large").st_mtime, 1_000_000_002);
}

fn a_file_is_replaced(bed: &Bed) {
    let m = mount(bed);
    m.file("temporary", "replaced\n");
    m.rename("temporary", "small");
    assert_eq!(m.text("small"), "replaced\n");
    m.file("large", "truncated\n");
    assert_eq!(m.text("large"), "truncated\n");
    let m = bed.remount_fresh();
    assert_eq!(m.text("small"), "replaced\n");
    assert_eq!(m.text("large"), "truncated\n");
    assert!(!m.exists("temporary"));
}

fn names_are_removed(bed: &Bed) {
    let m = mount(bed);
    m.unlink("small");
    m.unlink("link");
    m.unlink("fifo");
    m.rmdir("bare");
    refused(Errno::NOTEMPTY, rustix::fs::rmdir(m.at("dir")));
    for _ in 0..2 {
        for name in ["small", "link", "fifo", "bare"] {
            assert!(!m.exists(name), "{name}");
            assert!(bed.upper.is_whiteout(name), "{name}");
        }
        bed.remount_fresh();
    }
}

fn a_file_is_renamed(bed: &Bed) {
    let m = mount(bed);
    m.rename("small", "dir/moved");
    m.rename("link", "moved-link");
    m.rename("fifo", "moved-fifo");
    for _ in 0..2 {
        assert_eq!(m.text("dir/moved"), "some words\n");
        assert_eq!(m.target("moved-link"), "small");
        assert_eq!(m.kind("moved-fifo"), FileType::Fifo);
        for name in ["small", "link", "fifo"] {
            assert!(!m.exists(name), "{name}");
        }
        bed.remount_fresh();
    }
}

fn a_link_is_made(bed: &Bed) {
    let m = mount(bed);
    m.link("small", "second");
    assert_eq!(m.stat("second").st_nlink, 2);
    m.append("second", b"more");
    assert_eq!(m.text("small"), "some words\nmore");
}

fn names_of_a_link_have_one_number(bed: &Bed) {
    let m = mount(bed);
    m.stat("small");
    m.link("small", "second");
    let (one, two) = (m.stat("small"), m.stat("second"));
    assert_eq!((one.st_dev, one.st_ino), (two.st_dev, two.st_ino));
}

fn directories_get_new_files(bed: &Bed) {
    let m = mount(bed);
    m.file("dir/deep/deeper/new", "1");
    m.sub("bare/new").file("inner", "2");
    assert_eq!(m.names("dir/deep/deeper"), ["bottom", "new"]);
    assert_eq!(m.text("bare/new/inner"), "2");
    let m = bed.remount_fresh();
    assert_eq!(m.names("dir/deep/deeper"), ["bottom", "new"]);
    assert_eq!(bed.upper.names("dir/deep/deeper"), ["new"]);
}

fn everything_is_removed(bed: &Bed) {
    let m = mount(bed);
    for name in m.names("") {
        if m.kind(&name) == FileType::Directory {
            must("remove a tree", std::fs::remove_dir_all(m.at(&name)));
        } else {
            m.unlink(&name);
        }
    }
    assert!(m.names("").is_empty());
    let m = bed.remount_fresh();
    assert!(m.names("").is_empty());
}

/// Copies a whole tree up, by setting each object's owner to what it is.
fn touch_all(m: &Dir, path: &str) {
    let stat = m.stat(path);
    let mode = m.mode(path);
    m.chown(path, stat.st_uid, stat.st_gid);
    match m.kind(path) {
        FileType::Symlink => {}
        FileType::Directory => {
            m.chmod(path, mode);
            for name in m.names(path) {
                touch_all(m, &format!("{path}/{name}"));
            }
        }
        _ => m.chmod(path, mode),
    }
}

fn everything_is_copied_up(bed: &Bed) {
    let m = mount(bed);
    for name in m.names("") {
        // The other name of a hard link would become a file of its own, and a
        // capability does not survive a change of the owner.
        if !matches!(name.as_str(), "twin" | "other-twin" | "capable") {
            touch_all(&m, &name);
        }
    }
    let m = bed.remount_fresh();
    let mut shown = snapshot::take(&m);
    let mut want = lower_snapshot(bed);
    let mut upper = snapshot::take(&bed.upper);
    for snapshot in [&mut shown, &mut want, &mut upper] {
        snapshot.retain(|path, _| !matches!(path.as_str(), "" | "twin" | "other-twin" | "capable"));
    }
    snapshot::assert_same(&shown, &want);
    snapshot::assert_same(&upper, &want);
}

fn a_program_runs(bed: &Bed) {
    let m = mount(bed);
    let program = m.at("bin/program");
    assert_eq!(must("run", exec::run(&program)), exec::GREETING);
    m.chmod("bin/program", 0o700);
    assert!(bed.upper.exists("bin/program"));
    assert_eq!(must("run the copy", exec::run(&program)), exec::GREETING);
    m.chmod("bin/program", 0o600);
    refused(
        Errno::ACCESS,
        Command::new(&program).arg("--probe").output(),
    );
}

fn reads_before_and_after_copy_up_agree(bed: &Bed) {
    let m = mount(bed);
    let early = m.open_read("large");
    let new = pattern(8, 4096);
    m.write_at("large", 8192, &new);
    for (name, way) in crate::support::readers::WAYS {
        let got = must(name, way(&early, 8192, 4096, &m));
        same_bytes(name, &got, &new);
    }
    assert_eq!(
        must("fstat", rustix::fs::fstat(&early)).st_size,
        m.stat("large").st_size
    );
}

fn rights_of_users(bed: &Bed) {
    let m = mount(bed);
    as_user(USER, || {
        assert_eq!(m.text("small"), "some words\n");
        refused(Errno::ACCESS, std::fs::read(m.at("secret")));
        refused(Errno::ACCESS, std::fs::write(m.at("small"), ""));
        refused(Errno::ACCESS, std::fs::write(m.at("dir/new"), ""));
        m.append("owned", b"more");
        m.file("sticky/mine", "");
        refused(Errno::PERM, std::fs::remove_file(m.at("sticky/root's")));
        m.unlink("sticky/mine");
    });
    assert_eq!(m.text("owned"), "by a user\nmore");
}
