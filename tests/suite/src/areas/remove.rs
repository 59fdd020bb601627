// SPDX-License-Identifier: GPL-2.0

//! Removing files and directories.

use std::os::unix::fs::FileExt;

use rustix::fs::{fstat, rmdir, unlink, FileType};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::must::{must, refused};

tests! {
    EVERYWHERE:
        a_lower_file_leaves_a_whiteout,
        an_upper_file_leaves_nothing,
        a_copied_up_file_leaves_a_whiteout,
        directories,
        a_directory_of_whiteouts,
        a_whole_tree;
    TWICE:
        a_file_in_both_layers,
        a_file_in_two_lower_layers,
        a_directory_with_lower_entries_is_refused,
        a_directory_with_upper_entries_is_refused,
        an_opaque_directory,
        an_upper_directory_in_a_merged_one,
        every_type,
        the_wrong_kind_is_refused,
        what_is_missing,
        dots_are_refused,
        the_mount_point_is_busy,
        an_open_lower_file_stays_readable,
        an_open_copied_up_file_stays_usable,
        a_working_directory,
        removal_copies_no_data_up,
        a_name_that_was_made_and_removed;
}

fn a_lower_file_leaves_a_whiteout(bed: &Bed) {
    bed.lower.file("file", "from lower");
    bed.lower.sub("dir").file("file", "from lower");
    let m = bed.mount();
    for name in ["file", "dir/file"] {
        m.unlink(name);
        assert!(!m.exists(name));
        assert!(bed.upper.is_whiteout(name));
        assert_eq!(bed.lower.text(name), "from lower");
    }
    let m = bed.remount_fresh();
    assert_eq!(m.names(""), ["dir"]);
    assert!(m.names("dir").is_empty());
}

fn an_upper_file_leaves_nothing(bed: &Bed) {
    bed.upper.file("old", "");
    bed.lower.sub("dir");
    let m = bed.mount();
    m.file("new", "");
    m.file("dir/new", "");
    for name in ["old", "new", "dir/new"] {
        m.unlink(name);
        assert!(!m.exists(name));
        assert!(!bed.upper.exists(name));
    }
}

fn a_copied_up_file_leaves_a_whiteout(bed: &Bed) {
    bed.lower.file("file", "from lower");
    let m = bed.mount();
    m.append("file", b", more");
    m.unlink("file");
    assert!(!m.exists("file"));
    assert!(bed.upper.is_whiteout("file"));
    assert!(!bed.remount_fresh().exists("file"));
}

fn a_file_in_both_layers(bed: &Bed) {
    bed.lower.file("file", "from lower");
    bed.upper.file("file", "from upper");
    let m = bed.mount();
    m.unlink("file");
    assert!(!m.exists("file"));
    assert!(bed.upper.is_whiteout("file"));
}

fn a_file_in_two_lower_layers(bed: &Bed) {
    bed.lower.file("file", "middle");
    bed.below(1).file("file", "bottom");
    let m = bed.mount();
    m.unlink("file");
    assert!(!m.exists("file"));
    assert!(!bed.remount_fresh().exists("file"));
}

fn directories(bed: &Bed) {
    bed.lower.sub("low");
    bed.upper.sub("up");
    bed.lower.sub("both");
    bed.upper.sub("both");
    let m = bed.mount();
    m.sub("new");
    for (name, whiteout) in [("low", true), ("up", false), ("both", true), ("new", false)] {
        m.rmdir(name);
        assert!(!m.exists(name), "{name}");
        assert_eq!(bed.upper.exists(name), whiteout, "{name}");
        assert_eq!(bed.upper.is_whiteout(name), whiteout, "{name}");
    }
    assert!(bed.remount_fresh().names("").is_empty());
    bed.assert_work_is_empty();
}

fn a_directory_of_whiteouts(bed: &Bed) {
    let dir = bed.lower.sub("dir");
    dir.file("a", "");
    dir.sub("b");
    let m = bed.mount();
    m.unlink("dir/a");
    refused(Errno::NOTEMPTY, rmdir(m.at("dir")));
    m.rmdir("dir/b");
    assert_eq!(bed.upper.names("dir"), ["a", "b"]);
    m.rmdir("dir");
    assert!(bed.upper.is_whiteout("dir"));
    assert!(!bed.remount_fresh().exists("dir"));
    bed.assert_work_is_empty();
}

fn a_directory_with_lower_entries_is_refused(bed: &Bed) {
    bed.lower.sub("low").file("inside", "");
    bed.lower.sub("both").file("inside", "");
    bed.upper.sub("both");
    let m = bed.mount();
    for name in ["low", "both"] {
        refused(Errno::NOTEMPTY, rmdir(m.at(name)));
        assert_eq!(m.names(name), ["inside"]);
    }
    assert!(!bed.upper.exists("low"));
}

fn a_directory_with_upper_entries_is_refused(bed: &Bed) {
    bed.upper.sub("up").file("inside", "");
    bed.lower.sub("both");
    bed.upper.sub("both").file("inside", "");
    let m = bed.mount();
    for name in ["up", "both"] {
        refused(Errno::NOTEMPTY, rmdir(m.at(name)));
        m.unlink(&format!("{name}/inside"));
        m.rmdir(name);
    }
}

fn an_opaque_directory(bed: &Bed) {
    bed.lower.sub("dir").file("inside", "");
    bed.upper.sub("dir");
    bed.upper.opaque("dir");
    let m = bed.mount();
    m.rmdir("dir");
    assert!(!m.exists("dir"));
    assert!(bed.upper.is_whiteout("dir"));
    assert!(!bed.remount_fresh().exists("dir"));
}

fn an_upper_directory_in_a_merged_one(bed: &Bed) {
    bed.lower.sub("both").file("low", "");
    bed.upper.sub("both").sub("sub").file("up", "");
    let m = bed.mount();
    m.unlink("both/sub/up");
    m.rmdir("both/sub");
    assert!(!bed.upper.exists("both/sub"));
}

fn every_type(bed: &Bed) {
    for (layer, prefix) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        let dir = layer.sub(prefix);
        dir.symlink("x", "link");
        dir.node("fifo", FileType::Fifo, 0o644, (0, 0));
        dir.node("sock", FileType::Socket, 0o644, (0, 0));
        dir.node("char", FileType::CharacterDevice, 0o644, (1, 3));
        dir.node("block", FileType::BlockDevice, 0o644, (7, 0));
    }
    let m = bed.mount();
    for dir in ["low", "up"] {
        for name in m.names(dir) {
            m.join(dir).unlink(&name);
            assert_eq!(bed.upper.join(dir).exists(&name), dir == "low", "{name}");
        }
        m.rmdir(dir);
    }
    assert!(m.names("").is_empty());
}

fn a_whole_tree(bed: &Bed) {
    let tree = bed.lower.sub("tree");
    for number in 0..5 {
        let dir = tree.sub(&format!("dir-{number}"));
        for number in 0..5 {
            dir.file(&format!("file-{number}"), "content");
        }
        dir.sub("deeper").symlink("x", "link");
    }
    let m = bed.mount();
    m.append("tree/dir-1/file-1", b", more");
    m.file("tree/dir-2/new", "");
    must("remove a tree", std::fs::remove_dir_all(m.at("tree")));
    assert!(!m.exists("tree"));
    assert_eq!(bed.upper.names(""), ["tree"]);
    assert!(bed.upper.is_whiteout("tree"));
    m.sub("tree").file("new", "");
    assert_eq!(bed.remount_fresh().names("tree"), ["new"]);
    bed.assert_work_is_empty();
}

fn the_wrong_kind_is_refused(bed: &Bed) {
    bed.lower.file("file", "");
    bed.lower.sub("dir");
    let m = bed.mount();
    refused(Errno::NOTDIR, rmdir(m.at("file")));
    refused(Errno::ISDIR, unlink(m.at("dir")));
    refused(Errno::NOTDIR, unlink(m.at("file/below")));
}

fn what_is_missing(bed: &Bed) {
    bed.lower.file("gone", "");
    bed.upper.whiteout("gone");
    let m = bed.mount();
    for name in ["none", "gone"] {
        refused(Errno::NOENT, unlink(m.at(name)));
        refused(Errno::NOENT, rmdir(m.at(name)));
    }
}

fn dots_are_refused(bed: &Bed) {
    bed.lower.sub("dir").sub("inner");
    let m = bed.mount();
    refused(Errno::INVAL, rmdir(format!("{m}/dir/inner/.")));
    refused(Errno::NOTEMPTY, rmdir(format!("{m}/dir/inner/..")));
}

fn the_mount_point_is_busy(bed: &Bed) {
    bed.lower.sub("dir");
    let m = bed.mount();
    refused(Errno::BUSY, rmdir(m.path()));
    let at = m.join("dir");
    must("mount inside", bed.try_mount_at("tmpfs", "", &at));
    refused(Errno::BUSY, rmdir(at.path()));
}

fn an_open_lower_file_stays_readable(bed: &Bed) {
    bed.lower.file("file", "from lower");
    let m = bed.mount();
    let file = m.open_read("file");
    m.unlink("file");
    let mut text = [0; 10];
    must("read", file.read_exact_at(&mut text, 0));
    assert_eq!(&text, b"from lower");
    assert_eq!(must("fstat", fstat(&file)).st_size, 10);
}

fn an_open_copied_up_file_stays_usable(bed: &Bed) {
    bed.lower.file("file", "from lower");
    let m = bed.mount();
    let file = m.open_rw("file");
    m.unlink("file");
    must("write", file.write_all_at(b"FROM", 0));
    let mut text = [0; 10];
    must("read", file.read_exact_at(&mut text, 0));
    assert_eq!(&text, b"FROM lower");
    must("ftruncate", file.set_len(4));
    assert_eq!(must("fstat", fstat(&file)).st_size, 4);
    must("fsync", file.sync_all());
}

fn a_working_directory(bed: &Bed) {
    bed.lower.sub("dir");
    let m = bed.mount();
    must("chdir", rustix::process::chdir(m.at("dir")));
    m.rmdir("dir");
    m.sub("dir").file("new", "");
    refused(Errno::NOENT, std::fs::metadata("new"));
    refused(Errno::NOENT, std::env::current_dir());
    must("chdir", rustix::process::chdir("/"));
}

fn removal_copies_no_data_up(bed: &Bed) {
    // An upper layer without room for the file's data.
    bed.lower.file("big", vec![1; 4 << 20]);
    let small = bed.mount_tmpfs("small", "size=1m");
    let (upper, work) = (small.sub("u"), small.sub("w"));
    let options = format!("lowerdir={},upperdir={upper},workdir={work}", bed.lower);
    let m = must("mount", bed.try_mount(&options));
    m.unlink("big");
    assert!(upper.is_whiteout("big"));
}

fn a_name_that_was_made_and_removed(bed: &Bed) {
    bed.lower.sub("dir");
    let m = bed.mount();
    for name in ["new", "dir/new"] {
        for _ in 0..5 {
            m.file(name, "");
            m.unlink(name);
            m.sub(name);
            m.rmdir(name);
        }
        assert!(!bed.upper.exists(name));
    }
}
