// SPDX-License-Identifier: GPL-2.0

//! What the kernel's slab caches hold for an object.

use super::{Needs, Operation};
use crate::{files::put, samples::Samples, Result};
use rustix::{
    fs::{stat, sync},
    io::Errno,
};
use std::{fs, thread, time::Duration};

pub const OPERATIONS: &[Operation] = &[
    Operation::new(
        "memory-file",
        "memory of a file that was looked up",
        |bed, samples| {
            for i in 0..OBJECTS {
                put(&bed.lower(0), &format!("f{i}"), 0)?;
            }
            bed.enter(&[])?;
            taken_by(samples, OBJECTS, |i| {
                stat(format!("f{i}")).map(drop).map_err(Into::into)
            })
        },
    )
    .bytes(),
    Operation::new(
        "memory-negative",
        "memory of a name that is known to be absent",
        |bed, samples| {
            bed.enter(&[])?;
            taken_by(samples, OBJECTS, |i| match stat(format!("n{i}")) {
                Err(Errno::NOENT) => Ok(()),
                _ => Err("a name should be absent".into()),
            })
        },
    )
    .bytes(),
    Operation::new(
        "memory-mount",
        "memory of a mount among 1,000",
        |bed, samples| {
            let beds = (0..MOUNTS)
                .map(|i| bed.sibling(&format!("mount-{i}")))
                .collect::<Result<Vec<_>>>()?;
            taken_by(samples, MOUNTS, |i| beds[i].mount(&[]))
        },
    )
    .needs(Needs::Overlay)
    .bytes(),
];

const OBJECTS: usize = 5000;
const MOUNTS: usize = 1000;
/// A page of the kernel's for other things, or a batch of objects that goes late, is in one
/// of them.
const ROUNDS: usize = 5;

/// What frees memory after a grace period, and workers, are done by then.
const SETTLE: Duration = Duration::from_millis(200);

/// Measures what some of the objects take at a time.
fn taken_by(
    samples: &mut Samples,
    objects: usize,
    mut object: impl FnMut(usize) -> Result<()>,
) -> Result<()> {
    // What is left of earlier operations must not go meanwhile. What is dirty would stay.
    sync();
    fs::write("/proc/sys/vm/drop_caches", "2")?;
    let mut before = in_slabs()?;
    let some = objects / ROUNDS;
    for round in 0..ROUNDS {
        for i in round * some..(round + 1) * some {
            object(i)?;
        }
        let now = in_slabs()?;
        samples.add(now.saturating_sub(before) / some as u64);
        before = now;
    }
    Ok(())
}

/// Bytes of all objects in slab caches, see slabinfo(5).
fn in_slabs() -> Result<u64> {
    thread::sleep(SETTLE);
    // Objects that each CPU keeps to give them out would count.
    for cache in fs::read_dir("/sys/kernel/slab")? {
        fs::write(cache?.path().join("shrink"), "1")?;
    }
    let mut sum = 0;
    for line in fs::read_to_string("/proc/slabinfo")?.lines().skip(2) {
        let mut fields = line.split_whitespace().skip(1);
        let active: u64 = fields.next().ok_or("no count in slabinfo")?.parse()?;
        let size: u64 = fields.nth(1).ok_or("no size in slabinfo")?.parse()?;
        sum += active * size;
    }
    Ok(sum)
}
