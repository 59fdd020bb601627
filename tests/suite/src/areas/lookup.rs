// SPDX-License-Identifier: GPL-2.0

//! Which object a name stands for.

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::must::refused;

tests! {
    EVERYWHERE:
        upper_comes_first,
        a_whiteout_hides_a_file,
        a_whiteout_hides_a_directory,
        an_opaque_directory_hides_those_below,
        three_layers_merge,
        a_file_hides_a_directory,
        a_directory_hides_a_file;
    TWICE:
        a_whiteout_between_layers,
        a_whiteout_of_a_lower_layer_ends_the_search,
        an_opaque_directory_between_layers,
        a_file_between_directories_ends_the_merge,
        a_symlink_between_directories_ends_the_merge,
        opaque_is_nothing_on_a_file,
        whiteouts_inside_a_merged_directory,
        nothing_is_found,
        names_that_are_too_long,
        a_file_is_no_directory,
        a_layer_symlink_is_not_followed,
        deep_paths,
        dots,
        a_name_appears_after_it_was_missed,
        a_device_that_is_no_whiteout,
        a_whiteout_that_is_an_attribute,
        an_attribute_alone_is_no_whiteout,
        every_type_is_told_apart;
}

fn upper_comes_first(bed: &Bed) {
    bed.lower.file("both", "from lower");
    bed.upper.file("both", "from upper");
    bed.lower.file("low", "from lower");
    bed.upper.file("up", "from upper");
    let m = bed.mount();
    assert_eq!(m.text("both"), "from upper");
    assert_eq!(m.text("low"), "from lower");
    assert_eq!(m.text("up"), "from upper");
}

fn assert_absent(bed: &Bed, name: &str) {
    let m = &bed.mnt;
    assert!(!m.exists(name));
    refused(Errno::NOENT, std::fs::read(m.at(name)));
    assert!(!m.names("").contains(&name.to_owned()));
}

fn a_whiteout_hides_a_file(bed: &Bed) {
    bed.lower.file("gone", "from lower");
    bed.upper.whiteout("gone");
    bed.mount();
    assert_absent(bed, "gone");
}

fn a_whiteout_hides_a_directory(bed: &Bed) {
    bed.lower.sub("gone").file("inside", "from lower");
    bed.upper.whiteout("gone");
    let m = bed.mount();
    assert_absent(bed, "gone");
    refused(Errno::NOENT, std::fs::read(m.at("gone/inside")));
}

fn a_whiteout_between_layers(bed: &Bed) {
    bed.lower.whiteout("gone");
    bed.below(1).file("gone", "from below");
    bed.lower.whiteout("back");
    bed.below(1).file("back", "from below");
    bed.upper.file("back", "from upper");
    let m = bed.mount();
    assert_absent(bed, "gone");
    assert_eq!(m.text("back"), "from upper");
}

fn a_whiteout_of_a_lower_layer_ends_the_search(bed: &Bed) {
    bed.upper.sub("dir").file("up", "");
    bed.lower.whiteout("dir");
    bed.below(1).sub("dir").file("bottom", "");
    assert_eq!(bed.mount().names("dir"), ["up"]);
}

fn an_opaque_directory_hides_those_below(bed: &Bed) {
    bed.lower.sub("dir").file("low", "");
    bed.upper.sub("dir").file("up", "");
    bed.upper.opaque("dir");
    let m = bed.mount();
    assert_eq!(m.names("dir"), ["up"]);
    assert!(!m.exists("dir/low"));
}

fn an_opaque_directory_between_layers(bed: &Bed) {
    bed.upper.sub("dir").file("up", "");
    bed.lower.sub("dir").file("middle", "");
    bed.lower.opaque("dir");
    bed.below(1).sub("dir").file("bottom", "");
    let m = bed.mount();
    assert_eq!(m.names("dir"), ["middle", "up"]);
    assert!(!m.exists("dir/bottom"));
}

fn three_layers_merge(bed: &Bed) {
    bed.upper.sub("dir").file("a", "upper");
    bed.lower.sub("dir").file("a", "middle");
    bed.lower.file("dir/b", "middle");
    let bottom = bed.below(1).sub("dir");
    bottom.file("a", "bottom");
    bottom.file("b", "bottom");
    bottom.file("c", "bottom");
    let m = bed.mount();
    assert_eq!(m.names("dir"), ["a", "b", "c"]);
    assert_eq!(m.text("dir/a"), "upper");
    assert_eq!(m.text("dir/b"), "middle");
    assert_eq!(m.text("dir/c"), "bottom");
}

fn a_file_hides_a_directory(bed: &Bed) {
    bed.lower.sub("name").file("inside", "");
    bed.upper.file("name", "a file");
    let m = bed.mount();
    assert_eq!(m.text("name"), "a file");
    refused(Errno::NOTDIR, std::fs::read(m.at("name/inside")));
}

fn a_directory_hides_a_file(bed: &Bed) {
    bed.lower.file("name", "a file");
    bed.upper.sub("name").file("inside", "");
    let m = bed.mount();
    assert_eq!(m.names("name"), ["inside"]);
}

fn a_file_between_directories_ends_the_merge(bed: &Bed) {
    bed.upper.sub("dir").file("up", "");
    bed.lower.file("dir", "a file");
    bed.below(1).sub("dir").file("bottom", "");
    assert_eq!(bed.mount().names("dir"), ["up"]);
}

fn a_symlink_between_directories_ends_the_merge(bed: &Bed) {
    bed.upper.sub("dir").file("up", "");
    bed.lower.symlink("elsewhere", "dir");
    bed.lower.sub("elsewhere").file("low", "");
    bed.below(1).sub("dir").file("bottom", "");
    assert_eq!(bed.mount().names("dir"), ["up"]);
}

fn opaque_is_nothing_on_a_file(bed: &Bed) {
    bed.lower.file("name", "from lower");
    bed.upper.file("name", "from upper");
    bed.upper.opaque("name");
    let m = bed.mount();
    assert_eq!(m.text("name"), "from upper");
    m.unlink("name");
    assert!(!m.exists("name"));
    assert!(bed.upper.is_whiteout("name"));
}

fn whiteouts_inside_a_merged_directory(bed: &Bed) {
    let low = bed.lower.sub("dir");
    low.file("a", "");
    low.file("b", "");
    low.sub("c").file("inside", "");
    let up = bed.upper.sub("dir");
    up.whiteout("a");
    up.whiteout("c");
    let m = bed.mount();
    assert_eq!(m.names("dir"), ["b"]);
    assert!(!m.exists("dir/a"));
    assert!(!m.exists("dir/c"));
}

fn nothing_is_found(bed: &Bed) {
    bed.lower.sub("dir");
    bed.upper.sub("dir");
    let m = bed.mount();
    for name in ["none", "dir/none", "none/none"] {
        for _ in 0..2 {
            assert!(!m.exists(name), "{name}");
        }
    }
}

fn names_that_are_too_long(bed: &Bed) {
    bed.lower.sub("dir").file(&"n".repeat(255), "255 bytes");
    let m = bed.mount();
    assert_eq!(m.text(&format!("dir/{}", "n".repeat(255))), "255 bytes");
    let long = m.at(&format!("dir/{}", "n".repeat(256)));
    refused(Errno::NAMETOOLONG, std::fs::read(&long));
    refused(Errno::NAMETOOLONG, std::fs::write(&long, ""));
    refused(Errno::NAMETOOLONG, std::fs::create_dir(&long));
}

fn a_file_is_no_directory(bed: &Bed) {
    bed.lower.file("low", "");
    bed.upper.file("up", "");
    let m = bed.mount();
    for name in ["low", "up"] {
        refused(Errno::NOTDIR, std::fs::read(m.at(name).join("below")));
        refused(Errno::NOTDIR, std::fs::read_dir(m.at(name)));
    }
}

fn a_layer_symlink_is_not_followed(bed: &Bed) {
    bed.upper.sub("dir").file("up", "");
    bed.lower.sub("real").file("low", "");
    bed.lower.symlink("real", "dir");
    let m = bed.mount();
    assert_eq!(m.names("dir"), ["up"]);
    assert!(!m.exists("dir/low"));
}

fn deep_paths(bed: &Bed) {
    let path = (0..40)
        .map(|n| format!("d{n}"))
        .collect::<Vec<_>>()
        .join("/");
    std::fs::create_dir_all(bed.lower.at(&path)).expect("lower directories");
    bed.lower.join(&path).file("bottom", "deep");
    let m = bed.mount();
    assert_eq!(m.join(&path).text("bottom"), "deep");
    m.join(&path).append("bottom", b" down");
    assert_eq!(bed.upper.join(&path).text("bottom"), "deep down");
}

fn dots(bed: &Bed) {
    bed.lower.sub("a").sub("b").file("low", "from lower");
    let m = bed.mount();
    assert_eq!(m.text("a/./b/../b/low"), "from lower");
    assert_eq!(m.stat("a/b/..").st_ino, m.stat("a").st_ino);
    assert_eq!(m.stat("a/.").st_ino, m.stat("a").st_ino);
    let b = m.open_read("a/b");
    let parent = rustix::fs::statat(&b, "..", rustix::fs::AtFlags::empty()).expect("stat");
    assert_eq!(parent.st_ino, m.stat("a").st_ino);
}

fn a_name_appears_after_it_was_missed(bed: &Bed) {
    bed.lower.sub("dir").file("gone", "");
    let m = bed.mount();
    assert!(!m.exists("dir/new"));
    m.file("dir/new", "1");
    assert_eq!(m.text("dir/new"), "1");
    m.unlink("dir/new");
    assert!(!m.exists("dir/new"));
    m.unlink("dir/gone");
    assert!(!m.exists("dir/gone"));
    m.sub("dir/gone");
    assert_eq!(m.kind("dir/gone"), FileType::Directory);
}

fn a_device_that_is_no_whiteout(bed: &Bed) {
    bed.lower
        .node("char", FileType::CharacterDevice, 0o600, (0, 1));
    bed.lower
        .node("block", FileType::BlockDevice, 0o600, (0, 0));
    let m = bed.mount();
    assert_eq!(m.names(""), ["block", "char"]);
    assert_eq!(m.kind("char"), FileType::CharacterDevice);
    assert_eq!(m.kind("block"), FileType::BlockDevice);
}

fn every_type_is_told_apart(bed: &Bed) {
    let types = [
        ("file", FileType::RegularFile),
        ("dir", FileType::Directory),
        ("link", FileType::Symlink),
        ("fifo", FileType::Fifo),
        ("socket", FileType::Socket),
        ("char", FileType::CharacterDevice),
        ("block", FileType::BlockDevice),
    ];
    for layer in [bed.lower.sub("low"), bed.upper.sub("up")] {
        layer.file("file", "");
        layer.sub("dir");
        layer.symlink("file", "link");
        layer.node("fifo", FileType::Fifo, 0o644, (0, 0));
        layer.node("socket", FileType::Socket, 0o644, (0, 0));
        layer.node("char", FileType::CharacterDevice, 0o644, (1, 5));
        layer.node("block", FileType::BlockDevice, 0o644, (7, 0));
    }
    let m = bed.mount();
    for dir in ["low", "up"] {
        for (name, kind) in types {
            assert_eq!(m.join(dir).kind(name), kind, "{dir}/{name}");
        }
    }
}

/// Makes `dir`, in which a file is a whiteout by its attribute.
fn attribute_whiteout(bed: &Bed, dir: &str, marked: bool) {
    let upper = bed.lower.sub(dir);
    upper.file("gone", "");
    upper.file("here", "");
    bed.lower
        .set_xattr(&format!("{dir}/gone"), "trusted.overlay.whiteout", b"y");
    if marked {
        bed.lower.set_xattr(dir, "trusted.overlay.opaque", b"x");
    }
    bed.below(1).sub(dir).file("gone", "from below");
}

fn a_whiteout_that_is_an_attribute(bed: &Bed) {
    attribute_whiteout(bed, "dir", true);
    let m = bed.mount();
    assert!(!m.exists("dir/gone"));
    assert_eq!(m.names("dir"), ["here"]);
    m.file("dir/gone", "new");
    assert_eq!(m.text("dir/gone"), "new");
    m.unlink("dir/gone");
    assert_eq!(m.names("dir"), ["here"]);
}

fn an_attribute_alone_is_no_whiteout(bed: &Bed) {
    attribute_whiteout(bed, "dir", false);
    assert_eq!(bed.mount().names("dir"), ["gone", "here"]);
}
