// SPDX-License-Identifier: GPL-2.0

//! New objects and new names.

use rustix::fs::{AtFlags, FileType, Mode, OFlags, CWD};
use rustix::io::Errno;

use crate::operation::Operation;
use crate::scene::Scene;

pub fn all() -> Vec<Operation> {
    vec![
        Operation {
            // The file is there before it is opened, on any filesystem.
            may_be_done: true,
            ..Operation::new("open with O_CREAT", |scene| {
                scene.open("new", OFlags::RDWR | OFlags::CREATE)
            })
        },
        Operation::new("create", |scene| create(scene, "new")),
        Operation::new("create in a lower directory", |scene| {
            create(scene, "alone/sub/new")
        }),
        Operation::new("create under a default ACL", |scene| {
            create(scene, "default/new")
        }),
        Operation::new("create over a whiteout", |scene| create(scene, "removed")),
        Operation::new("mkdir", |scene| mkdir(scene, "new")),
        Operation::new("mkdir in a merged directory", |scene| {
            mkdir(scene, "dir/new")
        }),
        Operation::new("mkdir over a whiteout", |scene| mkdir(scene, "removed")),
        Operation::new("mknod", |scene| mknod(scene, "new")),
        Operation::new("mknod over a whiteout", |scene| mknod(scene, "removed")),
        Operation::new("symlink", |scene| symlink(scene, "new")),
        Operation::new("symlink over a whiteout", |scene| symlink(scene, "removed")),
        Operation::new("link", |scene| link(scene, "small", "dir/new")),
        Operation::new("link of upper", |scene| link(scene, "up", "new")),
        Operation::new("link over a whiteout", |scene| link(scene, "up", "removed")),
        Operation {
            options: ",index=on",
            ..Operation::new("link, index=on", |scene| link(scene, "linked", "new"))
        },
        Operation {
            options: ",redirect_dir=on,metacopy=on",
            ..Operation::new("link, metacopy=on", |scene| link(scene, "large", "new"))
        },
        Operation {
            options: ",index=on,nfs_export=on",
            ..Operation::new("link, nfs_export=on", |scene| link(scene, "small", "new"))
        },
        Operation::new("O_TMPFILE", |scene| {
            scene.open("dir", OFlags::RDWR | OFlags::TMPFILE)
        }),
        Operation {
            prepare: |scene| {
                scene.open("dir", OFlags::RDWR | OFlags::TMPFILE)?;
                rustix::io::write(scene.file()?, b"data").map(drop)
            },
            ..Operation::new("link of an O_TMPFILE", link_tmpfile)
        },
        Operation {
            prepare: |scene| {
                scene.open("dir", OFlags::RDWR | OFlags::TMPFILE)?;
                rustix::io::write(scene.file()?, b"data").map(drop)
            },
            ..Operation::new("link of an O_TMPFILE over a whiteout", |scene| {
                rustix::fs::linkat(
                    scene.file()?,
                    "",
                    CWD,
                    scene.at("removed"),
                    AtFlags::EMPTY_PATH,
                )
            })
        },
    ]
}

fn create(scene: &Scene, name: &str) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(0o640);
    rustix::fs::mknodat(CWD, scene.at(name), FileType::RegularFile, mode, 0)
}

fn link_tmpfile(scene: &mut Scene) -> Result<(), Errno> {
    rustix::fs::linkat(
        scene.file()?,
        "",
        CWD,
        scene.at("dir/new"),
        AtFlags::EMPTY_PATH,
    )
}

fn mkdir(scene: &Scene, name: &str) -> Result<(), Errno> {
    rustix::fs::mkdir(scene.at(name), Mode::from_raw_mode(0o750))
}

fn mknod(scene: &Scene, name: &str) -> Result<(), Errno> {
    let device = rustix::fs::makedev(1, 5);
    let mode = Mode::from_raw_mode(0o640);
    rustix::fs::mknodat(CWD, scene.at(name), FileType::BlockDevice, mode, device)
}

fn symlink(scene: &Scene, name: &str) -> Result<(), Errno> {
    rustix::fs::symlink("to", scene.at(name))
}

fn link(scene: &Scene, from: &str, to: &str) -> Result<(), Errno> {
    rustix::fs::link(scene.at(from), scene.at(to))
}
