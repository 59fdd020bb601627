// SPDX-License-Identifier: GPL-2.0

//! Copying objects up, by opening them to write, and writing.

use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::inject::Outcome;
use crate::layers::{byte, BEHIND_HOLE, LARGE, SMALL};
use crate::operation::Operation;
use crate::scene::Scene;
use crate::snapshot::Field;

/// The file is touched before anything is written.
const SMALL_TIME: &[(&str, Field)] = &[("/small", Field::Modified)];

pub fn all() -> Vec<Operation> {
    vec![
        Operation {
            inspect: |scene, outcome| shows(scene, outcome, 0, SMALL),
            ..Operation::new("open to write", |scene| scene.open("small", OFlags::RDWR))
        },
        Operation {
            inspect: |scene, outcome| {
                let large: Vec<u8> = (0..LARGE).map(byte).collect();
                shows(scene, outcome, 0, &large)
            },
            ..Operation::new("open a large file to write", |scene| {
                scene.open("large", OFlags::RDWR)
            })
        },
        Operation {
            inspect: |scene, outcome| shows(scene, outcome, BEHIND_HOLE, SMALL),
            ..Operation::new("open a sparse file to write", |scene| {
                scene.open("sparse", OFlags::RDWR)
            })
        },
        Operation::new("open far below to write", |scene| {
            scene.open("alone/sub/e", OFlags::RDWR)
        }),
        Operation::new("open what has attributes to write", |scene| {
            scene.open("listed", OFlags::RDWR)
        }),
        Operation {
            // It is copied without what is to be truncated, and opened then.
            may_be_done: true,
            may_change: SMALL_TIME,
            ..Operation::new("open to truncate", |scene| {
                scene.open("small", OFlags::RDWR | OFlags::TRUNC)
            })
        },
        Operation {
            options: ",volatile",
            ..Operation::new("open to write, volatile", |scene| {
                scene.open("small", OFlags::RDWR)
            })
        },
        Operation {
            options: ",userxattr",
            ..Operation::new("open to write, userxattr", |scene| {
                scene.open("small", OFlags::RDWR)
            })
        },
        Operation {
            options: ",index=on",
            ..Operation::new("open a hard link to write", |scene| {
                scene.open("linked", OFlags::RDWR)
            })
        },
        Operation {
            options: ",index=on",
            prepare: |scene| scene.open("linked", OFlags::RDWR),
            ..Operation::new("open the other hard link to write", |scene| {
                scene.open("alias", OFlags::RDWR)
            })
        },
        Operation {
            options: ",index=on,nfs_export=on",
            ..Operation::new("open to write, nfs_export=on", |scene| {
                scene.open("alone/d", OFlags::RDWR)
            })
        },
        Operation {
            options: ",redirect_dir=on,metacopy=on",
            prepare: |scene| rustix::fs::chmod(scene.at("large"), Mode::from_raw_mode(0o600)),
            inspect: |scene, outcome| {
                let large: Vec<u8> = (0..LARGE).map(byte).collect();
                shows(scene, outcome, 0, &large)
            },
            ..Operation::new("open a metacopy to write", |scene| {
                scene.open("large", OFlags::RDWR)
            })
        },
        Operation {
            prepare: |scene| scene.open("small", OFlags::RDONLY),
            inspect: |scene, _| holds(scene, 0, 0, SMALL),
            ..Operation::new("open to write what is open", |scene| {
                scene.open("small", OFlags::RDWR)
            })
        },
        Operation {
            prepare: |scene| {
                scene.open("small", OFlags::RDONLY)?;
                rustix::fs::unlink(scene.at("small"))
            },
            inspect: |scene, _| holds(scene, 0, 0, SMALL),
            is_beyond_c: true,
            ..Operation::new("fchmod of what has no name", |scene| {
                rustix::fs::fchmod(&scene.files[0], Mode::from_raw_mode(0o600))
            })
        },
        Operation {
            prepare: |scene| scene.open("small", OFlags::RDONLY),
            may_change: SMALL_TIME,
            inspect: |scene, outcome| match outcome {
                Outcome::Done => holds(scene, 0, 0, b"Now"),
                Outcome::Failed(_) | Outcome::Killed(_) => holds(scene, 0, 0, SMALL),
            },
            is_beyond_c: true,
            ..Operation::new(
                "open, write and read through an older descriptor",
                |scene| {
                    scene.open("small", OFlags::WRONLY)?;
                    write(scene)
                },
            )
        },
        Operation {
            may_change: SMALL_TIME,
            ..Operation::new("open, write and fsync", |scene| {
                scene.open("small", OFlags::WRONLY)?;
                write(scene)?;
                rustix::fs::fsync(scene.file()?)
            })
        },
        Operation {
            may_change: SMALL_TIME,
            ..Operation::new("open, write and syncfs", |scene| {
                scene.open("small", OFlags::WRONLY)?;
                write(scene)?;
                rustix::fs::syncfs(scene.file()?)
            })
        },
        Operation {
            may_change: &[("/large", Field::Modified)],
            ..Operation::new("open and punch a hole", |scene| {
                scene.open("large", OFlags::RDWR)?;
                let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                rustix::fs::fallocate(scene.file()?, flags, 4096, 8192)
            })
        },
        Operation {
            prepare: |scene| {
                scene.open("small", OFlags::RDONLY)?;
                scene.open("up", OFlags::WRONLY)
            },
            may_change: &[("/up", Field::Modified)],
            ..Operation::new("copy_file_range", |scene| {
                let (from, to) = (&scene.files[0], scene.file()?);
                let copied = rustix::fs::copy_file_range(from, Some(&mut 0), to, Some(&mut 0), 8);
                whole(copied, 8)
            })
        },
        Operation::new("chmod of a large file", |scene| chmod(scene, "large")),
        Operation::new("chmod of a directory", |scene| chmod(scene, "alone/sub")),
        Operation::new("chmod of a merged directory", |scene| chmod(scene, "dir")),
        Operation::new("chmod of a device", |scene| chmod(scene, "device")),
        Operation::new("chmod of a fifo", |scene| chmod(scene, "fifo")),
        Operation {
            options: ",redirect_dir=on,metacopy=on",
            ..Operation::new("chmod, metacopy=on", |scene| chmod(scene, "large"))
        },
        Operation::new("chown of a symlink", |scene| {
            let owner = Some(rustix::fs::Uid::from_raw(5));
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(rustix::fs::CWD, scene.at("symlink"), owner, None, flags)
        }),
    ]
}

fn chmod(scene: &Scene, name: &str) -> Result<(), Errno> {
    rustix::fs::chmod(scene.at(name), Mode::from_raw_mode(0o601))
}

fn write(scene: &Scene) -> Result<(), Errno> {
    whole(rustix::io::pwrite(scene.file()?, b"Now", 0), 3)
}

/// All of it has to be copied at once.
fn whole(copied: Result<usize, Errno>, length: usize) -> Result<(), Errno> {
    match copied? {
        copied if copied == length => Ok(()),
        _ => Err(Errno::BADMSG),
    }
}

/// The file that was opened, if it was, has this in it.
fn shows(scene: &Scene, outcome: Outcome, at: u64, what: &[u8]) -> Result<(), String> {
    match outcome {
        Outcome::Done => holds(scene, scene.files.len() - 1, at, what),
        Outcome::Failed(_) | Outcome::Killed(_) => Ok(()),
    }
}

fn holds(scene: &Scene, number: usize, at: u64, what: &[u8]) -> Result<(), String> {
    let mut buffer = vec![0; what.len()];
    match scene.files[number].read_exact_at(&mut buffer, at) {
        Ok(()) if buffer == what => Ok(()),
        Ok(()) => Err("an open file shows something else".into()),
        Err(error) => Err(format!("read: {error}")),
    }
}
