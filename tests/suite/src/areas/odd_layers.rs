// SPDX-License-Identifier: GPL-2.0

//! Layers on filesystems that lack what others have, or that have to be asked
//! again for each name.

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::fuse::{self, Abilities};
use crate::support::must::{must, refused, same_bytes};
use crate::support::process::{as_user, USER};

tests! {
    TWICE:
        a_lower_layer_that_can_nothing,
        copy_up_from_such_a_layer,
        whiteouts_without_types,
        two_such_layers,
        such_a_layer_alone,
        a_file_that_goes_away,
        a_file_that_comes,
        a_file_that_changes,
        a_directory_that_changes,
        rights_of_such_a_layer,
        attributes_of_such_a_layer;
    ONCE:
        a_remote_upper,
        a_remote_upper_is_taken_over,
        a_remote_upper_without_attributes_is_refused,
        a_remote_upper_without_types_is_refused,
        a_remote_upper_without_whiteouts_is_refused,
        an_upper_without_attributes,
        an_upper_without_attributes_again,
        numbers_without_attributes,
        features_without_attributes;
}

fn fill(layer: &Dir) {
    layer.file_mode("file", "content", 0o640);
    layer.chown("file", USER, USER);
    layer.file("large", pattern(3, 300_000));
    layer.sub("dir").file("inside", "inside");
    layer.sub("dir/sub").file("deep", "deep");
    layer.symlink("file", "link");
    layer.node("fifo", FileType::Fifo, 0o600, (0, 0));
    layer.node("null", FileType::CharacterDevice, 0o666, (1, 3));
}

fn over(bed: &Bed, lower: &Dir) -> Dir {
    let options = format!(
        "lowerdir={lower},upperdir={},workdir={}",
        bed.upper, bed.work
    );
    must("mount", bed.try_mount(&options))
}

#[track_caller]
fn assert_filled(m: &Dir) {
    assert_eq!(m.text("file"), "content");
    assert_eq!(m.text("link"), "content");
    same_bytes("large", &m.read("large"), &pattern(3, 300_000));
    assert_eq!(m.text("dir/sub/deep"), "deep");
    assert_eq!(m.kind("fifo"), FileType::Fifo);
    assert_eq!(m.kind("null"), FileType::CharacterDevice);
    assert_eq!(m.mode("file"), 0o640);
    assert_eq!(m.stat("file").st_uid, USER);
}

fn a_lower_layer_that_can_nothing(bed: &Bed) {
    fill(&bed.lower);
    let lower = fuse::mount(bed, &bed.lower, "fuse", fuse::NONE);
    assert_filled(&lower);
    let m = over(bed, &lower);
    assert_filled(&m);
    let names = ["dir", "fifo", "file", "large", "link", "null"];
    assert_eq!(m.names(""), names);
    assert_eq!(m.names("dir"), ["inside", "sub"]);
    refused(
        Errno::OPNOTSUPP,
        rustix::fs::listxattr(m.at("file"), &mut [0_u8; 64]),
    );
    assert_eq!(bed.upper.names(""), [""; 0]);
}

fn copy_up_from_such_a_layer(bed: &Bed) {
    fill(&bed.lower);
    let lower = fuse::mount(bed, &bed.lower, "fuse", fuse::NONE);
    let m = over(bed, &lower);
    let reader = m.open_read("file");
    m.append("file", b", more");
    m.append("dir/sub/deep", b", more");
    m.write_at("large", 299_999, b"+");
    for name in ["link", "fifo", "null", "dir"] {
        m.chown(name, 7, 8);
    }
    m.rename("file", "renamed");
    m.unlink("dir/inside");
    m.file("dir/new", "new");
    let mut bytes = [0; 13];
    must("read", rustix::io::read(&reader, &mut bytes));
    assert_eq!(&bytes, b"content, more");
    drop(reader);
    for round in 0..2 {
        let m = &bed.mnt;
        assert_eq!(m.text("renamed"), "content, more");
        assert_eq!(m.mode("renamed"), 0o640);
        assert_eq!(m.stat("renamed").st_uid, USER);
        assert_eq!(m.names("dir"), ["new", "sub"]);
        assert_eq!(m.text("dir/sub/deep"), "deep, more");
        assert_eq!(m.target("link"), "file");
        assert_eq!(m.stat("fifo").st_uid, 7);
        assert!(!m.exists("file"));
        if round == 0 {
            bed.umount();
            over(bed, &lower);
        }
    }
    assert_eq!(bed.lower.text("file"), "content");
}

fn whiteouts_without_types(bed: &Bed) {
    bed.below(1).file("hidden", "");
    bed.below(1).file("shown", "");
    bed.below(1).sub("dir").file("hidden", "");
    bed.lower.whiteout("hidden");
    bed.lower.sub("dir").whiteout("hidden");
    let lower = fuse::mount(bed, &bed.lower, "fuse", fuse::NONE);
    let m = over(bed, &Dir::new(format!("{lower}:{}", bed.below(1))));
    assert_eq!(m.names(""), ["dir", "shown"]);
    assert_eq!(m.names("dir"), [""; 0]);
    m.rmdir("dir");
    assert_eq!(m.names(""), ["shown"]);
}

fn two_such_layers(bed: &Bed) {
    bed.lower.sub("dir").file("a", "0");
    bed.below(1).sub("dir").file("a", "1");
    bed.below(1).file("dir/b", "1");
    let layers = [&bed.lower, &bed.below(1)]
        .iter()
        .enumerate()
        .map(|(number, layer)| fuse::mount(bed, layer, &format!("fuse-{number}"), fuse::NONE))
        .map(|layer| layer.to_string())
        .collect::<Vec<_>>();
    let m = over(bed, &Dir::new(layers.join(":")));
    assert_eq!(m.names("dir"), ["a", "b"]);
    assert_eq!(m.text("dir/a"), "0");
    m.append("dir/b", b"+");
    m.unlink("dir/a");
    assert_eq!(m.names("dir"), ["b"]);
    assert_eq!(m.text("dir/b"), "1+");
}

fn such_a_layer_alone(bed: &Bed) {
    fill(&bed.lower);
    let lower = fuse::mount(bed, &bed.lower, "fuse", fuse::NONE);
    let options = format!("lowerdir={lower}:{}", bed.upper);
    let m = must("mount", bed.try_mount(&options));
    assert_filled(&m);
    refused(Errno::ROFS, std::fs::write(m.at("file"), ""));
}

/// The filesystem is asked again, and says that it is gone: layers must not
/// change, and this is how it is noticed.
fn a_file_that_goes_away(bed: &Bed) {
    fill(&bed.lower);
    let lower = fuse::mount(bed, &bed.lower, "fuse", fuse::NONE);
    let m = over(bed, &lower);
    assert!(m.exists("file") && m.exists("dir/inside"));
    bed.lower.unlink("file");
    bed.lower.unlink("dir/inside");
    for name in ["file", "dir/inside"] {
        let error = rustix::fs::lstat(m.at(name)).map(|_| ());
        assert!(
            matches!(error, Err(Errno::STALE | Errno::NOENT)),
            "{name}: {error:?}"
        );
    }
    assert_eq!(m.text("dir/sub/deep"), "deep");
}

fn a_file_that_comes(bed: &Bed) {
    fill(&bed.lower);
    let lower = fuse::mount(bed, &bed.lower, "fuse", fuse::NONE);
    let m = over(bed, &lower);
    assert_eq!(m.names("dir"), ["inside", "sub"]);
    bed.lower.file("dir/late", "late");
    assert_eq!(m.text("dir/late"), "late");
}

fn a_file_that_changes(bed: &Bed) {
    fill(&bed.lower);
    let lower = fuse::mount(bed, &bed.lower, "fuse", fuse::NONE);
    let m = over(bed, &lower);
    assert_eq!(m.text("file"), "content");
    bed.lower.file("file", "longer content");
    assert_eq!(m.stat("file").st_size, 14);
    assert_eq!(m.text("file"), "longer content");
    m.append("file", b"!");
    assert_eq!(m.text("file"), "longer content!");
}

fn a_directory_that_changes(bed: &Bed) {
    fill(&bed.lower);
    let lower = fuse::mount(bed, &bed.lower, "fuse", fuse::NONE);
    let m = over(bed, &lower);
    assert!(m.exists("dir/sub/deep"));
    bed.lower.rename("dir", "other");
    bed.lower.sub("dir").file("new", "");
    // Whatever is said of it, nothing breaks.
    let _ = rustix::fs::lstat(m.at("dir/sub/deep"));
    let _ = rustix::fs::lstat(m.at("dir/new"));
    let _ = std::fs::read_dir(m.at("dir")).map(Iterator::count);
    let _ = std::fs::write(m.at("dir/made"), "");
    assert_eq!(m.text("file"), "content");
}

fn rights_of_such_a_layer(bed: &Bed) {
    fill(&bed.lower);
    let lower = fuse::mount(bed, &bed.lower, "fuse", fuse::NONE);
    let m = over(bed, &lower);
    as_user(USER, || {
        assert_eq!(m.text("file"), "content");
        m.append("file", b", more");
        refused(Errno::ACCESS, std::fs::write(m.at("large"), ""));
    });
    as_user(USER + 1, || {
        refused(Errno::ACCESS, std::fs::read(m.at("file")))
    });
}

fn attributes_of_such_a_layer(bed: &Bed) {
    let with = Abilities {
        xattrs: true,
        ..fuse::NONE
    };
    bed.lower.file("file", "content");
    bed.lower.set_xattr("file", "user.note", b"value");
    bed.lower.sub("dir").file("low", "");
    bed.below(1).sub("dir").file("hidden", "");
    bed.lower.opaque("dir");
    let lower = fuse::mount(bed, &bed.lower, "fuse", with);
    let m = over(bed, &Dir::new(format!("{lower}:{}", bed.below(1))));
    assert_eq!(m.names("dir"), ["low"]);
    assert_eq!(m.xattr_names("file"), ["user.note"]);
    m.append("file", b", more");
    assert_eq!(
        bed.upper.xattr("file", "user.note").as_deref(),
        Some(&b"value"[..])
    );
}

/// Upper and work directory on a filesystem with these abilities.
fn remote_upper(bed: &Bed, abilities: Abilities) -> String {
    let layers = Dir::new(bed.upper.path().parent().expect("a parent"));
    let remote = fuse::mount(bed, &layers, "fuse", abilities);
    format!(
        "lowerdir={},upperdir={},workdir={}",
        bed.lower,
        remote.join("u"),
        remote.join("w")
    )
}

fn change_all(m: &Dir) {
    m.append("file", b", more");
    m.append("dir/sub/deep", b", more");
    m.unlink("dir/inside");
    m.file("dir/inside", "again");
    m.unlink("fifo");
    m.file("new", "new");
    m.sub("made").file("inside", "");
    m.rename("new", "made/renamed");
    m.chmod("made/renamed", 0o600);
    m.symlink("target", "made/link");
    m.unlink("dir/sub/deep");
    m.rmdir("dir/sub");
    m.sub("dir/sub");
}

#[track_caller]
fn assert_changed(m: &Dir) {
    assert_eq!(m.text("file"), "content, more");
    assert_eq!(m.text("dir/inside"), "again");
    assert!(!m.exists("fifo") && !m.exists("new"));
    assert_eq!(m.names("made"), ["inside", "link", "renamed"]);
    assert_eq!(m.text("made/renamed"), "new");
    assert_eq!(m.mode("made/renamed"), 0o600);
    assert_eq!(m.names("dir/sub"), [""; 0]);
    assert_eq!(
        m.names(""),
        ["dir", "file", "large", "link", "made", "null"]
    );
}

fn a_remote_upper(bed: &Bed) {
    fill(&bed.lower);
    let options = remote_upper(bed, fuse::ALL);
    let m = must("mount", bed.try_mount(&options));
    assert_filled(&m);
    change_all(&m);
    assert_changed(&m);
    bed.umount();
    let m = must("mount again", bed.try_mount(&options));
    assert_changed(&m);
    as_user(USER, || m.append("file", b"!"));
    assert_eq!(bed.upper.text("file"), "content, more!");
}

/// The same layers, by way of the filesystem below.
fn a_remote_upper_is_taken_over(bed: &Bed) {
    fill(&bed.lower);
    let options = remote_upper(bed, fuse::ALL);
    let m = must("mount", bed.try_mount(&options));
    change_all(&m);
    bed.umount();
    bed.umount();
    assert_changed(&bed.mount());
}

fn a_remote_upper_without_attributes_is_refused(bed: &Bed) {
    let abilities = Abilities {
        xattrs: false,
        ..fuse::ALL
    };
    refused(Errno::INVAL, bed.try_mount(&remote_upper(bed, abilities)));
    crate::harness::bed::assert_work_is_empty(&bed.work);
}

fn a_remote_upper_without_types_is_refused(bed: &Bed) {
    let abilities = Abilities {
        types: false,
        ..fuse::ALL
    };
    refused(Errno::INVAL, bed.try_mount(&remote_upper(bed, abilities)));
}

fn a_remote_upper_without_whiteouts_is_refused(bed: &Bed) {
    let abilities = Abilities {
        rename_flags: false,
        ..fuse::ALL
    };
    refused(Errno::INVAL, bed.try_mount(&remote_upper(bed, abilities)));
    crate::harness::bed::assert_work_is_empty(&bed.work);
}

/// Upper and work directory on a ramfs, which has no extended attributes.
fn on_ramfs(bed: &Bed) -> [Dir; 2] {
    let at = bed.aside("ram");
    let root = must("mount ramfs", bed.try_mount_at("ramfs", "mode=755", &at));
    [root.sub("u"), root.sub("w")]
}

fn mount_on_ramfs(bed: &Bed, [upper, work]: &[Dir; 2], more: &str) -> Dir {
    let options = format!(
        "lowerdir={},upperdir={upper},workdir={work}{more}",
        bed.lower
    );
    must("mount", bed.try_mount(&options))
}

fn an_upper_without_attributes(bed: &Bed) {
    fill(&bed.lower);
    bed.lower.set_xattr("large", "user.note", b"value");
    let dirs = on_ramfs(bed);
    let m = mount_on_ramfs(bed, &dirs, "");
    assert_filled(&m);
    m.append("file", b", more");
    m.append("dir/sub/deep", b", more");
    // What upper cannot keep is left out.
    assert_eq!(m.xattr_names("large"), ["user.note"]);
    m.append("large", b"+");
    assert_eq!(m.xattr_names("large"), [""; 0]);
    m.unlink("fifo");
    m.file("fifo", "no more");
    m.file("new", "new");
    m.sub("made").file("inside", "");
    m.rename("new", "made/new");
    m.unlink("dir/inside");
    assert_eq!(m.names("dir"), ["sub"]);
    assert_eq!(m.text("fifo"), "no more");
    refused(
        Errno::OPNOTSUPP,
        rustix::fs::setxattr(
            m.at("file"),
            "user.note",
            b"",
            rustix::fs::XattrFlags::empty(),
        ),
    );
    assert_eq!(
        m.names(""),
        ["dir", "fifo", "file", "large", "link", "made", "null"]
    );
}

fn an_upper_without_attributes_again(bed: &Bed) {
    fill(&bed.lower);
    let dirs = on_ramfs(bed);
    let m = mount_on_ramfs(bed, &dirs, "");
    m.append("file", b", more");
    m.unlink("dir/inside");
    m.unlink("dir/sub/deep");
    m.rmdir("dir/sub");
    // It would be merged with the lower one.
    refused(
        Errno::IO,
        rustix::fs::mkdir(m.at("dir/sub"), rustix::fs::Mode::RWXU),
    );
    bed.umount();
    let m = mount_on_ramfs(bed, &dirs, "");
    assert_eq!(m.text("file"), "content, more");
    assert_eq!(m.names("dir"), [""; 0]);
}

fn numbers_without_attributes(bed: &Bed) {
    fill(&bed.lower);
    let m = mount_on_ramfs(bed, &on_ramfs(bed), "");
    let file = m.open_read("file");
    let before = m.stat("file").st_ino;
    m.append("file", b", more");
    assert_eq!(m.stat("file").st_ino, before);
    assert_eq!(must("fstat", rustix::fs::fstat(&file)).st_ino, before);
}

/// What needs attributes is given up, not refused.
fn features_without_attributes(bed: &Bed) {
    fill(&bed.lower);
    let dirs = on_ramfs(bed);
    for more in [",redirect_dir=on", ",metacopy=on", ",index=on", ",uuid=on"] {
        let m = mount_on_ramfs(bed, &dirs, more);
        m.append("file", b"+");
        let shown = must("read", std::fs::read_to_string("/proc/mounts"));
        let line = shown
            .lines()
            .rfind(|line| line.split(' ').nth(1) == Some(&m.to_string()));
        let line = line.expect("a line for the mount");
        assert!(!line.contains(more), "{line}");
        bed.umount();
    }
}
