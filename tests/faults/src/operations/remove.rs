// SPDX-License-Identifier: GPL-2.0

//! Removals.

use std::os::unix::fs::FileExt;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::layers::SMALL;
use crate::operation::Operation;
use crate::scene::Scene;

pub fn all() -> Vec<Operation> {
    vec![
        Operation::new("unlink", |scene| unlink(scene, "small")),
        Operation::new("unlink of upper", |scene| unlink(scene, "up")),
        Operation::new("unlink far below", |scene| unlink(scene, "alone/sub/e")),
        Operation::new("unlink in a merged directory", |scene| {
            unlink(scene, "dir/b")
        }),
        Operation {
            prepare: |scene| scene.open("small", OFlags::RDWR),
            inspect: |scene, _| {
                let mut buffer = [0; SMALL.len()];
                let got = scene.files[0].read_exact_at(&mut buffer, 0);
                match got {
                    Ok(()) if buffer == SMALL => Ok(()),
                    other => Err(format!("the removed file: {other:?}")),
                }
            },
            ..Operation::new("unlink of what was copied up", |scene| {
                unlink(scene, "small")
            })
        },
        Operation {
            options: ",index=on",
            ..Operation::new("unlink of a hard link", |scene| unlink(scene, "linked"))
        },
        Operation {
            options: ",index=on",
            prepare: |scene| {
                scene.open("linked", OFlags::RDWR)?;
                unlink(scene, "linked")
            },
            ..Operation::new("unlink of the last hard link", |scene| {
                unlink(scene, "alias")
            })
        },
        Operation {
            options: ",index=on,nfs_export=on",
            ..Operation::new("unlink, nfs_export=on", |scene| unlink(scene, "small"))
        },
        Operation::new("rmdir", |scene| rmdir(scene, "empty")),
        Operation {
            prepare: |scene| unlink(scene, "updir/f"),
            ..Operation::new("rmdir of upper", |scene| rmdir(scene, "updir"))
        },
        Operation::new("rmdir of a directory of whiteouts", |scene| {
            rmdir(scene, "masked")
        }),
        Operation {
            prepare: |scene| {
                unlink(scene, "dir/sub/c")?;
                rmdir(scene, "dir/sub")?;
                ["dir/a", "dir/b", "dir/x"]
                    .iter()
                    .try_for_each(|name| unlink(scene, name))
            },
            ..Operation::new("rmdir of a merged directory", |scene| rmdir(scene, "dir"))
        },
        Operation {
            options: ",index=on,nfs_export=on",
            ..Operation::new("rmdir, nfs_export=on", |scene| rmdir(scene, "empty"))
        },
    ]
}

fn unlink(scene: &Scene, name: &str) -> Result<(), Errno> {
    rustix::fs::unlink(scene.at(name))
}

fn rmdir(scene: &Scene, name: &str) -> Result<(), Errno> {
    rustix::fs::rmdir(scene.at(name))
}
