// SPDX-License-Identifier: GPL-2.0

//! Shared mappings made before the copy-up, of files whose names change.

use std::fs::File;
use std::os::fd::AsRawFd;

use rustix::fs::OFlags;

use crate::harness::bed::Bed;
use crate::support::early::{Early, LENGTH};
use crate::support::mapping::Map;
use crate::support::must::{must, same_bytes};

tests! {
    EVERYWHERE:
        renamed_then_written,
        linked_then_written_by_the_link,
        copied_up_then_unlinked_then_written;
    TWICE:
        unlinked_then_opened_again_for_writing,
        replaced_by_another_file,
        renamed_to_another_directory,
        in_a_directory_that_is_renamed,
        unlinked_after_a_link;
}

fn renamed_then_written(bed: &Bed) {
    for mut early in Early::both(bed) {
        let old = early.name.clone();
        early.m.rename(&old, "moved");
        early.name = "moved".to_owned();
        early.rewrite(2);
        early.assert_current("after a write");
        // Another file of the old name is another file.
        early.m.file(&old, "another file");
        early.assert_current("after the name was used again");
        early.m.unlink("moved");
        early.assert_current("after unlinking");
    }
}

fn linked_then_written_by_the_link(bed: &Bed) {
    for mut early in Early::both(bed) {
        let link = format!("{}-link", early.name);
        early.m.link(&early.name, &link);
        for (name, seed) in [(&link, 2), (&early.name.clone(), 3), (&link, 4)] {
            early.name.clone_from(name);
            early.rewrite(seed);
            early.assert_current("after a write");
        }
    }
}

fn unlinked_after_a_link(bed: &Bed) {
    for mut early in Early::both(bed) {
        early.m.link(&early.name, "linked");
        early.m.unlink(&early.name);
        early.name = "linked".to_owned();
        early.rewrite(2);
        early.assert_current("after a write");
        early.m.unlink("linked");
        early.assert_current("without a name");
    }
}

fn copied_up_then_unlinked_then_written(bed: &Bed) {
    for mut early in Early::both(bed) {
        let writer = early.open_rw();
        early.m.unlink(&early.name);
        early.write(&writer, 3000, b"written without a name");
        early.assert_current("after a write");
        must("truncate", writer.set_len(9000));
        early.content.truncate(9000);
        early.assert_current("after truncation");
        drop(writer);
        early.assert_current("after closing");
    }
}

/// Opens what a descriptor stands for once more, to read and write.
fn open_again(file: &File) -> File {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let again = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path);
    must("open again", again)
}

fn unlinked_then_opened_again_for_writing(bed: &Bed) {
    for mut early in Early::both(bed) {
        let reader = early.m.open_read(&early.name);
        let map = Map::shared_read(&reader, LENGTH);
        early.m.unlink(&early.name);
        early.assert_current("after unlinking");
        let writer = open_again(&reader);
        early.write(&writer, 3000, b"written without a name");
        early.assert_current("after a write");
        early.assert_shown_by(&map, "in another mapping");
    }
}

fn replaced_by_another_file(bed: &Bed) {
    for mut early in Early::both(bed) {
        let reader = early.m.open_read(&early.name);
        early.m.file("new", "another file");
        early.m.rename("new", &early.name);
        early.assert_current("after the name was taken");
        early.m.file(&early.name, "changed, and still another file");
        early.assert_current("after the other file was written");
        let writer = open_again(&reader);
        early.write(&writer, 3000, b"written without a name");
        early.assert_current("after a write");
        assert_eq!(early.m.text(&early.name), "changed, and still another file");
    }
}

fn renamed_to_another_directory(bed: &Bed) {
    bed.lower.sub("dir");
    for mut early in Early::both(bed) {
        let new = format!("dir/{}", early.name);
        early.m.rename(&early.name, &new);
        early.name = new;
        early.rewrite(2);
        early.assert_current("after a write");
    }
}

/// The directory has to be one of upper: others are copied, not renamed.
fn in_a_directory_that_is_renamed(bed: &Bed) {
    let content = vec![1; LENGTH];
    bed.lower.file("low", &content);
    bed.upper.sub("dir");
    let m = bed.mount();
    let map = Map::shared_read(&m.open("low", OFlags::RDONLY), LENGTH);
    same_bytes("before", &map.bytes(), &content);
    m.rename("low", "dir/low");
    m.rename("dir", "other");
    m.write_at("other/low", 0, &vec![2; LENGTH]);
    same_bytes("after", &map.bytes(), &vec![2; LENGTH]);
}
