// SPDX-License-Identifier: GPL-2.0

//! Layers on subvolumes of one btrfs, which have numbers of their own and share
//! the superblock.

use std::os::fd::AsRawFd;

use crate::areas::copy_up_io_error::disk::Disk;
use crate::areas::identity_constant::Kept;
use crate::areas::identity_views::{each, make_each};
use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;

tests! {
    ONCE: numbers_are_kept, numbers_outlive_caches_and_mounts, numbers_are_unique;
}

/// Layers on subvolumes, the last of which is upper's.
struct Layers {
    lowers: [Dir; 2],
    upper: Dir,
    work: Dir,
}

#[track_caller]
fn subvolume(dir: &Dir, name: &str) -> Dir {
    const BTRFS_IOC_SUBVOL_CREATE: libc::Ioctl = 0x5000_940e;

    #[repr(C)]
    struct Arguments {
        fd: i64,
        name: [u8; 4088],
    }

    let mut arguments = Arguments {
        fd: 0,
        name: [0; 4088],
    };
    arguments.name[..name.len()].copy_from_slice(name.as_bytes());
    let parent = dir.open_read("");
    // SAFETY: the kernel reads `arguments`.
    let result = unsafe {
        libc::ioctl(
            parent.as_raw_fd(),
            BTRFS_IOC_SUBVOL_CREATE,
            &raw const arguments,
        )
    };
    let made = match result {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    };
    must(format_args!("make subvolume {name}"), made);
    dir.join(name)
}

impl Layers {
    /// A btrfs of the test's own, with layers of which each has the same
    /// objects, made in the same order.
    #[track_caller]
    fn new(bed: &Bed) -> Self {
        let disk = Disk::new(bed, "btrfs", 160 << 20);
        let [one, two, top] = ["s1", "s2", "s3"].map(|name| subvolume(&disk.dir, name));
        let layers = Self {
            lowers: [one, two],
            upper: top.sub("u"),
            work: top.sub("w"),
        };
        make_each(&layers.lowers[0], "one-");
        make_each(&layers.lowers[1], "two-");
        make_each(&layers.upper, "up-");
        assert_eq!(
            layers.lowers[0].stat("one-file").st_ino,
            layers.lowers[1].stat("two-file").st_ino
        );
        layers
    }

    #[track_caller]
    fn mount(&self, bed: &Bed) -> Dir {
        let options = format!(
            "lowerdir={}:{},upperdir={},workdir={},xino=on",
            self.lowers[0], self.lowers[1], self.upper, self.work
        );
        must("mount", bed.try_mount(&options))
    }
}

fn names() -> impl Iterator<Item = String> {
    ["one-", "two-", "up-"].into_iter().flat_map(each)
}

fn numbers_are_kept(bed: &Bed) {
    let m = Layers::new(bed).mount(bed);
    let objects = Kept::new(&m, names());
    objects.change();
    objects.assert_kept();
}

fn numbers_outlive_caches_and_mounts(bed: &Bed) {
    let layers = Layers::new(bed);
    let mut objects = Kept::new(&layers.mount(bed), names());
    objects.change();
    objects.evict(true);
    objects.assert_kept();
    objects.remount(bed, |bed| layers.mount(bed));
    objects.assert_kept();
}

fn numbers_are_unique(bed: &Bed) {
    let m = Layers::new(bed).mount(bed);
    make_each(&m, "new-");
    let assert_unique = || {
        let mut numbers: Vec<_> = m
            .names("")
            .into_iter()
            .map(|name| (m.stat(&name).st_dev, m.stat(&name).st_ino, name))
            .collect();
        numbers.sort_unstable();
        for pair in numbers.windows(2) {
            let same = (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1);
            assert!(!same, "{} and {} have one number", pair[0].2, pair[1].2);
        }
        assert_eq!(numbers.len(), 4 * 7);
    };
    assert_unique();
    for name in names() {
        m.chown(&name, 1, 1);
    }
    assert_unique();
}
