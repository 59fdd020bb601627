// SPDX-License-Identifier: GPL-2.0

//! Operations that change nothing.

use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, StatxFlags, CWD};
use rustix::io::Errno;

use crate::layers::SMALL;
use crate::operation::Operation;
use crate::scene::Scene;

pub fn all() -> Vec<Operation> {
    vec![
        Operation::new("lookup", |scene| look_up(scene, "alone/sub/e")),
        Operation {
            many: true,
            ..Operation::new("lookup in many layers", |scene| look_up(scene, "dir/sub/c"))
        },
        Operation {
            many: true,
            ..Operation::new("lookup of what is not there", |scene| {
                match look_up(scene, "dir/none") {
                    Err(Errno::NOENT) => Ok(()),
                    Ok(()) => Err(Errno::EXIST),
                    other => other,
                }
            })
        },
        Operation::new("lookup of a whiteout", |scene| {
            match look_up(scene, "gone") {
                Err(Errno::NOENT) => Ok(()),
                Ok(()) => Err(Errno::EXIST),
                other => other,
            }
        }),
        Operation {
            options: ",redirect_dir=on",
            prepare: |scene| {
                rustix::fs::rename(scene.at("alone"), scene.at("moved"))?;
                scene.unmount()?;
                scene.mount()
            },
            ..Operation::new("lookup by a redirect", |scene| {
                look_up(scene, "moved/sub/e")
            })
        },
        Operation {
            options: ",index=on",
            prepare: |scene| {
                rustix::fs::chmod(scene.at("linked"), Mode::from_raw_mode(0o600))?;
                scene.unmount()?;
                scene.mount()
            },
            ..Operation::new("lookup by the index", |scene| look_up(scene, "alias"))
        },
        Operation {
            data_only: "base",
            options: ",redirect_dir=on,metacopy=on",
            ..Operation::new("read of lazy data", |scene| read(scene, "lazy"))
        },
        Operation {
            prepare: |scene| scene.open("dir", OFlags::RDONLY),
            ..Operation::new("readdir", |scene| list(scene, 6))
        },
        Operation {
            many: true,
            prepare: |scene| scene.open("dir", OFlags::RDONLY),
            ..Operation::new("readdir of many layers", |scene| list(scene, 18))
        },
        Operation {
            prepare: |scene| {
                rustix::fs::unlink(scene.at("dir/a"))?;
                scene.open("dir", OFlags::RDONLY)?;
                list(scene, 5)?;
                let mode = Mode::from_raw_mode(0o700);
                rustix::fs::mkdir(scene.at("dir/new"), mode)
            },
            ..Operation::new("readdir after a change", |scene| {
                rustix::fs::seek(scene.file()?, rustix::fs::SeekFrom::Start(0))?;
                list(scene, 6)
            })
        },
        Operation::new("read", |scene| read(scene, "small")),
        Operation::new("readlink", |scene| {
            rustix::fs::readlink(scene.at("symlink"), Vec::with_capacity(4096)).map(drop)
        }),
        Operation::new("getxattr", |scene| {
            let mut value = [0; 64];
            let attribute = crate::acl::ACCESS;
            rustix::fs::getxattr(scene.at("listed"), attribute, &mut value).map(drop)
        }),
        Operation::new("listxattr", |scene| {
            let mut names = [0; 256];
            rustix::fs::listxattr(scene.at("listed"), &mut names).map(drop)
        }),
    ]
}

fn look_up(scene: &Scene, name: &str) -> Result<(), Errno> {
    let (flags, mask) = (AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS);
    rustix::fs::statx(CWD, scene.at(name), flags, mask).map(drop)
}

fn read(scene: &mut Scene, name: &str) -> Result<(), Errno> {
    scene.open(name, OFlags::RDONLY)?;
    let mut buffer = [0; 4096];
    match rustix::io::read(scene.file()?, &mut buffer)? {
        length if buffer[..length] == *SMALL => Ok(()),
        _ => Err(Errno::BADMSG),
    }
}

/// Lists what is open from where it stands; there have to be so many names.
fn list(scene: &Scene, names: usize) -> Result<(), Errno> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(scene.file()?.as_fd(), &mut buffer);
    let mut found = 0;
    while let Some(entry) = entries.next() {
        entry?;
        found += 1;
    }
    match found == names {
        true => Ok(()),
        false => Err(Errno::BADMSG),
    }
}
