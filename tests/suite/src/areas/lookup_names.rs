// SPDX-License-Identifier: GPL-2.0

//! Directories that are merged from many layers, in which names are looked for so often
//! that not each layer is asked for each.

use rustix::fs::FileType;

use crate::harness::bed::Bed;
use crate::support::counters::Counters;
use crate::support::dir::Dir;
use crate::support::index::remount;

tests! {
    EVERYWHERE: of_all_kinds;
    TWICE: a_layer_that_changes, redirected, created_and_removed, of_directories_within;
    ONCE: few_layers_are_asked, large_directories, hostile_names;
}

/// How many lower layers there are.
const LAYERS: usize = 24;

/// Looks for what is not there until it is known what is.
#[track_caller]
fn look_in_vain(m: &Dir, dir: &str) {
    for number in 0..20 {
        assert!(!m.exists(&format!("{dir}/missing-{number}")));
    }
}

/// Layers that have a directory with a file each, one that all have, and one that each
/// second one has.
fn make(bed: &Bed, dir: &str) {
    for layer in 0..LAYERS {
        let dir = bed.below(layer).sub(dir);
        dir.file(&format!("in-{layer}"), layer.to_string());
        dir.file("in-all", layer.to_string());
        if layer % 2 == 1 {
            dir.file("in-second", layer.to_string());
        }
    }
}

#[track_caller]
fn assert_all(m: &Dir, dir: &str) {
    for layer in 0..LAYERS {
        assert_eq!(m.text(&format!("{dir}/in-{layer}")), layer.to_string());
    }
    assert_eq!(m.text(&format!("{dir}/in-all")), "0");
    assert_eq!(m.text(&format!("{dir}/in-second")), "1");
    assert_eq!(m.names(dir).len(), LAYERS + 2);
}

fn of_all_kinds(bed: &Bed) {
    make(bed, "dir");
    let (last, middle) = (bed.below(LAYERS - 1), bed.below(LAYERS / 2));
    last.file("dir/hidden", "");
    last.sub("dir/sub").file("last", "last");
    middle.whiteout("dir/hidden");
    middle.sub("dir/sub").file("middle", "middle");
    bed.below(3).symlink("in-all", "dir/link");
    bed.below(4).sub("dir/opaque").file("above", "above");
    bed.below(4).opaque("dir/opaque");
    bed.below(5).sub("dir/opaque").file("below", "below");
    bed.below(6).file("dir/changing", "a file");
    bed.below(7).sub("dir/changing").file("in", "");
    let m = bed.mount();
    look_in_vain(&m, "dir");
    assert!(!m.exists("dir/hidden"));
    assert_eq!(m.names("dir/sub"), ["last", "middle"]);
    assert_eq!(m.target("dir/link"), "in-all");
    assert_eq!(m.names("dir/opaque"), ["above"]);
    assert!(!m.exists("dir/opaque/below"));
    assert_eq!(m.kind("dir/changing"), FileType::RegularFile);
    m.rename("dir/in-all", "dir/moved");
    assert!(!m.exists("dir/in-all"));
    m.rename("dir/moved", "dir/in-all");
    for name in ["hidden", "sub", "link", "opaque", "changing"] {
        if m.exists(&format!("dir/{name}")) && m.kind(&format!("dir/{name}")) == FileType::Directory
        {
            for file in m.names(&format!("dir/{name}")) {
                m.unlink(&format!("dir/{name}/{file}"));
            }
            m.rmdir(&format!("dir/{name}"));
        } else if name != "hidden" {
            m.unlink(&format!("dir/{name}"));
        }
        assert!(!m.exists(&format!("dir/{name}")));
    }
    assert_all(&m, "dir");
    assert_all(&bed.remount_fresh(), "dir");
}

fn few_layers_are_asked(bed: &Bed) {
    make(bed, "dir");
    let m = bed.mount();
    look_in_vain(&m, "dir");
    let mut counters = Counters::of(bed, &m);
    for number in 0..100 {
        assert!(!m.exists(&format!("dir/none-{number}")));
    }
    // Upper has no such directory, so nothing is asked at all.
    counters.assert_changed(
        "what none has",
        &[("lookups", 100), ("lookups_negative", 100)],
    );
    m.stat("dir/in-20");
    counters.assert_changed(
        "what one has",
        &[
            ("lookup_layers", 1),
            ("lookups", 1),
            ("lookups_found_lower_16_up", 1),
        ],
    );
}

fn a_layer_that_changes(bed: &Bed) {
    make(bed, "dir");
    let m = bed.mount();
    look_in_vain(&m, "dir");
    bed.below(9).file("dir/added", "added");
    assert_eq!(m.text("dir/added"), "added");
    bed.below(8).rename("dir/in-8", "dir/renamed");
    assert_eq!(m.text("dir/renamed"), "8");
}

fn redirected(bed: &Bed) {
    make(bed, "dir");
    // Of a name that the layers below do not have, and back to one that they have.
    for layer in 0..LAYERS {
        let below = bed.below(layer);
        below.sub("dir/sub").file(&format!("{layer}"), "");
    }
    let m = bed.mount_with("redirect_dir=on");
    m.rename("dir/sub", "dir/moved");
    m.sub("dir/sub").file("new", "");
    m.rename("dir/moved", "dir/again");
    let m = remount(bed, "redirect_dir=on");
    look_in_vain(&m, "dir");
    assert_eq!(m.names("dir/sub"), ["new"]);
    assert_eq!(m.names("dir/again").len(), LAYERS);
    look_in_vain(&m, "dir/again");
    for layer in 0..LAYERS {
        assert!(m.exists(&format!("dir/again/{layer}")));
        assert!(!m.exists(&format!("dir/sub/{layer}")));
    }
}

fn created_and_removed(bed: &Bed) {
    make(bed, "dir");
    let m = bed.mount();
    look_in_vain(&m, "dir");
    for round in 0..3 {
        for layer in 0..LAYERS {
            let name = format!("dir/in-{layer}");
            m.unlink(&name);
            assert!(!m.exists(&name), "{round}");
            assert!(bed.upper.is_whiteout(&name), "{round}");
            m.file(&name, "again");
        }
        m.file("dir/new", "");
        m.unlink("dir/new");
        // Nothing is to be hidden.
        assert!(!bed.upper.exists("dir/new"), "{round}");
    }
}

fn of_directories_within(bed: &Bed) {
    for layer in 0..LAYERS {
        let dir = bed.below(layer).sub("dir");
        for name in ["a", "b", "c"] {
            dir.sub(name).sub("sub").file(&format!("{layer}"), "");
        }
    }
    let m = bed.mount();
    look_in_vain(&m, "dir");
    for name in ["a", "b", "c"] {
        look_in_vain(&m, &format!("dir/{name}"));
        assert_eq!(m.names(&format!("dir/{name}/sub")).len(), LAYERS);
    }
}

fn large_directories(bed: &Bed) {
    const FILES: usize = 3000;

    for layer in 0..3 {
        let dir = bed.below(layer).sub("dir");
        for file in 0..FILES {
            dir.file(&format!("{}", layer * FILES + file), "");
        }
    }
    let m = bed.mount();
    for file in 0..3 * FILES {
        assert!(!m.exists(&format!("dir/x{file}")));
        assert!(m.exists(&format!("dir/{file}")));
    }
    let mut counters = Counters::of(bed, &m);
    assert!(!m.exists("dir/none"));
    counters.assert_changed("all that", &[("lookups", 1), ("lookups_negative", 1)]);
}

fn hostile_names(bed: &Bed) {
    let long = "n".repeat(255);
    for layer in 0..LAYERS {
        let dir = bed.below(layer).sub("dir");
        dir.file(&long, layer.to_string());
        dir.file("...", layer.to_string());
        dir.file("\u{1}\n", layer.to_string());
    }
    let m = bed.mount();
    look_in_vain(&m, "dir");
    for name in [&long, "...", "\u{1}\n"] {
        assert_eq!(m.text(&format!("dir/{name}")), "0");
        m.unlink(&format!("dir/{name}"));
        assert!(!m.exists(&format!("dir/{name}")));
    }
    assert!(m.names("dir").is_empty());
}
