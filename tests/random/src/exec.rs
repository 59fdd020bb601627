// SPDX-License-Identifier: GPL-2.0

//! Doing an operation in a tree: names and attributes. Data is in
//! [`crate::data`].

use std::{fs, io, os::fd::AsFd};

use rustix::{
    fs::{
        AtFlags, Dir, FileType, Gid, IFlags, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid,
        XattrFlags, CWD, UTIME_NOW,
    },
    io::Errno,
};

use crate::{
    creds, data,
    op::{Node, Op, Outcome, Step, Target},
    show,
    tree::{self, Tree},
};

/// Does a step, unless it is about mounts, which is the caller's.
pub fn step(tree: &mut Tree, step: &Step) -> Outcome {
    let _user = creds::as_user(step.user);
    match &step.op {
        Op::Create { .. } | Op::Open { .. } | Op::Tmpfile { .. } | Op::Close(_) => {
            open(tree, &step.op)
        }
        Op::Write { .. }
        | Op::Append { .. }
        | Op::Read { .. }
        | Op::MapWrite { .. }
        | Op::MapRead(_)
        | Op::Truncate { .. }
        | Op::Allocate { .. }
        | Op::CopyRange { .. }
        | Op::Clone { .. }
        | Op::Sync(_) => data::operation(tree, &step.op),
        Op::Chmod { .. } | Op::Chown { .. } | Op::Utimens { .. } | Op::Flag { .. } => {
            attribute(tree, &step.op)
        }
        Op::SetXattr { .. } | Op::GetXattr { .. } | Op::ListXattr(_) | Op::RemoveXattr { .. } => {
            xattr(tree, &step.op)
        }
        Op::Stat { .. } | Op::Readdir(_) | Op::Readlink(_) => look(tree, &step.op),
        Op::DropCaches | Op::Remount | Op::Swap | Op::Compare => Ok(String::new()),
        _ => name(tree, &step.op),
    }
}

/// The error of the standard library as the system's.
pub fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

fn done<T>(result: Result<T, Errno>) -> Outcome {
    result.map(|_| String::new())
}

/// What is open in a slot.
fn slot(tree: &Tree, slot: usize) -> Result<&std::os::fd::OwnedFd, Errno> {
    tree.slots[slot].as_ref().ok_or(Errno::BADF)
}

fn open(tree: &mut Tree, op: &Op) -> Outcome {
    // Without O_NONBLOCK a fifo waits for somebody.
    let always = OFlags::NONBLOCK | OFlags::CLOEXEC;
    let (opened, slot) = match op {
        Op::Create {
            path,
            mode,
            exclusive,
        } => {
            let mut flags = always | OFlags::CREATE | OFlags::WRONLY;
            flags.set(OFlags::EXCL, *exclusive);
            let mode = Mode::from_raw_mode(*mode);
            return done(rustix::fs::open(tree.at(path), flags, mode));
        }
        Op::Open {
            path,
            slot,
            flags,
            mode,
        } => (
            rustix::fs::open(
                tree.at(path),
                always | OFlags::from_bits_retain(*flags),
                Mode::from_raw_mode(*mode),
            ),
            *slot,
        ),
        Op::Tmpfile {
            directory,
            slot,
            mode,
        } => (
            rustix::fs::open(
                tree.at(directory),
                always | OFlags::RDWR | OFlags::TMPFILE,
                Mode::from_raw_mode(*mode),
            ),
            *slot,
        ),
        Op::Close(slot) => {
            return tree.slots[*slot]
                .take()
                .map(|_| String::new())
                .ok_or(Errno::BADF)
        }
        _ => return Err(Errno::NOSYS),
    };
    // A slot is emptied also by an open that fails: what is in it afterwards
    // does not depend on earlier operations then.
    tree.slots[slot] = None;
    tree.slots[slot] = Some(opened?);
    Ok(String::new())
}

fn name(tree: &mut Tree, op: &Op) -> Outcome {
    match op {
        Op::Mkdir { path, mode } => {
            done(rustix::fs::mkdir(tree.at(path), Mode::from_raw_mode(*mode)))
        }
        Op::Rmdir(path) => done(rustix::fs::rmdir(tree.at(path))),
        Op::Unlink(path) => done(rustix::fs::unlink(tree.at(path))),
        Op::RemoveTree(path) => remove_tree(tree, path),
        Op::Rename { from, to, flags } => done(rustix::fs::renameat_with(
            CWD,
            tree.at(from),
            CWD,
            tree.at(to),
            RenameFlags::from_bits_retain(*flags),
        )),
        Op::Link { from, to, follow } => match from {
            Target::Path(from) => {
                let flags = if *follow {
                    AtFlags::SYMLINK_FOLLOW
                } else {
                    AtFlags::empty()
                };
                done(rustix::fs::linkat(
                    CWD,
                    tree.at(from),
                    CWD,
                    tree.at(to),
                    flags,
                ))
            }
            Target::Slot(from) => done(rustix::fs::linkat(
                slot(tree, *from)?,
                "",
                CWD,
                tree.at(to),
                AtFlags::EMPTY_PATH,
            )),
        },
        Op::Symlink { target, path } => done(rustix::fs::symlink(target, tree.at(path))),
        Op::Mknod { path, node, mode } => {
            let (kind, device) = match *node {
                Node::Fifo => (FileType::Fifo, 0),
                Node::Socket => (FileType::Socket, 0),
                Node::Character(major, minor) => {
                    (FileType::CharacterDevice, rustix::fs::makedev(major, minor))
                }
                Node::Block(major, minor) => {
                    (FileType::BlockDevice, rustix::fs::makedev(major, minor))
                }
            };
            done(rustix::fs::mknodat(
                CWD,
                tree.at(path),
                kind,
                Mode::from_raw_mode(*mode),
                device,
            ))
        }
        _ => Err(Errno::NOSYS),
    }
}

/// Removes what can be removed, in the order of the names, and says how much.
fn remove_tree(tree: &Tree, path: &str) -> Outcome {
    let mut names: Vec<_> = fs::read_dir(tree.at(path))
        .map_err(|error| errno(&error))?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()
        .map_err(|error| errno(&error))?;
    names.sort();
    let mut removed = 0;
    for name in names {
        let path = format!("{path}/{name}");
        let stat = match rustix::fs::lstat(tree.at(&path)) {
            Err(Errno::NOENT) if tree.is_of_c => continue,
            stat => stat?,
        };
        if tree::kind(&stat) == "dir" {
            remove_tree(tree, &path)?;
        } else {
            rustix::fs::unlink(tree.at(&path))?;
        }
        removed += 1;
    }
    rustix::fs::rmdir(tree.at(path))?;
    Ok(format!("{removed} names removed"))
}

fn attribute(tree: &mut Tree, op: &Op) -> Outcome {
    match op {
        Op::Chmod { target, mode } => {
            let mode = Mode::from_raw_mode(*mode);
            done(match target {
                Target::Path(path) => rustix::fs::chmod(tree.at(path), mode),
                Target::Slot(number) => rustix::fs::fchmod(slot(tree, *number)?, mode),
            })
        }
        Op::Chown { target, uid, gid } => {
            let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
            done(match target {
                Target::Path(path) => {
                    rustix::fs::chownat(CWD, tree.at(path), uid, gid, AtFlags::SYMLINK_NOFOLLOW)
                }
                Target::Slot(number) => rustix::fs::fchown(slot(tree, *number)?, uid, gid),
            })
        }
        Op::Utimens { target, second } => {
            let time = second.map_or(
                Timespec {
                    tv_sec: 0,
                    tv_nsec: UTIME_NOW,
                },
                |second| Timespec {
                    tv_sec: second,
                    tv_nsec: second % 1000,
                },
            );
            let times = Timestamps {
                last_access: time,
                last_modification: time,
            };
            done(match target {
                Target::Path(path) => {
                    rustix::fs::utimensat(CWD, tree.at(path), &times, AtFlags::SYMLINK_NOFOLLOW)
                }
                Target::Slot(number) => rustix::fs::futimens(slot(tree, *number)?, &times),
            })
        }
        Op::Flag { path, flag, on } => {
            let fd = rustix::fs::open(
                tree.at(path),
                OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW,
                Mode::empty(),
            )?;
            let mut flags = rustix::fs::ioctl_getflags(&fd)?;
            flags.set(IFlags::from_bits_retain(*flag), *on);
            rustix::fs::ioctl_setflags(&fd, flags)?;
            // What else a filesystem says of itself is its own.
            let known = IFlags::IMMUTABLE | IFlags::APPEND | IFlags::NOATIME | IFlags::NODUMP;
            let flags = rustix::fs::ioctl_getflags(&fd)? & known;
            Ok(format!("flags {:#x}", flags.bits()))
        }
        _ => Err(Errno::NOSYS),
    }
}

fn xattr(tree: &mut Tree, op: &Op) -> Outcome {
    match op {
        Op::SetXattr {
            target,
            name,
            value,
            flags,
        } => {
            let flags = XattrFlags::from_bits_retain(*flags);
            done(match target {
                Target::Path(path) => rustix::fs::lsetxattr(tree.at(path), name, value, flags),
                Target::Slot(number) => {
                    rustix::fs::fsetxattr(slot(tree, *number)?, name, value, flags)
                }
            })
        }
        Op::GetXattr { target, name } => {
            let mut buffer = vec![0; 4096];
            let length = match target {
                Target::Path(path) => {
                    rustix::fs::lgetxattr(tree.at(path), name, buffer.as_mut_slice())
                }
                Target::Slot(number) => {
                    rustix::fs::fgetxattr(slot(tree, *number)?, name, buffer.as_mut_slice())
                }
            }?;
            Ok(show::value(&buffer[..length]))
        }
        Op::ListXattr(target) => {
            let mut buffer = vec![0; 16384];
            let length = match target {
                Target::Path(path) => rustix::fs::llistxattr(tree.at(path), buffer.as_mut_slice()),
                Target::Slot(number) => {
                    rustix::fs::flistxattr(slot(tree, *number)?, buffer.as_mut_slice())
                }
            }?;
            Ok(names_in(&buffer[..length]).join(" "))
        }
        Op::RemoveXattr { target, name } => done(match target {
            Target::Path(path) => rustix::fs::lremovexattr(tree.at(path), name),
            Target::Slot(number) => rustix::fs::fremovexattr(slot(tree, *number)?, name),
        }),
        _ => Err(Errno::NOSYS),
    }
}

/// The names in what `listxattr` returned, sorted: their order means nothing.
pub fn names_in(list: &[u8]) -> Vec<String> {
    let mut names: Vec<_> = list
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    names.sort();
    names
}

fn look(tree: &mut Tree, op: &Op) -> Outcome {
    match op {
        Op::Stat { target, follow } => {
            let stat = match target {
                Target::Path(path) if *follow => rustix::fs::stat(tree.at(path)),
                Target::Path(path) => rustix::fs::lstat(tree.at(path)),
                Target::Slot(number) => rustix::fs::fstat(slot(tree, *number)?),
            }?;
            Ok(tree::describe(&stat, &tree.numbers)
                .iter()
                .map(|(field, value)| format!("{field} {value}"))
                .collect::<Vec<_>>()
                .join(", "))
        }
        Op::Readdir(Target::Path(path)) => {
            let fd = rustix::fs::open(
                tree.at(path),
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            listing(tree, Dir::new(fd)?)
        }
        Op::Readdir(Target::Slot(number)) => {
            let fd = slot(tree, *number)?.as_fd().try_clone_to_owned();
            let mut dir = Dir::new(fd.map_err(|error| errno(&error))?)?;
            dir.rewind();
            listing(tree, dir)
        }
        Op::Readlink(path) => Ok(rustix::fs::readlink(tree.at(path), Vec::new())?
            .to_string_lossy()
            .into_owned()),
        _ => Err(Errno::NOSYS),
    }
}

fn listing(tree: &Tree, mut dir: Dir) -> Outcome {
    let mut entries = Vec::new();
    let fd = dir.fd()?.try_clone_to_owned();
    let fd = fd.map_err(|error| errno(&error))?;
    while let Some(entry) = dir.read() {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "." || name == ".." {
            entries.push(name);
            continue;
        }
        let stat = rustix::fs::statat(&fd, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW);
        let number = match stat {
            Err(Errno::NOENT) if tree.is_of_c => continue,
            // A user may list what he may not look up.
            Err(_) => String::from("unknown"),
            // C lists upper's number of what was linked into a directory, or merged by hand.
            Ok(stat) if tree.is_of_c || stat.st_ino == entry.ino() => {
                tree.numbers.show(stat.st_ino)
            }
            Ok(_) => format!("{}, not as stat", tree.numbers.show(entry.ino())),
        };
        entries.push(format!("{name}:{:?}:{number}", entry.file_type()));
    }
    entries.sort();
    Ok(entries.join(" "))
}
