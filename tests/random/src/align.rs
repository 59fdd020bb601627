// SPDX-License-Identifier: GPL-2.0

//! Where one driver has copied something up and the other one need not have.
//!
//! Operations that came to the same can leave one upper layer with a copy more. Nobody is
//! meant to depend on that, so what may have been copied up is copied up on both.

use rustix::{
    fs::{AtFlags, FileType, Timespec, Timestamps, CWD, UTIME_NOW, UTIME_OMIT},
    io::Errno,
};

use crate::{
    op::{Op, Outcome, Step, Target},
    side::Side,
};

/// Copies up what a step that was done may have copied up on one of the two.
pub fn after(step: &Step, outcomes: &[Outcome; 2], sides: &[Side; 2]) {
    if sides[0].has_option("metacopy=on") {
        // C changes the time when it copies the data of a metacopy, which opening it does.
        // rovl keeps it until something is written.
        if let Some(path) = opened_for_writing(&step.op) {
            touch(sides, path);
        }
    }
    match &step.op {
        // C copies a directory up before upper's filesystem finds that it cannot take the
        // place of one that is not empty. rovl looks first.
        Op::Rename { from, to, .. } if outcomes.contains(&Err(Errno::NOTEMPTY)) => {
            let parent = to.rsplit_once('/').map_or(".", |(parent, _)| parent);
            for path in [from.as_str(), parent] {
                copy_up(sides, &Target::Path(path.to_owned()));
            }
        }
        // For attributes C is content with the copy that another name has in the index. For
        // all other changes it gives the name that was used a link of that, as rovl always does.
        Op::SetXattr { target, .. } if sides[0].has_option("index=on") => copy_up(sides, target),
        Op::RemoveXattr { target, .. }
            if sides[0].has_option("index=on") && outcomes[0].is_ok() =>
        {
            copy_up(sides, target);
        }
        _ => {}
    }
}

/// What an operation opens for writing, whether it writes then or not.
fn opened_for_writing(op: &Op) -> Option<&str> {
    match op {
        Op::Open { path, flags, .. }
            if flags & (libc::O_ACCMODE | libc::O_TRUNC) as u32 != libc::O_RDONLY as u32 =>
        {
            Some(path)
        }
        Op::Create { path, .. }
        | Op::Append { path, .. }
        | Op::MapWrite { path, .. }
        | Op::CopyRange { to: path, .. }
        | Op::Clone { to: path, .. }
        | Op::Write {
            target: Target::Path(path),
            ..
        }
        | Op::Truncate {
            target: Target::Path(path),
            ..
        }
        | Op::Allocate {
            target: Target::Path(path),
            ..
        } => Some(path),
        _ => None,
    }
}

/// Sets the modification time to now, if it is a regular file.
fn touch(sides: &[Side; 2], path: &str) {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    for side in sides {
        let path = side.tree.at(path);
        let is_file = rustix::fs::stat(&path)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        if is_file {
            let _ = rustix::fs::utimensat(CWD, path, &times, AtFlags::empty());
        }
    }
}

/// Sets an access time, which is not compared. An error leaves things as they are: if that
/// is not the same on both, it is found.
fn copy_up(sides: &[Side; 2], target: &Target) {
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 1,
            tv_nsec: 0,
        },
        last_modification: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
    };
    for side in sides {
        let _ = match target {
            Target::Path(path) => {
                rustix::fs::utimensat(CWD, side.tree.at(path), &times, AtFlags::SYMLINK_NOFOLLOW)
            }
            Target::Slot(slot) => side.tree.slots[*slot]
                .as_ref()
                .map_or(Ok(()), |fd| rustix::fs::futimens(fd, &times)),
        };
    }
}
