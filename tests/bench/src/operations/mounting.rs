// SPDX-License-Identifier: GPL-2.0

//! Mounting and unmounting.

use super::{Needs, Operation, MANY};

pub const OPERATIONS: &[Operation] =
    &[
        Operation::new("mount-umount", "mount and unmount", |bed, samples| {
            // The first finds the work directory empty, the others do not.
            bed.mount(&[])?;
            bed.unmount()?;
            for _ in samples.rounds(11) {
                samples.time_busy(|| {
                    bed.mount(&[])?;
                    bed.unmount()
                })?;
            }
            Ok(())
        })
        .layers(MANY)
        .needs(Needs::Mount),
    ];
