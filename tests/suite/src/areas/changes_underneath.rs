// SPDX-License-Identifier: GPL-2.0

//! Layers that somebody changes while they are mounted. What the overlay shows then is
//! not defined; but nothing crashes, hangs or stays behind, and what was mounted can be
//! unmounted, and mounted again.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use rustix::fs::{renameat_with, RenameFlags, CWD};

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::process::Child;

tests! {
    EVERYWHERE:
        of_lower,
        of_upper,
        of_lower_with_all_features,
        of_upper_with_all_features;
    ONCE: of_the_work_directory, all_the_time;
}

type Change = (&'static str, fn(&Dir));

/// What is done to a layer. That it works depends on the layer.
const CHANGES: &[Change] = &[
    ("file removed", |l| drop(fs::remove_file(l.at("dir/file")))),
    ("file renamed", |l| {
        drop(fs::rename(l.at("dir/file"), l.at("dir/other")));
    }),
    ("file moved", |l| {
        drop(fs::rename(l.at("dir/file"), l.at("moved")))
    }),
    ("file replaced by a directory", |l| {
        let _ = fs::remove_file(l.at("dir/file"));
        let _ = fs::create_dir(l.at("dir/file"));
    }),
    ("file replaced by a symlink", |l| {
        let _ = fs::remove_file(l.at("dir/file"));
        let _ = std::os::unix::fs::symlink("/etc/passwd", l.at("dir/file"));
    }),
    ("file replaced by a whiteout", |l| {
        let _ = fs::remove_file(l.at("dir/file"));
        l.whiteout("dir/file");
    }),
    ("file replaced by another", |l| {
        let _ = fs::write(l.at("dir/new"), "new");
        let _ = fs::rename(l.at("dir/new"), l.at("dir/file"));
    }),
    ("file truncated", |l| {
        let _ = OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(l.at("dir/file"));
    }),
    ("file grown", |l| {
        drop(fs::write(l.at("dir/file"), vec![7; 100_000]))
    }),
    ("directory removed", |l| {
        drop(fs::remove_dir_all(l.at("dir")))
    }),
    ("directory renamed", |l| {
        drop(fs::rename(l.at("dir"), l.at("dir2")))
    }),
    ("directory moved into another", |l| {
        drop(fs::rename(l.at("dir"), l.at("tree/dir")));
    }),
    ("directory replaced by a file", |l| {
        let _ = fs::remove_dir_all(l.at("dir"));
        let _ = fs::write(l.at("dir"), "now a file");
    }),
    ("directory replaced by a whiteout", |l| {
        let _ = fs::remove_dir_all(l.at("dir"));
        l.whiteout("dir");
    }),
    ("directories exchanged", |l| {
        let _ = renameat_with(CWD, l.at("dir"), CWD, l.at("tree"), RenameFlags::EXCHANGE);
    }),
    ("file and directory exchanged", |l| {
        let _ = renameat_with(CWD, l.at("dir"), CWD, l.at("file"), RenameFlags::EXCHANGE);
    }),
    ("a directory within itself", |l| {
        let _ = fs::rename(l.at("tree/a"), l.at("a"));
        let _ = fs::rename(l.at("tree"), l.at("a/b/tree"));
    }),
    ("made opaque", |l| {
        let _ = fs::create_dir(l.at("dir"));
        l.opaque("dir");
    }),
    ("a redirect", |l| {
        let _ = fs::create_dir(l.at("dir"));
        l.set_xattr("dir", "trusted.overlay.redirect", b"/tree/a");
    }),
    ("a metacopy", |l| {
        let _ = fs::write(l.at("file"), "");
        l.set_xattr("file", "trusted.overlay.metacopy", b"");
    }),
    ("nothing may be entered", |l| l.chmod("", 0)),
    ("everything removed", |l| {
        for name in l.names("") {
            let _ = fs::remove_dir_all(l.at(&name));
            let _ = fs::remove_file(l.at(&name));
        }
    }),
];

#[track_caller]
fn fill(layer: &Dir, mark: &str) {
    layer.sub("dir").file("file", format!("dir/file of {mark}"));
    layer.file("dir/more", mark);
    layer.file("file", format!("file of {mark}"));
    layer.link("file", "link");
    layer.sub("tree").sub("a").sub("b").file("deep", mark);
    layer.symlink("dir/file", "symlink");
}

/// What is open before a change.
struct Held {
    files: Vec<File>,
    dirs: Vec<fs::ReadDir>,
}

fn hold(m: &Dir) -> Held {
    let mut dirs = Vec::new();
    for name in ["", "dir", "tree", "tree/a/b"] {
        if let Ok(mut dir) = fs::read_dir(m.at(name)) {
            let _ = dir.next();
            dirs.push(dir);
        }
    }
    let open = |name: &str, write| {
        OpenOptions::new()
            .read(true)
            .write(write)
            .open(m.at(name))
            .ok()
    };
    Held {
        files: [
            open("dir/file", false),
            open("file", true),
            open("tree/a/b/deep", false),
            open("dir", false),
        ]
        .into_iter()
        .flatten()
        .collect(),
        dirs,
    }
}

/// Looks at and changes everything. Whatever it answers is right.
fn use_all(m: &Dir, held: Held) {
    for mut file in held.files {
        let _ = file.read(&mut [0; 64]);
        let _ = file.write_all(b"written");
        let _ = file.metadata();
        let _ = file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o640));
        let _ = file.sync_all();
    }
    for dir in held.dirs {
        for entry in dir.flatten() {
            let _ = entry.metadata();
        }
    }
    let paths = [
        "",
        "dir",
        "dir/file",
        "dir/more",
        "dir/other",
        "file",
        "link",
        "symlink",
        "tree",
        "tree/a",
        "tree/a/b",
        "tree/a/b/deep",
        "moved",
        "dir2",
        "dir2/file",
        "tree/dir",
        "a",
        "a/b/tree",
    ];
    for path in paths {
        let at = m.at(path);
        let _ = fs::symlink_metadata(&at);
        let _ = fs::metadata(&at);
        let _ = fs::read(&at);
        for entry in fs::read_dir(&at).into_iter().flatten().flatten() {
            let _ = entry.metadata();
        }
        let _ = rustix::fs::getxattr(&at, "user.none", &mut [0_u8; 8]);
        let _ = fs::set_permissions(&at, std::os::unix::fs::PermissionsExt::from_mode(0o755));
    }
    for (number, path) in paths.iter().enumerate().skip(1) {
        let at = m.at(path);
        let _ = OpenOptions::new()
            .append(true)
            .open(&at)
            .map(|mut file| file.write_all(b"+"));
        let _ = fs::hard_link(&at, m.at(&format!("{path}-link")));
        let _ = fs::rename(&at, m.at(&format!("{path}-renamed")));
        let _ = fs::rename(m.at(&format!("{path}-renamed")), &at);
        let _ = fs::write(m.at(&format!("{path}/new-{number}")), "");
        let _ = fs::create_dir(m.at(&format!("{path}/new-dir")));
    }
    for path in paths.iter().rev() {
        let _ = fs::remove_file(m.at(path));
        let _ = fs::remove_dir(m.at(path));
    }
}

/// Each change, by itself, of layers of its own.
#[track_caller]
fn each(bed: &Bed, layer: fn(&[Dir; 4]) -> &Dir, options: &str) {
    for (number, (what, change)) in CHANGES.iter().enumerate() {
        let lower = [0, 1].map(|depth| bed.below(depth).sub(&format!("change-{number}")));
        let base = bed.aside(&format!("change-{number}"));
        let dirs = [
            lower[0].clone(),
            lower[1].clone(),
            base.sub("u"),
            base.sub("w"),
        ];
        fill(&dirs[0], "first");
        fill(&dirs[1], "second");
        fill(&dirs[2], "upper");
        let mount = format!(
            "lowerdir={}:{},upperdir={},workdir={}{options}",
            dirs[0], dirs[1], dirs[2], dirs[3]
        );
        let m = bed
            .try_mount(&mount)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let held = hold(&m);
        change(layer(&dirs));
        use_all(&m, held);
        bed.umount();
        let m = bed
            .try_mount(&mount)
            .unwrap_or_else(|error| panic!("{what}, then: {error}"));
        use_all(&m, hold(&m));
        bed.umount();
        layer(&dirs).chmod("", 0o755);
    }
}

const FEATURES: &str = ",redirect_dir=on,index=on,metacopy=on,xino=on";

fn of_lower(bed: &Bed) {
    each(bed, |dirs| &dirs[0], "");
}

fn of_upper(bed: &Bed) {
    each(bed, |dirs| &dirs[2], "");
}

fn of_lower_with_all_features(bed: &Bed) {
    each(bed, |dirs| &dirs[1], FEATURES);
}

fn of_upper_with_all_features(bed: &Bed) {
    each(bed, |dirs| &dirs[2], FEATURES);
}

fn of_the_work_directory(bed: &Bed) {
    fill(&bed.lower, "lower");
    for (number, options) in ["", FEATURES, ",volatile", ",nfs_export=on"]
        .iter()
        .enumerate()
    {
        let base = bed.aside(&format!("work-{number}"));
        let (upper, work) = (base.sub("u"), base.sub("w"));
        let mount = format!(
            "lowerdir={},upperdir={upper},workdir={work}{options}",
            bed.lower
        );
        let m = bed.try_mount(&mount).expect("mount");
        let held = hold(&m);
        for name in work.names("") {
            let _ = fs::remove_dir_all(work.at(&name));
        }
        use_all(&m, held);
        let _ = fs::create_dir(work.at("work"));
        let _ = fs::rename(work.path(), base.at("w2"));
        use_all(&m, hold(&m));
        bed.umount();
    }
}

/// Changes of both layers by others while the overlay is used.
fn all_the_time(bed: &Bed) {
    fill(&bed.lower, "lower");
    fill(&bed.upper, "upper");
    let m = bed.mount_with("redirect_dir=on,metacopy=on");
    let children: Vec<_> = [bed.lower.clone(), bed.upper.clone()]
        .into_iter()
        .map(|layer| {
            Child::spawn(move || loop {
                for (_, change) in CHANGES.iter().filter(|(what, _)| !what.contains("entered")) {
                    let _ = std::panic::catch_unwind(|| change(&layer));
                }
                let _ = std::panic::catch_unwind(|| fill(&layer, "again"));
            })
        })
        .collect();
    // On an emulated machine with checkers it is fewer rounds.
    let end = Instant::now() + Duration::from_secs(10);
    for _ in 0..200 {
        use_all(&m, hold(&m));
        if Instant::now() > end {
            break;
        }
    }
    for child in children {
        child.kill();
        child.wait();
    }
}
