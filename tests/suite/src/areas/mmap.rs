// SPDX-License-Identifier: GPL-2.0

//! Memory mappings.
//!
//! Here, mappings begin where the file already is; those made before the
//! copy-up are in the areas called `mapping_`.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

use crate::harness::bed::Bed;
use crate::support::content::pattern;
pub use crate::support::mapping::Map;
use crate::support::must::{must, refused, same_bytes};

tests! {
    EVERYWHERE:
        private_reads,
        shared_reads,
        shared_writes,
        private_writes_stay_private;
    DISKS: pages_are_those_of_the_layer;
    TWICE:
        read_only_shared_refuses_write_protection,
        shared_writes_need_a_writable_descriptor,
        a_mapping_outlives_its_descriptor_and_name,
        a_new_mapping_of_an_old_descriptor_is_current,
        writes_by_descriptor_show_in_a_mapping,
        writes_in_a_mapping_show_to_readers,
        executable,
        a_forked_mapping,
        a_mapping_names_the_overlay_file,
        mapping_copies_nothing_up;
}

const LENGTH: usize = 20_000;

fn private(file: &File) -> Map {
    Map::private(file, LENGTH)
}

fn shared_write(file: &File) -> Map {
    Map::shared_write(file, LENGTH)
}

/// A lower and an upper file with this content.
fn files(bed: &Bed) -> (crate::support::dir::Dir, Vec<u8>) {
    let content = pattern(1, LENGTH);
    bed.lower.file("low", &content);
    bed.upper.file("up", &content);
    (bed.mount(), content)
}

fn private_reads(bed: &Bed) {
    let (m, content) = files(bed);
    for name in ["low", "up"] {
        same_bytes(name, &private(&m.open_read(name)).bytes(), &content);
    }
}

fn shared_reads(bed: &Bed) {
    let (m, content) = files(bed);
    for name in ["low", "up"] {
        same_bytes(
            name,
            &Map::shared_read(&m.open_read(name), LENGTH).bytes(),
            &content,
        );
    }
}

fn mapping_copies_nothing_up(bed: &Bed) {
    let (m, _) = files(bed);
    drop(Map::shared_read(&m.open_read("low"), LENGTH).bytes());
    private(&m.open_read("low")).set(0, b"x");
    assert!(!bed.upper.exists("low"));
}

fn shared_writes(bed: &Bed) {
    let (m, content) = files(bed);
    for name in ["low", "up"] {
        let map = shared_write(&m.open_rw(name));
        map.set(5000, b"written in memory");
        map.sync();
        let mut want = content.clone();
        want[5000..5017].copy_from_slice(b"written in memory");
        same_bytes(name, &m.read(name), &want);
        same_bytes("in upper", &bed.upper.read(name), &want);
    }
    same_bytes("in lower", &bed.lower.read("low"), &content);
}

fn private_writes_stay_private(bed: &Bed) {
    let (m, content) = files(bed);
    for name in ["low", "up"] {
        let map = private(&m.open_read(name));
        map.set(100, b"mine");
        assert_eq!(&map.bytes()[100..104], b"mine");
        same_bytes(name, &m.read(name), &content);
    }
}

fn read_only_shared_refuses_write_protection(bed: &Bed) {
    let (m, _) = files(bed);
    for name in ["low", "up"] {
        let map = Map::shared_read(&m.open_read(name), LENGTH);
        let prot = MprotectFlags::READ | MprotectFlags::WRITE;
        refused(Errno::ACCESS, map.try_protect(0, LENGTH, prot));
    }
}

fn shared_writes_need_a_writable_descriptor(bed: &Bed) {
    let (m, _) = files(bed);
    for name in ["low", "up"] {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let result = Map::new(&m.open_read(name), LENGTH, prot, MapFlags::SHARED);
        refused(Errno::ACCESS, result.map(|_| ()));
        let file = m.open(name, OFlags::WRONLY);
        let result = Map::new(&file, LENGTH, prot, MapFlags::SHARED);
        refused(Errno::ACCESS, result.map(|_| ()));
    }
}

fn a_mapping_outlives_its_descriptor_and_name(bed: &Bed) {
    let (m, content) = files(bed);
    for name in ["low", "up"] {
        let map = Map::shared_read(&m.open_read(name), LENGTH);
        m.unlink(name);
        same_bytes(name, &map.bytes(), &content);
    }
}

fn a_new_mapping_of_an_old_descriptor_is_current(bed: &Bed) {
    let (m, mut content) = files(bed);
    let early = m.open_read("low");
    m.write_at("low", 10, b"after the copy-up");
    content[10..27].copy_from_slice(b"after the copy-up");
    same_bytes(
        "shared",
        &Map::shared_read(&early, LENGTH).bytes(),
        &content,
    );
    same_bytes("private", &private(&early).bytes(), &content);
}

fn writes_by_descriptor_show_in_a_mapping(bed: &Bed) {
    let (m, content) = files(bed);
    for name in ["low", "up"] {
        let file = m.open_rw(name);
        let map = Map::shared_read(&file, LENGTH);
        same_bytes(name, &map.bytes(), &content);
        must("pwrite", file.write_all_at(b"written", 9000));
        assert_eq!(&map.bytes()[9000..9007], b"written");
    }
}

fn writes_in_a_mapping_show_to_readers(bed: &Bed) {
    let (m, _) = files(bed);
    for name in ["low", "up"] {
        let reader = m.open_read(name);
        let map = shared_write(&m.open_rw(name));
        map.set(9000, b"written");
        let mut bytes = [0; 7];
        must("pread", reader.read_exact_at(&mut bytes, 9000));
        assert_eq!(&bytes, b"written");
    }
}

/// How many pages of the file are in memory.
fn resident(file: &File) -> usize {
    let map = Map::shared_read(file, LENGTH);
    let mut pages = [0_u8; LENGTH.div_ceil(4096)];
    // SAFETY: one byte for each page of the mapping.
    let result = unsafe { libc::mincore(map.address(), LENGTH, pages.as_mut_ptr()) };
    assert_eq!(result, 0, "mincore: {}", std::io::Error::last_os_error());
    pages.iter().filter(|&&page| page & 1 != 0).count()
}

fn pages_are_those_of_the_layer(bed: &Bed) {
    let (m, content) = files(bed);
    for (layer, name) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        let (below, above) = (layer.open_read(name), m.open_read(name));
        must("fsync", below.sync_all());
        must(
            "fadvise",
            rustix::fs::fadvise(&below, 0, None, rustix::fs::Advice::DontNeed),
        );
        assert_eq!(resident(&below), 0, "{name}");
        same_bytes(name, &Map::shared_read(&above, LENGTH).bytes(), &content);
        assert_eq!(resident(&below), 5, "{name}");
        assert_eq!(resident(&above), 5, "{name}");
    }
}

fn executable(bed: &Bed) {
    let (m, content) = files(bed);
    for name in ["low", "up"] {
        let prot = ProtFlags::READ | ProtFlags::EXEC;
        let map = must(
            "mmap",
            Map::new(&m.open_read(name), LENGTH, prot, MapFlags::PRIVATE),
        );
        same_bytes(name, &map.bytes(), &content);
    }
}

fn a_forked_mapping(bed: &Bed) {
    let (m, _) = files(bed);
    for name in ["low", "up"] {
        let map = shared_write(&m.open_rw(name));
        crate::support::process::in_child(|| map.set(0, b"by the child"));
        assert_eq!(&map.bytes()[..12], b"by the child");
    }
}

fn a_mapping_names_the_overlay_file(bed: &Bed) {
    let (m, _) = files(bed);
    for name in ["low", "up"] {
        let map = Map::shared_read(&m.open_read(name), LENGTH);
        let maps = must("read maps", std::fs::read_to_string("/proc/self/maps"));
        let start = format!("{:08x}-", map.address() as usize);
        let line = maps
            .lines()
            .find(|line| line.starts_with(&start))
            .expect("the mapping");
        let path = m.at(name).display().to_string();
        assert!(line.ends_with(&path), "{line}");
        let ino = line.split_whitespace().nth(4).expect("inode number");
        assert_eq!(ino, m.stat(name).st_ino.to_string(), "{line}");
    }
}
