// SPDX-License-Identifier: GPL-2.0

//! What a directory lists.

use std::collections::BTreeSet;

use rustix::fs::FileType;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::listing::{self, Entry};
use crate::support::process::{as_user, USER};

tests! {
    EVERYWHERE:
        merged_without_duplicates,
        types_are_those_of_stat,
        numbers_are_those_of_stat,
        numbers_where_layers_were_merged_by_hand,
        numbers_of_copied_up_files_are_those_of_stat,
        two_thousand_entries;
    TWICE:
        numbers_that_the_caller_may_not_look_up,
        whiteouts_are_not_shown,
        dot_and_dot_dot_are_shown_once,
        a_pure_lower_directory,
        a_pure_upper_directory,
        an_opaque_directory,
        the_root,
        empty_directories,
        three_layers,
        names_of_copied_up_and_renamed_files,
        by_an_unprivileged_user,
        a_directory_that_only_root_reads;
}

fn list(m: &Dir, name: &str) -> Vec<Entry> {
    listing::rest(&m.open_read(name))
}

/// Fails unless exactly these names are there, each once, with both dots.
#[track_caller]
fn assert_lists(m: &Dir, name: &str, want: &[&str]) {
    let entries = list(m, name);
    let mut got = listing::names(&entries);
    got.sort_unstable();
    let mut want = want.to_vec();
    want.extend([".", ".."]);
    want.sort_unstable();
    assert_eq!(got, want, "in '{name}'");
}

fn merged_without_duplicates(bed: &Bed) {
    let low = bed.lower.sub("dir");
    let up = bed.upper.sub("dir");
    for name in ["a", "b", "c"] {
        low.file(name, "");
    }
    for name in ["b", "c", "d"] {
        up.file(name, "");
    }
    assert_lists(&bed.mount(), "dir", &["a", "b", "c", "d"]);
}

fn whiteouts_are_not_shown(bed: &Bed) {
    let low = bed.lower.sub("dir");
    let up = bed.upper.sub("dir");
    for name in ["a", "b", "c"] {
        low.file(name, "");
    }
    up.whiteout("b");
    up.whiteout("of-nothing");
    let m = bed.mount();
    assert_lists(&m, "dir", &["a", "c"]);
    m.unlink("dir/a");
    assert_lists(&m, "dir", &["c"]);
}

fn dot_and_dot_dot_are_shown_once(bed: &Bed) {
    bed.lower.sub("merged").sub("inner");
    bed.upper.sub("merged");
    bed.below(1).sub("merged");
    let m = bed.mount();
    for dir in ["", "merged", "merged/inner"] {
        let entries = list(&m, dir);
        for dots in [".", ".."] {
            let count = entries.iter().filter(|entry| entry.name == dots).count();
            assert_eq!(count, 1, "{dots} in '{dir}'");
        }
    }
}

fn types_are_those_of_stat(bed: &Bed) {
    for layer in [
        bed.lower.sub("dir"),
        bed.upper.sub("dir"),
        bed.lower.sub("low"),
    ] {
        let prefix = if layer.path().starts_with(bed.upper.path()) {
            "up"
        } else {
            "low"
        };
        layer.file(&format!("{prefix}-file"), "");
        layer.sub(&format!("{prefix}-dir"));
        layer.symlink("x", &format!("{prefix}-link"));
        layer.node(&format!("{prefix}-fifo"), FileType::Fifo, 0o644, (0, 0));
        layer.node(
            &format!("{prefix}-char"),
            FileType::CharacterDevice,
            0o644,
            (1, 5),
        );
    }
    let m = bed.mount();
    for dir in ["dir", "low"] {
        for entry in list(&m, dir) {
            assert_eq!(entry.kind, m.join(dir).kind(&entry.name), "{}", entry.name);
        }
    }
}

#[track_caller]
fn assert_numbers(m: &Dir, dir: &str) {
    for entry in list(m, dir) {
        if entry.name == ".." && dir.is_empty() {
            continue;
        }
        let stat = m.join(dir).stat(&entry.name);
        assert_eq!(entry.ino, stat.st_ino, "d_ino of '{dir}/{}'", entry.name);
    }
}

fn numbers_are_those_of_stat(bed: &Bed) {
    bed.lower.sub("pure-lower").file("a", "");
    bed.lower.sub("pure-lower/sub");
    bed.upper.sub("pure-upper").file("a", "");
    bed.upper.sub("pure-upper/sub");
    let low = bed.lower.sub("merged");
    low.file("a", "");
    low.file("both", "");
    low.sub("sub").file("low", "");
    let m = bed.mount();
    m.file("merged/b", "");
    m.file("merged/sub/up", "");
    m.file("merged/both", "changed");
    for dir in ["", "pure-lower", "pure-upper", "merged", "merged/sub"] {
        assert_numbers(&m, dir);
    }
}

fn numbers_where_layers_were_merged_by_hand(bed: &Bed) {
    bed.lower.sub("merged").sub("sub");
    bed.upper.sub("merged").sub("sub");
    let m = bed.mount();
    for dir in ["", "merged"] {
        assert_numbers(&m, dir);
    }
}

fn numbers_of_copied_up_files_are_those_of_stat(bed: &Bed) {
    let low = bed.lower.sub("merged");
    low.file("a", "a");
    low.file("b", "b");
    low.sub("sub").file("c", "c");
    let m = bed.mount();
    let before = m.stat("merged/a").st_ino;
    m.append("merged/a", b"more");
    m.append("merged/sub/c", b"more");
    m.sub("pure");
    m.rename("merged/b", "pure/b");
    for dir in ["", "merged", "merged/sub", "pure"] {
        assert_numbers(&m, dir);
    }
    assert_eq!(m.stat("merged/a").st_ino, before);
    let m = bed.remount_fresh();
    for dir in ["", "merged", "merged/sub", "pure"] {
        assert_numbers(&m, dir);
    }
}

fn a_pure_lower_directory(bed: &Bed) {
    let dir = bed.lower.sub("dir");
    dir.file("a", "");
    dir.sub("b");
    assert_lists(&bed.mount(), "dir", &["a", "b"]);
}

fn a_pure_upper_directory(bed: &Bed) {
    let dir = bed.upper.sub("dir");
    dir.file("a", "");
    dir.sub("b");
    let m = bed.mount();
    m.file("dir/c", "");
    assert_lists(&m, "dir", &["a", "b", "c"]);
}

fn an_opaque_directory(bed: &Bed) {
    bed.lower.sub("dir").file("low", "");
    bed.upper.sub("dir").file("up", "");
    bed.upper.opaque("dir");
    assert_lists(&bed.mount(), "dir", &["up"]);
}

fn the_root(bed: &Bed) {
    bed.lower.file("low", "");
    bed.lower.file("gone", "");
    bed.upper.file("up", "");
    bed.upper.whiteout("gone");
    assert_lists(&bed.mount(), "", &["low", "up"]);
}

fn empty_directories(bed: &Bed) {
    bed.lower.sub("low");
    bed.upper.sub("up");
    bed.lower.sub("both");
    bed.upper.sub("both");
    let m = bed.mount();
    for name in ["low", "up", "both"] {
        assert_lists(&m, name, &[]);
    }
}

fn three_layers(bed: &Bed) {
    bed.upper.sub("dir").file("a", "");
    let middle = bed.lower.sub("dir");
    middle.file("b", "");
    middle.whiteout("d");
    let bottom = bed.below(1).sub("dir");
    bottom.file("b", "");
    bottom.file("c", "");
    bottom.file("d", "");
    assert_lists(&bed.mount(), "dir", &["a", "b", "c"]);
}

fn names_of_copied_up_and_renamed_files(bed: &Bed) {
    let dir = bed.lower.sub("dir");
    for name in ["a", "b", "c"] {
        dir.file(name, "");
    }
    let m = bed.mount();
    m.append("dir/a", b"more");
    m.rename("dir/b", "dir/moved");
    assert_lists(&m, "dir", &["a", "c", "moved"]);
    assert_lists(&bed.remount_fresh(), "dir", &["a", "c", "moved"]);
}

fn two_thousand_entries(bed: &Bed) {
    let low = bed.lower.sub("dir");
    let up = bed.upper.sub("dir");
    let mut want = BTreeSet::new();
    for number in 0..2000 {
        let name = format!("entry-number-{number}");
        let layer = if number % 2 == 0 { &low } else { &up };
        match number % 20 {
            8 => {
                low.node(&name, FileType::Fifo, 0o644, (0, 0));
                up.whiteout(&name);
                continue;
            }
            9 => low.node(&name, FileType::Fifo, 0o644, (0, 0)),
            _ => {}
        }
        layer.node(&name, FileType::Fifo, 0o644, (0, 0));
        want.insert(name);
    }
    let m = bed.mount();
    for buffer in [32768, 1024] {
        let entries = listing::rest_by(&m.open_read("dir"), buffer);
        assert_eq!(entries.len(), want.len() + 2, "with a buffer of {buffer}");
        let names: BTreeSet<_> = entries.into_iter().map(|entry| entry.name).collect();
        assert!(want.is_subset(&names));
    }
}

fn by_an_unprivileged_user(bed: &Bed) {
    bed.lower.sub("dir").file("a", "");
    bed.upper.sub("dir").file("b", "");
    bed.upper.whiteout("dir/c");
    let m = bed.mount();
    as_user(USER, || assert_lists(&m, "dir", &["a", "b"]));
}

fn a_directory_that_only_root_reads(bed: &Bed) {
    bed.lower.sub_mode("low", 0o711).file("a", "text");
    bed.lower.sub_mode("both", 0o755);
    bed.upper.sub_mode("both", 0o711).file("a", "text");
    let m = bed.mount();
    as_user(USER, || {
        for name in ["low", "both"] {
            crate::support::must::refused(
                rustix::io::Errno::ACCESS,
                std::fs::read_dir(m.at(name)).map(|_| ()),
            );
            assert_eq!(m.join(name).text("a"), "text");
        }
    });
}

fn numbers_that_the_caller_may_not_look_up(bed: &Bed) {
    let low = bed.lower.sub_mode("dir", 0o744);
    low.file("a", "a");
    let m = bed.mount();
    let before = m.stat("dir/a").st_ino;
    m.append("dir/a", b"more");
    as_user(USER, || {
        let entries = list(&m, "dir");
        let entry = entries.iter().find(|entry| entry.name == "a");
        assert_eq!(entry.expect("an entry").ino, before);
    });
}
