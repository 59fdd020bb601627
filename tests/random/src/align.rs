// SPDX-License-Identifier: GPL-2.0

//! Where one driver has copied something up and the other one need not have.
//!
//! Operations that came to the same can leave one upper layer with a copy more. Nobody is
//! meant to depend on that, so what may have been copied up is copied up on both.

use rustix::{
    fs::{AtFlags, Timespec, Timestamps, CWD, UTIME_OMIT},
    io::Errno,
};

use crate::{
    op::{Op, Outcome, Step, Target},
    side::Side,
};

/// Copies up what a step that was done may have copied up on one of the two.
pub fn after(step: &Step, outcomes: &[Outcome; 2], sides: &[Side; 2]) {
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
