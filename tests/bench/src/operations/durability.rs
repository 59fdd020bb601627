// SPDX-License-Identifier: GPL-2.0

//! What is written to the device beside data that is somebody else's.

use super::{Needs, Operation};
use crate::{bed::Bed, device::Device, files::put, samples::Samples, Result};
use rustix::fs::{sync, syncfs};
use std::fs::{remove_file, File};

pub const OPERATIONS: &[Operation] = &[
    Operation::new(
        "syncfs-beside-dirty",
        "syncfs after 64 KiB were written, beside 128 MiB of dirty data",
        |bed, samples| beside_dirty(bed, samples, |bed| Ok(syncfs(File::open(bed.root())?)?)),
    )
    .needs(Needs::Device)
    .bytes(),
    Operation::new(
        "umount-beside-dirty",
        "unmount after 64 KiB were written, beside 128 MiB of dirty data",
        |bed, samples| beside_dirty(bed, samples, Bed::leave),
    )
    .needs(Needs::DeviceAndMount)
    .bytes(),
];

fn beside_dirty(
    bed: &Bed,
    samples: &mut Samples,
    operate: impl Fn(&Bed) -> Result<()>,
) -> Result<()> {
    let device = Device::of(bed.aside())?;
    for i in 0..3 {
        bed.enter(&[])?;
        sync();
        put(bed.aside(), "unrelated", 128 << 20)?;
        put("".as_ref(), &format!("own-{i}"), 64 << 10)?;
        let before = device.written()?;
        operate(bed)?;
        samples.add(device.written()? - before);
        remove_file(bed.aside().join("unrelated"))?;
        bed.release();
    }
    Ok(())
}
