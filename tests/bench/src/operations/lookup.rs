// SPDX-License-Identifier: GPL-2.0

//! Finding objects by their names.

use super::{Operation, MANY};
use crate::{
    bed::Bed,
    files::{merge, put},
    samples::Samples,
    Result,
};
use rustix::{
    fs::{access, fstat, getxattr, stat, Access},
    io::Errno,
};
use std::{ffi::CString, fs::File};

pub const OPERATIONS: &[Operation] = &[
    Operation::new("stat-hot-1", "stat, cached", |bed, samples| {
        stat_hot(bed, samples, "f")
    }),
    Operation::new(
        "stat-hot-4",
        "stat, cached, 4 components",
        |bed, samples| stat_hot(bed, samples, "a/b/c/f"),
    ),
    Operation::new("fstat", "fstat of a lower file", fstat_lower),
    Operation::new("access", "access, cached", access_hot),
    Operation::new("getxattr", "getxattr of a lower file", getxattr_lower),
    Operation::new(
        "negative-hot",
        "stat of an absent name, cached",
        negative_hot,
    ),
    Operation::new(
        "stat-cold-1",
        "first stat of a file in the root",
        |bed, samples| stat_cold(bed, samples, ""),
    ),
    Operation::new(
        "stat-cold-4",
        "first stat of a file and of three directories above it",
        |bed, samples| stat_cold(bed, samples, "/b/c/f"),
    ),
    Operation::new(
        "lookup-cold",
        "first stat of a file of the lowest layer in a merged directory",
        lookup_cold,
    )
    .layers(MANY),
    Operation::new(
        "negative-cold",
        "first stat of an absent name in a merged directory",
        negative_cold,
    )
    .layers(MANY),
    Operation::new(
        "lookup-cold-dir",
        "first stat of a merged directory and of a file in it",
        lookup_cold_dir,
    )
    .layers(MANY),
];

const ROUNDS: usize = 41;

fn stat_hot(bed: &Bed, samples: &mut Samples, name: &str) -> Result<()> {
    put(&bed.lower(0), name, 0)?;
    bed.enter(&[])?;
    let name = CString::new(name)?;
    stat(&*name)?;
    for _ in samples.rounds(ROUNDS) {
        samples.time(|| Ok(stat(&*name)?))?;
    }
    Ok(())
}

fn fstat_lower(bed: &Bed, samples: &mut Samples) -> Result<()> {
    put(&bed.lower(0), "f", 0)?;
    bed.enter(&[])?;
    let file = File::open("f")?;
    for _ in samples.rounds(ROUNDS) {
        samples.time(|| Ok(fstat(&file)?))?;
    }
    Ok(())
}

fn access_hot(bed: &Bed, samples: &mut Samples) -> Result<()> {
    put(&bed.lower(0), "f", 0)?;
    bed.enter(&[])?;
    access(c"f", Access::READ_OK)?;
    for _ in samples.rounds(ROUNDS) {
        samples.time(|| Ok(access(c"f", Access::READ_OK)?))?;
    }
    Ok(())
}

fn getxattr_lower(bed: &Bed, samples: &mut Samples) -> Result<()> {
    put(&bed.lower(0), "f", 0)?;
    rustix::fs::setxattr(
        bed.lower(0).join("f"),
        c"trusted.bench",
        b"value",
        rustix::fs::XattrFlags::empty(),
    )?;
    bed.enter(&[])?;
    let mut value = [0u8; 16];
    for _ in samples.rounds(ROUNDS) {
        samples.time(|| Ok(getxattr(c"f", c"trusted.bench", &mut value)?))?;
    }
    Ok(())
}

/// What a stat of a name that is not there says.
fn absent(name: &CString) -> Result<()> {
    match stat(&**name) {
        Err(Errno::NOENT) => Ok(()),
        other => Err(format!("{name:?} should be absent: {other:?}").into()),
    }
}

fn negative_hot(bed: &Bed, samples: &mut Samples) -> Result<()> {
    put(&bed.lower(0), "f", 0)?;
    bed.enter(&[])?;
    let name = c"absent".to_owned();
    absent(&name)?;
    for _ in samples.rounds(ROUNDS) {
        samples.time(|| absent(&name))?;
    }
    Ok(())
}

/// Names of objects of which each is looked up once.
fn names(samples: &Samples, before: &str, after: &str) -> Result<Vec<CString>> {
    samples
        .rounds(ROUNDS)
        .map(|i| Ok(CString::new(format!("{before}{i}{after}"))?))
        .collect()
}

fn stat_each(samples: &mut Samples, names: &[CString]) -> Result<()> {
    for name in names {
        samples.time(|| Ok(stat(&**name)?))?;
    }
    Ok(())
}

fn stat_cold(bed: &Bed, samples: &mut Samples, after: &str) -> Result<()> {
    let names = names(samples, "f", after)?;
    for name in &names {
        put(&bed.bottom(), name.to_str()?, 0)?;
    }
    bed.enter(&[])?;
    stat_each(samples, &names)
}

fn lookup_cold(bed: &Bed, samples: &mut Samples) -> Result<()> {
    merge(bed, "d", 8)?;
    let names = names(samples, "d/f", "")?;
    for name in &names {
        put(&bed.bottom(), name.to_str()?, 0)?;
    }
    bed.enter(&[])?;
    // Whatever is set up once a directory is there from here on.
    stat(c"d/own-0-0")?;
    stat_each(samples, &names)
}

fn negative_cold(bed: &Bed, samples: &mut Samples) -> Result<()> {
    merge(bed, "d", 8)?;
    bed.enter(&[])?;
    absent(&c"d/absent".to_owned())?;
    for name in &names(samples, "d/n", "")? {
        samples.time(|| absent(name))?;
    }
    Ok(())
}

fn lookup_cold_dir(bed: &Bed, samples: &mut Samples) -> Result<()> {
    let mut names = Vec::new();
    for i in samples.rounds(9) {
        merge(bed, &format!("d{i}"), 1)?;
        let name = format!("d{i}/f");
        put(&bed.bottom(), &name, 0)?;
        names.push(CString::new(name)?);
    }
    bed.enter(&[])?;
    stat_each(samples, &names)
}
