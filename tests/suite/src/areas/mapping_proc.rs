// SPDX-License-Identifier: GPL-2.0

//! What `/proc` tells about shared mappings made before the copy-up.

use std::os::fd::AsRawFd;
use std::path::PathBuf;

use rustix::fs::{major, minor};

use crate::harness::bed::Bed;
use crate::support::early::{Early, LENGTH};
use crate::support::mapping::Map;
use crate::support::maps::{lines_of, smaps};
use crate::support::must::{must, same_bytes};

tests! {
    EVERYWHERE: maps_stay_the_same;
    TWICE:
        maps_agree_with_the_file,
        maps_of_old_and_new_mappings_agree,
        maps_follow_a_rename,
        maps_say_deleted,
        smaps_are_readable,
        map_files_lead_to_the_file,
        map_files_open_the_file,
        the_descriptor_stays_what_it_was;
}

fn maps_stay_the_same(bed: &Bed) {
    for mut early in Early::both(bed) {
        let before = lines_of(&early.map);
        assert_eq!(before.len(), 1);
        drop(early.open_rw());
        assert_eq!(lines_of(&early.map), before, "after the copy-up");
        early.rewrite(2);
        assert_eq!(lines_of(&early.map), before, "after a write");
        early.assert_current("after a write");
        assert_eq!(lines_of(&early.map), before, "after a touch");
    }
}

#[track_caller]
fn assert_agree(early: &Early) {
    let stat = early.m.stat(&early.name);
    let lines = lines_of(&early.map);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].inode, stat.st_ino);
    let device = (major(stat.st_dev), minor(stat.st_dev));
    assert_eq!(lines[0].device, device);
    assert_eq!(lines[0].path, early.m.at(&early.name).display().to_string());
    assert_eq!(lines[0].rights, "r--s");
    assert_eq!(lines[0].offset, 0);
}

fn maps_agree_with_the_file(bed: &Bed) {
    for mut early in Early::both(bed) {
        assert_agree(&early);
        drop(early.open_rw());
        assert_agree(&early);
        early.rewrite(2);
        assert_agree(&early);
        early.assert_current("after a write");
        assert_agree(&early);
    }
}

fn maps_of_old_and_new_mappings_agree(bed: &Bed) {
    for mut early in Early::both(bed) {
        early.rewrite(2);
        let describe = |map: &Map| {
            let line = lines_of(map).swap_remove(0);
            (line.rights, line.device, line.inode, line.path)
        };
        let old = describe(&early.map);
        let new = Map::shared_read(&early.m.open_read(&early.name), LENGTH);
        assert_eq!(describe(&new), old);
        let writer = Map::shared_read(&early.open_rw(), LENGTH);
        assert_eq!(describe(&writer), old);
        early.assert_current("after a write");
        assert_eq!(describe(&early.map), old);
    }
}

fn maps_follow_a_rename(bed: &Bed) {
    for mut early in Early::both(bed) {
        let new = format!("{}-renamed", early.name);
        early.m.rename(&early.name, &new);
        early.name = new;
        assert_agree(&early);
        early.rewrite(2);
        early.assert_current("after a write");
        assert_agree(&early);
    }
}

fn maps_say_deleted(bed: &Bed) {
    for mut early in Early::both(bed) {
        let writer = early.open_rw();
        let path = early.m.at(&early.name).display().to_string();
        early.m.unlink(&early.name);
        early.write(&writer, 0, b"written without a name");
        early.assert_current("after a write");
        assert_eq!(lines_of(&early.map)[0].path, format!("{path} (deleted)"));
    }
}

fn smaps_are_readable(bed: &Bed) {
    for mut early in Early::both(bed) {
        assert_eq!(smaps(&early.map, "Size"), 20);
        early.rewrite(2);
        smaps(&early.map, "Rss");
        early.assert_current("after a write");
        assert_eq!(smaps(&early.map, "Size"), 20);
        assert_eq!(smaps(&early.map, "Rss"), 20);
        for name in ["smaps_rollup", "numa_maps", "pagemap", "statm"] {
            let path = PathBuf::from("/proc/self").join(name);
            if path.exists() && name != "pagemap" {
                must(name, std::fs::read(path));
            }
        }
    }
}

/// The name in `map_files` of a mapping that is one VMA.
fn map_file(map: &Map) -> PathBuf {
    let line = lines_of(map).swap_remove(0);
    PathBuf::from(format!(
        "/proc/self/map_files/{:x}-{:x}",
        line.start, line.end
    ))
}

fn map_files_lead_to_the_file(bed: &Bed) {
    for mut early in Early::both(bed) {
        let assert_leads = |early: &Early| {
            let target = must("readlink", std::fs::read_link(map_file(&early.map)));
            assert_eq!(target, early.m.at(&early.name));
        };
        assert_leads(&early);
        drop(early.open_rw());
        assert_leads(&early);
        early.rewrite(2);
        assert_leads(&early);
        early.assert_current("after a write");
        assert_leads(&early);
    }
}

fn map_files_open_the_file(bed: &Bed) {
    for mut early in Early::both(bed) {
        let read = |early: &Early| must("open", std::fs::read(map_file(&early.map)));
        same_bytes("before the copy-up", &read(&early), &early.content);
        // Opened for writing by this name, the file is copied up.
        let path = map_file(&early.map);
        let writer = must("open", std::fs::OpenOptions::new().write(true).open(path));
        assert!(bed.upper.exists(&early.name));
        early.write(&writer, 5000, b"by map_files");
        early.assert_current("after a write");
        same_bytes("after a write", &read(&early), &early.content);
        early.rewrite(2);
        same_bytes("after another", &read(&early), &early.content);
    }
}

fn the_descriptor_stays_what_it_was(bed: &Bed) {
    for mut early in Early::both(bed) {
        let file = early.m.open_read(&early.name);
        early.map = Map::shared_read(&file, LENGTH);
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        let (target, stat) = (std::fs::read_link(&link), early.m.stat(&early.name));
        early.rewrite(2);
        early.assert_current("after a write");
        assert_eq!(
            must("readlink", std::fs::read_link(&link)),
            must("readlink", target)
        );
        let now = must("fstat", rustix::fs::fstat(&file));
        assert_eq!((now.st_dev, now.st_ino), (stat.st_dev, stat.st_ino));
    }
}
