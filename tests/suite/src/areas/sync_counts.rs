// SPDX-License-Identifier: GPL-2.0

//! What is made durable, counted by the filesystem that upper is on.

use rustix::fs::OFlags;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::fuse;
use crate::support::must::must;

tests! {
    ONCE:
        what_is_asked_for,
        nothing_of_lower_files,
        data_of_copies,
        attributes_of_copies_if_strict,
        nothing_if_volatile,
        synchronous_files_if_volatile,
        nothing_else;
}

/// The overlay, and its upper's filesystem.
struct Mounts {
    remote: Dir,
    m: Dir,
}

impl Mounts {
    fn new(bed: &Bed, more: &str) -> Self {
        bed.lower.file("file", "content");
        bed.lower.file("empty", "");
        bed.lower.sub("dir").file("inside", "");
        bed.lower.symlink("file", "link");
        bed.upper.file("up", "content");
        bed.upper.sub("up-dir");
        let layers = Dir::new(bed.upper.path().parent().expect("a parent"));
        let remote = fuse::mount(bed, &layers, "fuse", fuse::ALL);
        let options = format!(
            "lowerdir={},upperdir={},workdir={}{more}",
            bed.lower,
            remote.join("u"),
            remote.join("w")
        );
        let m = must("mount", bed.try_mount(&options));
        Self { remote, m }
    }

    /// How often `change` makes something durable.
    fn count(&self, change: impl FnOnce(&Dir)) -> u64 {
        let before = fuse::syncs(&self.remote);
        change(&self.m);
        fuse::syncs(&self.remote) - before
    }
}

fn fsync(m: &Dir, name: &str) {
    must("fsync", m.open_read(name).sync_all());
}

fn what_is_asked_for(bed: &Bed) {
    let mounts = Mounts::new(bed, "");
    assert_eq!(mounts.count(|m| fsync(m, "up")), 1);
    assert_eq!(
        mounts.count(|m| must("fdatasync", m.open_rw("up").sync_data())),
        1
    );
    assert_eq!(mounts.count(|m| fsync(m, "up-dir")), 1);
    assert_eq!(mounts.count(|m| fsync(m, "")), 1);
    for flag in [OFlags::SYNC, OFlags::DSYNC] {
        let count = mounts.count(|m| {
            let file = m.open("up", OFlags::WRONLY | flag);
            must("write", rustix::io::write(file, b"x"));
        });
        assert_eq!(count, 1);
    }
    assert_eq!(mounts.count(|m| m.append("up", b"x")), 0);
}

fn nothing_of_lower_files(bed: &Bed) {
    let mounts = Mounts::new(bed, "");
    for name in ["file", "dir"] {
        assert_eq!(mounts.count(|m| fsync(m, name)), 0, "{name}");
    }
    assert!(!bed.upper.exists("file"));
}

fn data_of_copies(bed: &Bed) {
    let mounts = Mounts::new(bed, "");
    assert_eq!(mounts.count(|m| m.chmod("file", 0o600)), 1);
    assert_eq!(mounts.count(|m| m.chmod("empty", 0o600)), 0);
    assert_eq!(mounts.count(|m| m.chmod("dir", 0o700)), 0);
    assert_eq!(mounts.count(|m| m.chown("link", 1, 1)), 0);
}

fn attributes_of_copies_if_strict(bed: &Bed) {
    let mounts = Mounts::new(bed, ",fsync=strict");
    for name in ["file", "empty", "dir"] {
        assert!(mounts.count(|m| m.chmod(name, 0o700)) >= 1, "{name}");
    }
    assert_eq!(mounts.count(|m| m.chown("link", 1, 1)), 0);
}

fn nothing_if_volatile(bed: &Bed) {
    let mounts = Mounts::new(bed, ",volatile");
    let count = mounts.count(|m| {
        for name in ["file", "empty", "dir"] {
            m.chmod(name, 0o700);
        }
        for name in ["file", "up", "up-dir", ""] {
            fsync(m, name);
        }
        let file = m.open("up", OFlags::WRONLY);
        must("fdatasync", file.sync_data());
        let vector = [std::io::IoSlice::new(b"y")];
        let flags = rustix::io::ReadWriteFlags::SYNC;
        must("pwritev2", rustix::io::pwritev2(&file, &vector, 0, flags));
        must("syncfs", rustix::fs::syncfs(&file));
    });
    assert_eq!(count, 0);
}

fn synchronous_files_if_volatile(bed: &Bed) {
    let mounts = Mounts::new(bed, ",volatile");
    for flag in [OFlags::SYNC, OFlags::DSYNC] {
        for name in ["file", "up"] {
            let count = mounts.count(|m| {
                let file = m.open(name, OFlags::WRONLY | flag);
                must("write", rustix::io::write(&file, b"x"));
                let flags = must("F_GETFL", rustix::fs::fcntl_getfl(&file));
                assert!(flags.contains(flag));
            });
            assert_eq!(count, 0, "{name}");
        }
    }
}

fn nothing_else(bed: &Bed) {
    let mounts = Mounts::new(bed, "");
    let count = mounts.count(|m| {
        m.file("new", "new");
        m.rename("new", "newer");
        m.sub("made");
        m.unlink("newer");
        m.rmdir("made");
        m.set_xattr("up", "user.note", b"value");
    });
    assert_eq!(count, 0);
    // Nor by the mount itself when it goes.
    let before = fuse::syncs(&mounts.remote);
    bed.umount();
    assert_eq!(fuse::syncs(&mounts.remote), before);
}
