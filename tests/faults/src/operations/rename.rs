// SPDX-License-Identifier: GPL-2.0

//! Renames.

use rustix::fs::{RenameFlags, CWD};
use rustix::io::Errno;

use crate::operation::Operation;
use crate::scene::Scene;

const REDIRECT: &str = ",redirect_dir=on";

pub fn all() -> Vec<Operation> {
    vec![
        Operation::new("rename", |scene| rename(scene, "small", "new")),
        Operation::new("rename of upper", |scene| rename(scene, "up", "new")),
        Operation::new("rename of a pure upper directory", |scene| {
            rename(scene, "updir", "new")
        }),
        Operation::new("rename far", |scene| {
            rename(scene, "alone/d", "dir/sub/new")
        }),
        Operation::new("rename over a file", |scene| {
            rename(scene, "small", "dir/a")
        }),
        Operation::new("rename of upper over a file", |scene| {
            rename(scene, "up", "small")
        }),
        Operation::new("rename over a whiteout", |scene| {
            rename(scene, "small", "removed")
        }),
        Operation::new("rename of a directory over a whiteout", |scene| {
            rename(scene, "updir", "removed")
        }),
        Operation::new("rename over an empty directory", |scene| {
            rename(scene, "updir", "empty")
        }),
        Operation::new("rename over a directory of whiteouts", |scene| {
            rename(scene, "updir", "masked")
        }),
        Operation {
            is_beyond_c: true,
            ..Operation::new("rename of a directory without redirects", |scene| {
                rename(scene, "alone", "moved")
            })
        },
        Operation {
            options: REDIRECT,
            ..Operation::new("rename of a directory", |scene| {
                rename(scene, "alone", "moved")
            })
        },
        Operation {
            options: REDIRECT,
            ..Operation::new("rename of a merged directory", |scene| {
                rename(scene, "dir", "alone/moved")
            })
        },
        Operation {
            options: REDIRECT,
            many: true,
            ..Operation::new("rename of a directory of many layers", |scene| {
                rename(scene, "dir", "moved")
            })
        },
        Operation {
            options: ",index=on",
            ..Operation::new("rename of a hard link", |scene| {
                rename(scene, "linked", "new")
            })
        },
        Operation {
            options: ",redirect_dir=on,metacopy=on",
            ..Operation::new("rename, metacopy=on", |scene| {
                rename(scene, "large", "dir/new")
            })
        },
        Operation {
            options: ",redirect_dir=on,index=on,nfs_export=on",
            ..Operation::new("rename, nfs_export=on", |scene| {
                rename(scene, "alone", "dir/moved")
            })
        },
        Operation::new("exchange", |scene| exchange(scene, "small", "alone/d")),
        Operation::new("exchange of upper and lower", |scene| {
            exchange(scene, "up", "dir/sub/c")
        }),
        Operation {
            options: REDIRECT,
            ..Operation::new("exchange of directories", |scene| {
                exchange(scene, "alone", "dir/sub")
            })
        },
        Operation {
            options: REDIRECT,
            ..Operation::new("exchange of a directory and a file", |scene| {
                exchange(scene, "alone", "dir/a")
            })
        },
    ]
}

fn rename(scene: &Scene, from: &str, to: &str) -> Result<(), Errno> {
    rustix::fs::rename(scene.at(from), scene.at(to))
}

fn exchange(scene: &Scene, from: &str, to: &str) -> Result<(), Errno> {
    rustix::fs::renameat_with(
        CWD,
        scene.at(from),
        CWD,
        scene.at(to),
        RenameFlags::EXCHANGE,
    )
}
