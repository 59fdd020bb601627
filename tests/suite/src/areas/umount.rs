// SPDX-License-Identifier: GPL-2.0

//! Unmounting: refused while something is open, and letting go of everything.

use std::io::{Read, Write};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::{unmount, UnmountFlags};

use crate::harness::bed::Bed;
use crate::support::must::{must, refused};

tests! {
    TWICE:
        busy_while_a_lower_file_is_open,
        busy_while_an_upper_file_is_open,
        busy_while_a_directory_is_open,
        busy_with_an_o_path_descriptor,
        busy_while_mapped,
        detached_it_works_until_closed,
        lets_go_of_the_layers,
        after_heavy_use;
}

fn refused_while(bed: &Bed, held: impl Sized) {
    refused(Errno::BUSY, unmount(bed.mnt.path(), UnmountFlags::empty()));
    drop(held);
    bed.umount();
    assert!(bed.mnt.names("").is_empty());
}

fn busy_while_a_lower_file_is_open(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let m = bed.mount();
    refused_while(bed, m.open_read("low"));
}

fn busy_while_an_upper_file_is_open(bed: &Bed) {
    bed.upper.file("up", "from upper");
    let m = bed.mount();
    refused_while(bed, m.open_rw("up"));
}

fn busy_while_a_directory_is_open(bed: &Bed) {
    bed.lower.sub("dir").file("a", "");
    bed.upper.sub("dir").file("b", "");
    let m = bed.mount();
    let dir = m.open_read("dir");
    crate::support::listing::rest(&dir);
    refused_while(bed, dir);
}

fn busy_with_an_o_path_descriptor(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let m = bed.mount();
    refused_while(bed, m.open("low", OFlags::PATH));
}

fn busy_while_mapped(bed: &Bed) {
    bed.lower.file("low", [1; 4096]);
    let m = bed.mount();
    let map = crate::areas::mmap::Map::shared_read(&m.open_read("low"), 4096);
    assert_eq!(map.byte(4095), 1);
    refused_while(bed, map);
}

fn detached_it_works_until_closed(bed: &Bed) {
    bed.lower.file("low", "from lower");
    let m = bed.mount();
    let mut low = m.open_rw("low");
    must("detach", unmount(m.path(), UnmountFlags::DETACH));
    bed.unmounted();
    let mut text = String::new();
    must("read", low.read_to_string(&mut text));
    assert_eq!(text, "from lower");
    must("write", low.write_all(b", and more"));
    drop(low);
    assert_eq!(bed.upper.text("low"), "from lower, and more");
}

fn lets_go_of_the_layers(bed: &Bed) {
    let layers = bed.mount_tmpfs("layers-of-its-own", "");
    let (lower, upper, work) = (layers.sub("l"), layers.sub("u"), layers.sub("w"));
    lower.file("low", "from lower");
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    let m = must("mount", bed.try_mount(&options));
    m.append("low", b", and more");
    m.file("new", "");
    bed.umount();
    // A writable mount or an open file would refuse this.
    must(
        "remount the layers read-only",
        rustix::mount::mount_remount(layers.path(), rustix::mount::MountFlags::RDONLY, c""),
    );
    bed.umount();
}

fn after_heavy_use(bed: &Bed) {
    for number in 0..50 {
        let dir = bed.lower.sub(&format!("dir-{number}"));
        dir.file("a", "a");
        dir.file("b", "b");
    }
    let m = bed.mount();
    for number in 0..50 {
        let dir = m.join(&format!("dir-{number}"));
        dir.append("a", b"more");
        dir.unlink("b");
        dir.file("c", "c");
        dir.rename("c", "d");
        assert_eq!(dir.names(""), ["a", "d"]);
    }
    let m = bed.remount_fresh();
    for number in 0..50 {
        let dir = m.join(&format!("dir-{number}"));
        assert_eq!(dir.text("a"), "amore");
        assert_eq!(dir.names(""), ["a", "d"]);
    }
}
