// SPDX-License-Identifier: GPL-2.0

//! Data-only layers: files in them are reached by the redirect of a metacopy,
//! and looked for when the data is needed.

use std::os::fd::AsFd;

use rustix::fs::{lstat, open, statx, AtFlags, Mode, OFlags, StatxFlags, CWD};
use rustix::io::Errno;
use rustix::mount::{fsconfig_create, fsconfig_set_fd, fsopen, FsOpenFlags};

use crate::harness::bed::Bed;
use crate::support::content::pattern;
use crate::support::dir::Dir;
use crate::support::mapping::Map;
use crate::support::metacopy::{assert_no_blocks, assert_with_data, is_one, make, ON};
use crate::support::must::{must, refused, same_bytes};
use crate::support::newmount;

tests! {
    EVERYWHERE: a_file, is_copied_up;
    TWICE:
        several_layers_in_their_order,
        in_a_directory,
        are_not_merged,
        without_upper,
        without_the_options,
        missing_data,
        data_is_looked_for_late,
        space_is_guessed,
        a_relative_redirect,
        a_redirect_above_the_root,
        data_that_is_no_file,
        a_link_on_the_way,
        a_former_upper_above,
        a_regular_layer_comes_first,
        attributes_need_the_data_to_be_there,
        open_descriptors_and_mappings,
        shown_options,
        added_one_by_one,
        added_by_descriptor,
        by_mount_options_of_fsopen,
        too_few_layers,
        a_regular_layer_cannot_follow,
        overlapping_layers;
}

const SIZE: usize = 50_000;

struct Layers {
    /// Data-only, the highest first.
    data: [Dir; 2],
}

impl Layers {
    fn new(bed: &Bed) -> Self {
        Self {
            data: [bed.aside("d0"), bed.aside("d1")],
        }
    }

    fn lowerdir(&self, bed: &Bed) -> String {
        format!("{}::{}::{}", bed.lowerdir(), self.data[0], self.data[1])
    }

    #[track_caller]
    fn mount(&self, bed: &Bed, more: &str) -> Dir {
        let options = format!(
            "lowerdir={},upperdir={},workdir={}{more}",
            self.lowerdir(bed),
            bed.upper,
            bed.work
        );
        must("mount", bed.try_mount(&options))
    }
}

fn try_open(m: &Dir, name: &str, flags: OFlags) -> Result<(), Errno> {
    open(m.at(name), flags | OFlags::CLOEXEC, Mode::empty()).map(drop)
}

fn a_file(bed: &Bed) {
    let layers = Layers::new(bed);
    let content = pattern(1, SIZE);
    layers.data[0].file("blob", &content);
    make(&bed.lower, "low", SIZE as u64, Some("/blob"));
    bed.lower.set_times("low", (1, 2), (3, 4));
    let m = layers.mount(bed, "");
    assert_eq!(m.stat("low").st_mtime, 3);
    same_bytes("low", &m.read("low"), &content);
    assert_eq!(m.names(""), ["low"]);
}

fn is_copied_up(bed: &Bed) {
    let layers = Layers::new(bed);
    let content = pattern(1, SIZE);
    layers.data[0].file("blob", &content);
    for name in ["a", "b"] {
        make(&bed.lower, name, SIZE as u64, Some("/blob"));
    }
    let m = layers.mount(bed, &format!(",{ON}"));
    m.chmod("a", 0o640);
    assert!(is_one(&bed.upper, "a"));
    assert_no_blocks(bed, "a");
    same_bytes("a", &m.read("a"), &content);
    m.append("a", b"more");
    assert_with_data(bed, "a", &[&content, &b"more"[..]].concat());
    m.append("b", b"also");
    assert_with_data(bed, "b", &[&content, &b"also"[..]].concat());
    same_bytes("data", &layers.data[0].read("blob"), &content);
    bed.umount();
    let m = layers.mount(bed, &format!(",{ON}"));
    assert_eq!(m.read("a").len(), SIZE + 4);
    assert_eq!(m.mode("a"), 0o640);
}

fn several_layers_in_their_order(bed: &Bed) {
    let layers = Layers::new(bed);
    layers.data[0].file("both", pattern(1, SIZE));
    layers.data[1].file("both", pattern(2, SIZE));
    layers.data[1].file("second", pattern(3, SIZE));
    layers.data[0].sub("dir");
    layers.data[1].sub("dir").file("f", pattern(4, SIZE));
    for (name, redirect) in [("a", "/both"), ("b", "/second"), ("c", "/dir/f")] {
        make(&bed.lower, name, SIZE as u64, Some(redirect));
    }
    let m = layers.mount(bed, "");
    for (name, seed) in [("a", 1), ("b", 3), ("c", 4)] {
        same_bytes(name, &m.read(name), &pattern(seed, SIZE));
    }
}

fn in_a_directory(bed: &Bed) {
    let layers = Layers::new(bed);
    layers.data[1]
        .sub("a")
        .sub("b")
        .file("blob", pattern(1, SIZE));
    bed.lower.sub("dir");
    make(&bed.lower, "dir/low", SIZE as u64, Some("/a/b/blob"));
    let m = layers.mount(bed, "");
    same_bytes("low", &m.read("dir/low"), &pattern(1, SIZE));
}

fn are_not_merged(bed: &Bed) {
    let layers = Layers::new(bed);
    layers.data[0].sub("dir").file("blob", pattern(1, SIZE));
    layers.data[0].file("top", "content");
    bed.lower.sub("dir").file("low", "content");
    let m = layers.mount(bed, "");
    assert_eq!(m.names(""), ["dir"]);
    assert_eq!(m.names("dir"), ["low"]);
    assert!(!m.exists("top"));
    assert!(!m.exists("dir/blob"));
    // Nothing there hides anything: no whiteout is needed.
    m.file("top", "new");
    m.unlink("top");
    assert!(!bed.upper.exists("top"));
}

fn without_upper(bed: &Bed) {
    let layers = Layers::new(bed);
    layers.data[0].file("blob", pattern(1, SIZE));
    make(&bed.lower, "low", SIZE as u64, Some("/blob"));
    let options = format!("lowerdir={}::{}", bed.lower, layers.data[0]);
    let m = must("mount", bed.try_mount(&options));
    same_bytes("low", &m.read("low"), &pattern(1, SIZE));
}

fn without_the_options(bed: &Bed) {
    let layers = Layers::new(bed);
    layers.data[0].file("blob", pattern(1, SIZE));
    make(&bed.lower, "low", SIZE as u64, Some("/blob"));
    const OFF: &str = ",redirect_dir=nofollow,metacopy=off";
    let m = layers.mount(bed, OFF);
    same_bytes("low", &m.read("low"), &pattern(1, SIZE));
    // A copy is whole then.
    m.chmod("low", 0o600);
    assert_with_data(bed, "low", &pattern(1, SIZE));
    bed.umount();
    // What may lead to a regular layer needs them.
    bed.below(1).file("other", pattern(1, SIZE));
    make(&bed.lower, "other", SIZE as u64, None);
    make(&bed.lower, "data", SIZE as u64, Some("/blob"));
    let m = layers.mount(bed, OFF);
    for name in ["other", "data"] {
        refused(Errno::PERM, lstat(m.at(name)));
    }
}

fn missing_data(bed: &Bed) {
    let layers = Layers::new(bed);
    make(&bed.lower, "low", SIZE as u64, Some("/missing"));
    let m = layers.mount(bed, "");
    assert_eq!(m.stat("low").st_size as usize, SIZE);
    refused(Errno::NOENT, try_open(&m, "low", OFlags::RDONLY));
    refused(Errno::NOENT, try_open(&m, "low", OFlags::RDWR));
    assert!(!bed.upper.exists("low"));
    assert_eq!(m.mode("low"), 0o600);
}

fn data_is_looked_for_late(bed: &Bed) {
    let layers = Layers::new(bed);
    make(&bed.lower, "low", SIZE as u64, Some("/blob"));
    let m = layers.mount(bed, "");
    assert_eq!(m.stat("low").st_size as usize, SIZE);
    refused(Errno::NOENT, try_open(&m, "low", OFlags::RDONLY));
    layers.data[1].file("blob", pattern(1, SIZE));
    same_bytes("low", &m.read("low"), &pattern(1, SIZE));
    // Once found it stays.
    layers.data[0].file("blob", pattern(2, SIZE));
    same_bytes("low", &m.read("low"), &pattern(1, SIZE));
}

fn space_is_guessed(bed: &Bed) {
    let layers = Layers::new(bed);
    let file = layers.data[0].create("blob", 0o644);
    must("ftruncate", file.set_len(1 << 20));
    drop(file);
    make(&bed.lower, "low", 1 << 20, Some("/blob"));
    let m = layers.mount(bed, "");
    let blocks = |m: &Dir| {
        let path = m.at("low");
        let stat = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS);
        must("statx", stat).stx_blocks
    };
    assert_eq!(blocks(&m), (1 << 20) / 512);
    drop(m.open_read("low"));
    let want = layers.data[0].stat("blob").st_blocks as u64;
    assert_eq!(blocks(&m), want);
    assert!(want < 1024);
}

fn a_relative_redirect(bed: &Bed) {
    let layers = Layers::new(bed);
    layers.data[0].file("blob", pattern(1, SIZE));
    make(&bed.lower, "low", SIZE as u64, Some("blob"));
    make(&bed.lower, "blob", SIZE as u64, None);
    let m = layers.mount(bed, &format!(",{ON}"));
    for name in ["low", "blob"] {
        refused(Errno::IO, lstat(m.at(name)));
    }
}

fn a_redirect_above_the_root(bed: &Bed) {
    let layers = Layers::new(bed);
    bed.aside("secret").file("blob", pattern(1, SIZE));
    layers.data[0].sub("dir");
    for (name, redirect) in [
        ("a", "/../secret/blob"),
        ("b", "/dir/../../secret/blob"),
        ("c", "/dir/.."),
    ] {
        make(&bed.lower, name, SIZE as u64, Some(redirect));
    }
    let m = layers.mount(bed, "");
    for name in ["a", "b", "c"] {
        let result = try_open(&m, name, OFlags::RDONLY);
        assert!(result.is_err(), "{name}");
    }
}

fn data_that_is_no_file(bed: &Bed) {
    let layers = Layers::new(bed);
    layers.data[0].sub("dir");
    layers.data[0].whiteout("gone");
    layers.data[0].symlink("blob", "link");
    layers.data[0].file("blob", pattern(1, SIZE));
    for name in ["dir", "gone", "link"] {
        make(&bed.lower, name, SIZE as u64, Some(&format!("/{name}")));
    }
    let m = layers.mount(bed, "");
    for name in ["dir", "gone", "link"] {
        assert!(try_open(&m, name, OFlags::RDONLY).is_err(), "{name}");
    }
}

fn a_link_on_the_way(bed: &Bed) {
    let layers = Layers::new(bed);
    layers.data[0].symlink("dir", "link");
    layers.data[0].sub("dir").file("blob", pattern(1, SIZE));
    make(&bed.lower, "low", SIZE as u64, Some("/link/blob"));
    let m = layers.mount(bed, "");
    assert!(try_open(&m, "low", OFlags::RDONLY).is_err());
}

/// A metacopy in a lower layer of one that leads to the data.
fn a_former_upper_above(bed: &Bed) {
    let layers = Layers::new(bed);
    let content = pattern(1, SIZE);
    layers.data[0].file("blob", &content);
    bed.below(1).sub("dir");
    make(&bed.below(1), "dir/low", SIZE as u64, Some("/blob"));
    bed.lower.sub("dir");
    make(&bed.lower, "dir/low", SIZE as u64, None);
    bed.lower.chmod("dir/low", 0o640);
    let m = layers.mount(bed, &format!(",{ON}"));
    assert_eq!(m.mode("dir/low"), 0o640);
    m.rename("dir/low", "renamed");
    same_bytes("renamed", &m.read("renamed"), &content);
    bed.umount();
    let m = layers.mount(bed, &format!(",{ON}"));
    same_bytes("renamed", &m.read("renamed"), &content);
    m.append("renamed", b"more");
    assert_with_data(bed, "renamed", &[&content, &b"more"[..]].concat());
}

/// An absolute redirect is looked for in regular layers first.
fn a_regular_layer_comes_first(bed: &Bed) {
    let layers = Layers::new(bed);
    layers.data[0].file("blob", pattern(1, SIZE));
    bed.below(1).file("blob", pattern(2, SIZE));
    make(&bed.lower, "low", SIZE as u64, Some("/blob"));
    let m = layers.mount(bed, &format!(",{ON}"));
    same_bytes("low", &m.read("low"), &pattern(2, SIZE));
}

fn attributes_need_the_data_to_be_there(bed: &Bed) {
    let layers = Layers::new(bed);
    make(&bed.lower, "low", SIZE as u64, Some("/blob"));
    let m = layers.mount(bed, &format!(",{ON}"));
    let chmod = || {
        rustix::fs::chmodat(
            CWD,
            m.at("low"),
            Mode::from_raw_mode(0o600),
            AtFlags::empty(),
        )
    };
    refused(Errno::NOENT, chmod());
    layers.data[0].file("blob", pattern(1, SIZE));
    must("chmod", chmod());
    same_bytes("low", &m.read("low"), &pattern(1, SIZE));
}

fn open_descriptors_and_mappings(bed: &Bed) {
    let layers = Layers::new(bed);
    let mut content = pattern(1, SIZE);
    layers.data[0].file("blob", &content);
    make(&bed.lower, "low", SIZE as u64, Some("/blob"));
    let m = layers.mount(bed, &format!(",{ON}"));
    let maps = [
        Map::shared_read(&m.open_read("low"), SIZE),
        Map::shared_read(&m.open_read("low"), SIZE),
    ];
    same_bytes("data-only", &maps[0].bytes(), &content);
    m.chmod("low", 0o600);
    same_bytes("metacopy", &maps[0].bytes(), &content);
    m.write_at("low", 1000, b"written");
    content[1000..1007].copy_from_slice(b"written");
    for map in &maps {
        same_bytes("in upper", &map.bytes(), &content);
    }
}

/// The options of a mount that are the filesystem's own, as it shows them.
fn shown(at: &Dir) -> String {
    let mounts = must("read mounts", std::fs::read_to_string("/proc/self/mounts"));
    let line = mounts
        .lines()
        .rfind(|line| line.split(' ').nth(1) == Some(&at.to_string()))
        .expect("a mount");
    line.split(' ').nth(3).expect("options").to_owned()
}

fn shown_options(bed: &Bed) {
    let layers = Layers::new(bed);
    bed.below(1);
    let m = layers.mount(bed, "");
    let want = format!("lowerdir={},", layers.lowerdir(bed));
    assert!(shown(&m).contains(&want), "{}", shown(&m));
}

fn added_one_by_one(bed: &Bed) {
    let layers = Layers::new(bed);
    layers.data[1].file("blob", pattern(1, SIZE));
    bed.lower.file("regular", "content");
    make(&bed.below(1), "low", SIZE as u64, Some("/blob"));
    let (lower, below) = (bed.lower.to_string(), bed.below(1).to_string());
    let data = [layers.data[0].to_string(), layers.data[1].to_string()];
    let (upper, work) = (bed.upper.to_string(), bed.work.to_string());
    let options = [
        ("lowerdir+", &*lower),
        ("lowerdir+", &below),
        ("datadir+", &data[0]),
        ("datadir+", &data[1]),
        ("upperdir", &upper),
        ("workdir", &work),
    ];
    let m = must("mount", newmount::mount(bed, &options, &bed.mnt));
    same_bytes("low", &m.read("low"), &pattern(1, SIZE));
    assert_eq!(m.names(""), ["low", "regular"]);
    let want = format!(
        "lowerdir+={lower},lowerdir+={below},datadir+={},datadir+={},upperdir={upper},",
        data[0], data[1]
    );
    assert!(shown(&m).contains(&want), "{}", shown(&m));
}

fn added_by_descriptor(bed: &Bed) {
    let layers = Layers::new(bed);
    layers.data[0].file("blob", pattern(1, SIZE));
    make(&bed.lower, "low", SIZE as u64, Some("/blob"));
    let context = must(
        "fsopen",
        fsopen(bed.fs.as_str(), FsOpenFlags::FSOPEN_CLOEXEC),
    );
    for (key, dir) in [("lowerdir+", &bed.lower), ("datadir+", &layers.data[0])] {
        let file = dir.open("", OFlags::PATH | OFlags::DIRECTORY);
        must(key, fsconfig_set_fd(context.as_fd(), key, file.as_fd()));
    }
    must("create", fsconfig_create(context.as_fd()));
    let mount = must(
        "fsmount",
        rustix::mount::fsmount(
            context.as_fd(),
            rustix::mount::FsMountFlags::FSMOUNT_CLOEXEC,
            rustix::mount::MountAttrFlags::empty(),
        ),
    );
    let name = "low";
    let file = must(
        "openat",
        rustix::fs::openat(mount, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()),
    );
    let mut got = vec![0; SIZE];
    must(
        "read",
        std::os::unix::fs::FileExt::read_exact_at(&std::fs::File::from(file), &mut got, 0),
    );
    same_bytes("low", &got, &pattern(1, SIZE));
}

fn by_mount_options_of_fsopen(bed: &Bed) {
    let layers = Layers::new(bed);
    let lowerdir = layers.lowerdir(bed);
    let refuse = |options: &[(&str, &str)]| {
        refused(Errno::INVAL, newmount::mount(bed, options, &bed.mnt));
    };
    let (lower, data) = (bed.lower.to_string(), layers.data[0].to_string());
    refuse(&[("lowerdir", &lowerdir), ("datadir+", &data)]);
    refuse(&[("datadir+", &data), ("lowerdir+", &lower)]);
    refuse(&[("datadir+", &data)]);
    refuse(&[("datadir+", "")]);
    must(
        "mount",
        newmount::mount(bed, &[("lowerdir", &lowerdir)], &bed.mnt),
    );
}

#[track_caller]
fn refuse(bed: &Bed, errno: Errno, lowerdir: &str) {
    let options = format!(
        "lowerdir={lowerdir},upperdir={},workdir={}",
        bed.upper, bed.work
    );
    refused(errno, bed.try_mount(&options));
}

fn too_few_layers(bed: &Bed) {
    let layers = Layers::new(bed);
    refuse(bed, Errno::INVAL, &format!("::{}", layers.data[0]));
    refuse(bed, Errno::INVAL, &format!("{}::", bed.lower));
    refuse(
        bed,
        Errno::INVAL,
        &format!("{}:::{}", bed.lower, layers.data[0]),
    );
    refuse(
        bed,
        Errno::NOENT,
        &format!("{}::{}-missing", bed.lower, layers.data[0]),
    );
}

fn a_regular_layer_cannot_follow(bed: &Bed) {
    let layers = Layers::new(bed);
    let below = bed.below(1);
    refuse(
        bed,
        Errno::INVAL,
        &format!("{}::{}:{below}", bed.lower, layers.data[0]),
    );
}

fn overlapping_layers(bed: &Bed) {
    let layers = Layers::new(bed);
    let within = layers.data[0].sub("within");
    refuse(bed, Errno::LOOP, &format!("{}::{}", bed.lower, bed.lower));
    refuse(bed, Errno::LOOP, &format!("{}::{}", bed.lower, bed.upper));
    refuse(
        bed,
        Errno::LOOP,
        &format!("{}::{}::{within}", bed.lower, layers.data[0]),
    );
}
