// SPDX-License-Identifier: GPL-2.0

//! An overlay as the lower layer of another: each driver upon each.

use rustix::fs::{ioctl_getflags, ioctl_setflags, FileType, IFlags};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::acl::{with_user, ACCESS};
use crate::support::dir::Dir;
use crate::support::must::{must, refused};
use crate::support::process::{as_user, USER};

tests! {
    EVERYWHERE:
        both_are_seen_through,
        what_the_inner_changed_is_copied_up,
        escaped_attributes_at_both_levels,
        notes_of_protection;
    TWICE:
        whiteouts_of_both,
        an_inner_one_without_upper,
        two_inner_ones,
        attributes_set_at_both_levels,
        lists_and_rights,
        a_third_level_is_refused,
        upper_is_no_overlay,
        a_copy_of_an_inner_layer,
        whiteouts_of_an_inner_one_are_kept;
}

/// The inner overlay: all lower layers, and an upper one of its own.
struct Inner {
    upper: Dir,
    at: Dir,
}

fn inner(bed: &Bed) -> Inner {
    let (upper, work, at) = (bed.aside("iu"), bed.aside("iw"), bed.aside("im"));
    let options = format!(
        "lowerdir={},upperdir={upper},workdir={work}",
        bed.lowerdir()
    );
    must(
        "mount the inner overlay",
        bed.try_mount_at(&bed.other, &options, &at),
    );
    Inner { upper, at }
}

fn outer(bed: &Bed, inner: &Dir) -> Dir {
    let options = format!(
        "lowerdir={inner},upperdir={},workdir={}",
        bed.upper, bed.work
    );
    must("mount the outer overlay", bed.try_mount(&options))
}

fn fill(layer: &Dir) {
    layer.file_mode("file", "content", 0o640);
    layer.chown("file", USER, USER);
    layer.sub("dir").file("a", "a");
    layer.file("dir/b", "b");
    layer.symlink("file", "link");
    layer.node("fifo", FileType::Fifo, 0o600, (0, 0));
}

fn both_are_seen_through(bed: &Bed) {
    fill(&bed.lower);
    let inner = inner(bed);
    let m = outer(bed, &inner.at);
    for round in 0..2 {
        assert_eq!(m.text("file"), "content");
        assert_eq!(m.text("link"), "content");
        assert_eq!(m.names(""), ["dir", "fifo", "file", "link"]);
        assert_eq!(m.names("dir"), ["a", "b"]);
        assert_eq!(m.stat("file").st_uid, USER);
        assert_eq!(m.kind("fifo"), FileType::Fifo);
        if round == 0 {
            must(
                "drop caches",
                std::fs::write("/proc/sys/vm/drop_caches", "2"),
            );
        }
    }
    m.append("file", b", more");
    m.append("dir/a", b"+");
    m.chown("link", 1, 1);
    m.chown("fifo", 1, 1);
    assert_eq!(m.text("file"), "content, more");
    assert_eq!(inner.at.text("file"), "content");
    assert_eq!(inner.upper.names(""), [""; 0]);
    assert_eq!(bed.upper.text("dir/a"), "a+");
}

fn what_the_inner_changed_is_copied_up(bed: &Bed) {
    fill(&bed.lower);
    let inner = inner(bed);
    inner.at.append("file", b", inner");
    inner.at.rename("file", "renamed");
    inner.at.unlink("dir/a");
    inner.at.file("dir/new", "inner");
    let m = outer(bed, &inner.at);
    assert_eq!(m.names(""), ["dir", "fifo", "link", "renamed"]);
    m.append("renamed", b", outer");
    m.append("dir/new", b", outer");
    assert_eq!(m.text("renamed"), "content, inner, outer");
    assert_eq!(inner.at.text("renamed"), "content, inner");
    m.unlink("dir/b");
    assert_eq!(m.names("dir"), ["new"]);
    assert_eq!(inner.at.names("dir"), ["b", "new"]);
    bed.umount();
    let m = outer(bed, &inner.at);
    assert_eq!(m.text("renamed"), "content, inner, outer");
    assert_eq!(m.names("dir"), ["new"]);
}

fn key(escapes: usize) -> String {
    format!("trusted.overlay.{}note", "overlay.".repeat(escapes))
}

fn escaped_attributes_at_both_levels(bed: &Bed) {
    bed.lower.file("file", "content");
    bed.lower.sub("dir");
    for path in ["file", "dir"] {
        for escapes in 0..4 {
            let value = [b'0' + escapes as u8];
            bed.lower.set_xattr(path, &key(escapes), &value);
        }
    }
    let inner = inner(bed);
    let m = outer(bed, &inner.at);
    let own = |dir: &Dir, path| {
        let mut names = dir.xattr_names(path);
        names.retain(|name| name.starts_with("trusted.overlay."));
        names
    };
    for path in ["file", "dir"] {
        assert_eq!(own(&inner.at, path), [key(0), key(1), key(2)]);
        assert_eq!(own(&m, path), [key(0), key(1)]);
        assert_eq!(m.xattr(path, &key(0)), Some(b"2".to_vec()));
        assert_eq!(m.xattr(path, &key(1)), Some(b"3".to_vec()));
        m.chmod(path, 0o700);
        assert_eq!(own(&m, path), [key(0), key(1)]);
        assert_eq!(bed.upper.xattr(path, &key(0)), None);
        assert_eq!(bed.upper.xattr(path, &key(1)), Some(b"2".to_vec()));
        assert_eq!(bed.upper.xattr(path, &key(2)), Some(b"3".to_vec()));
        assert_eq!(bed.upper.xattr(path, &key(3)), None);
    }
}

fn attributes_set_at_both_levels(bed: &Bed) {
    bed.lower.file("file", "content");
    let inner = inner(bed);
    inner
        .at
        .set_xattr("file", "trusted.overlay.opaque", b"inner");
    let m = outer(bed, &inner.at);
    // To the outer one it is its own.
    assert_eq!(m.xattr("file", "trusted.overlay.opaque"), None);
    m.set_xattr("file", "trusted.overlay.opaque", b"outer");
    assert_eq!(
        m.xattr("file", "trusted.overlay.opaque").as_deref(),
        Some(&b"outer"[..])
    );
    assert_eq!(
        inner.at.xattr("file", "trusted.overlay.opaque").as_deref(),
        Some(&b"inner"[..])
    );
    let escaped = "trusted.overlay.overlay.opaque";
    for upper in [&inner.upper, &bed.upper] {
        assert!(upper.xattr("file", escaped).is_some());
        assert_eq!(upper.xattr("file", "trusted.overlay.opaque"), None);
    }
}

fn notes_of_protection(bed: &Bed) {
    if !bed.pair.one_filesystem() {
        // Flags of one filesystem cannot be kept by another.
        return;
    }
    let set = |dir: &Dir, flags| {
        let file = dir.open_read("file");
        let mut all = must("FS_IOC_GETFLAGS", ioctl_getflags(&file));
        all.set(IFlags::APPEND, flags);
        must("FS_IOC_SETFLAGS", ioctl_setflags(&file, all));
    };
    let shown = |dir: &Dir| {
        let flags = ioctl_getflags(dir.open_read("file"));
        must("FS_IOC_GETFLAGS", flags).contains(IFlags::APPEND)
    };
    bed.lower.file("file", "content");
    let inner = inner(bed);
    set(&inner.at, true);
    let m = outer(bed, &inner.at);
    assert!(shown(&m));
    refused(Errno::PERM, std::fs::write(m.at("file"), ""));
    m.append("file", b", more");
    assert!(shown(&m));
    let note = "trusted.overlay.protattr";
    assert_eq!(bed.upper.xattr("file", note).as_deref(), Some(&b"a"[..]));
    set(&m, false);
    assert!(!shown(&m) && shown(&inner.at));
    m.file("file", "over");
    set(&inner.at, false);
}

fn whiteouts_of_both(bed: &Bed) {
    for name in ["a", "b", "c", "d"] {
        bed.lower.file(name, "");
    }
    bed.lower.sub("dir").file("x", "");
    bed.lower.file("dir/y", "");
    let inner = inner(bed);
    inner.at.unlink("a");
    inner.at.unlink("dir/x");
    let m = outer(bed, &inner.at);
    m.unlink("b");
    m.unlink("dir/y");
    assert_eq!(m.names(""), ["c", "d", "dir"]);
    m.rmdir("dir");
    m.sub("dir");
    assert_eq!(m.names("dir"), [""; 0]);
    m.file("a", "new");
    m.file("b", "new");
    assert_eq!(m.names(""), ["a", "b", "c", "d", "dir"]);
    assert_eq!(inner.at.names(""), ["b", "c", "d", "dir"]);
    assert_eq!(inner.at.names("dir"), ["y"]);
    bed.umount();
    let m = outer(bed, &inner.at);
    assert_eq!(m.names(""), ["a", "b", "c", "d", "dir"]);
    assert_eq!(m.names("dir"), [""; 0]);
}

fn an_inner_one_without_upper(bed: &Bed) {
    fill(&bed.lower);
    bed.below(1).file("below", "");
    let at = bed.aside("im");
    let options = format!("lowerdir={}", bed.lowerdir());
    let inner = must("mount", bed.try_mount_at(&bed.other, &options, &at));
    let m = outer(bed, &inner);
    assert_eq!(m.names(""), ["below", "dir", "fifo", "file", "link"]);
    m.append("file", b", more");
    assert_eq!(m.text("file"), "content, more");
    m.unlink("below");
    assert!(inner.exists("below"));
}

/// One overlay of each driver as lower layers of one.
fn two_inner_ones(bed: &Bed) {
    bed.lower.sub("dir").file("a", "0");
    bed.below(1).sub("dir").file("a", "1");
    bed.below(1).file("dir/b", "1");
    let empty = bed.aside("empty");
    let mut inner = Vec::new();
    for (depth, fs) in [(0, &bed.fs), (1, &bed.other)] {
        let at = bed.aside(&format!("i{depth}"));
        let options = format!("lowerdir={}:{empty}", bed.below(depth));
        inner.push(must("mount", bed.try_mount_at(fs, &options, &at)).to_string());
    }
    let m = outer(bed, &Dir::new(inner.join(":")));
    assert_eq!(m.names("dir"), ["a", "b"]);
    assert_eq!(m.text("dir/a"), "0");
    m.append("dir/b", b"+");
    m.unlink("dir/a");
    assert_eq!(m.names("dir"), ["b"]);
}

fn lists_and_rights(bed: &Bed) {
    bed.lower.file_mode("listed", "content", 0o640);
    bed.lower.set_xattr("listed", ACCESS, &with_user(USER, 6));
    bed.lower.file_mode("own", "content", 0o600);
    bed.lower.chown("own", USER, USER);
    let inner = inner(bed);
    let m = outer(bed, &inner.at);
    as_user(USER + 1, || {
        for name in ["listed", "own"] {
            refused(Errno::ACCESS, std::fs::read(m.at(name)));
        }
    });
    as_user(USER, || {
        for name in ["listed", "own"] {
            assert_eq!(m.text(name), "content");
            m.append(name, b"!");
        }
    });
    assert_eq!(m.xattr("listed", ACCESS), Some(with_user(USER, 6)));
    assert_eq!(bed.upper.xattr("listed", ACCESS), Some(with_user(USER, 6)));
}

fn a_third_level_is_refused(bed: &Bed) {
    bed.lower.file("file", "content");
    let inner = inner(bed);
    let m = outer(bed, &inner.at);
    let (upper, work, at) = (bed.aside("tu"), bed.aside("tw"), bed.aside("tm"));
    for fs in [&bed.fs, &bed.other] {
        let options = format!("lowerdir={m},upperdir={upper},workdir={work}");
        refused(Errno::INVAL, bed.try_mount_at(fs, &options, &at));
        let options = format!("lowerdir={m}:{}", bed.lower);
        refused(Errno::INVAL, bed.try_mount_at(fs, &options, &at));
    }
    assert_eq!(m.text("file"), "content");
}

fn upper_is_no_overlay(bed: &Bed) {
    let inner = inner(bed);
    let (upper, work) = (inner.at.sub("u"), inner.at.sub("w"));
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    refused(Errno::INVAL, bed.try_mount(&options));
}

/// An upper layer with whiteouts, copied through an overlay as an image's files
/// are, is a layer again.
fn a_copy_of_an_inner_layer(bed: &Bed) {
    bed.lower.file("low", "");
    let m = bed.mount();
    let layer = m.sub("layer");
    layer.sub("dir").file("file", "content");
    layer.set_xattr("dir", "trusted.overlay.opaque", b"y");
    layer.set_xattr("", "trusted.overlay.opaque", b"x");
    layer.file("gone", "");
    layer.set_xattr("gone", "trusted.overlay.whiteout", b"");
    let base = bed.aside("base");
    base.sub("dir").file("hidden", "");
    base.file("gone", "");
    base.file("shown", "");
    let at = bed.aside("im");
    let options = format!("lowerdir={layer}:{base}");
    let inner = must("mount", bed.try_mount_at(&bed.other, &options, &at));
    assert_eq!(inner.names("dir"), ["file"]);
    assert_eq!(inner.names(""), ["dir", "shown"]);
    assert!(!inner.exists("gone"));
}

/// Whiteouts that are attributes survive being copied up by another overlay.
fn whiteouts_of_an_inner_one_are_kept(bed: &Bed) {
    let layer = bed.lower.sub("layer");
    layer.set_xattr("", "trusted.overlay.overlay.opaque", b"x");
    layer.file("gone", "");
    layer.set_xattr("gone", "trusted.overlay.overlay.whiteout", b"");
    let m = bed.mount();
    m.chmod("layer/gone", 0o600);
    let base = bed.aside("base");
    base.file("gone", "");
    base.file("shown", "");
    let at = bed.aside("im");
    let options = format!("lowerdir={}:{base}", m.join("layer"));
    let inner = must("mount", bed.try_mount_at(&bed.other, &options, &at));
    assert_eq!(inner.names(""), ["shown"]);
}
