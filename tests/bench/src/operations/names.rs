// SPDX-License-Identifier: GPL-2.0

//! Creating, renaming and removing in a directory that is merged from all layers.

use super::{Operation, TWO};
use crate::{
    bed::Bed,
    files::{merge, put},
    samples::Samples,
    Result,
};
use rustix::fs::{link, mkdir, open, rename, rmdir, stat, unlink, Mode, OFlags};
use std::{ffi::CString, fs};

pub const OPERATIONS: &[Operation] = &[
    Operation::new("create", "create and close a file", |bed, samples| {
        each(bed, samples, Before::Nothing, |name, _| create(name))
    })
    .layers(TWO),
    Operation::new("mkdir", "make a directory", |bed, samples| {
        each(bed, samples, Before::Nothing, |name, _| {
            Ok(mkdir(name.as_c_str(), Mode::RWXU)?)
        })
    })
    .layers(TWO),
    Operation::new("link", "link an upper file", |bed, samples| {
        each(bed, samples, Before::Upper, |name, new| {
            Ok(link(name.as_c_str(), new.as_c_str())?)
        })
    })
    .layers(TWO),
    Operation::new("rename", "rename an upper file", |bed, samples| {
        each(bed, samples, Before::Upper, |name, new| {
            Ok(rename(name.as_c_str(), new.as_c_str())?)
        })
    })
    .layers(TWO),
    Operation::new("unlink-upper", "remove an upper file", |bed, samples| {
        each(bed, samples, Before::Upper, |name, _| {
            Ok(unlink(name.as_c_str())?)
        })
    })
    .layers(TWO),
    Operation::new("rmdir", "remove an upper directory", |bed, samples| {
        each(bed, samples, Before::UpperDir, |name, _| {
            Ok(rmdir(name.as_c_str())?)
        })
    })
    .layers(TWO),
    Operation::new("unlink-lower", "remove a lower file", |bed, samples| {
        each(bed, samples, Before::Lower, |name, _| {
            Ok(unlink(name.as_c_str())?)
        })
    })
    .layers(TWO),
    Operation::new(
        "create-over-whiteout",
        "create and close a file where a lower one was removed",
        over_whiteout,
    )
    .layers(TWO),
];

const ROUNDS: usize = 41;

/// What is there before an operation.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    Upper,
    UpperDir,
    /// In the lowest layer.
    Lower,
}

impl Before {
    fn prepare(self, bed: &Bed, name: &str) -> Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Upper => put(&bed.upper(), name, 0),
            Self::UpperDir => Ok(fs::create_dir_all(bed.upper().join(name))?),
            Self::Lower => put(&bed.bottom(), name, 0),
        }
    }

    /// Looking up is measured elsewhere, and programs have often done it before.
    fn look_up(self, name: &CString) -> Result<()> {
        if !matches!(self, Self::Nothing) {
            stat(name.as_c_str())?;
        }
        Ok(())
    }
}

fn create(name: &CString) -> Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    drop(open(name.as_c_str(), flags, Mode::RUSR | Mode::WUSR)?);
    Ok(())
}

/// Prepares for each round, and gives the operation the object's name and a free one.
fn each(
    bed: &Bed,
    samples: &mut Samples,
    before: Before,
    operate: impl Fn(&CString, &CString) -> Result<()>,
) -> Result<()> {
    merge(bed, "d", 8)?;
    fs::create_dir_all(bed.upper().join("d"))?;
    let mut names = Vec::new();
    for i in samples.rounds(ROUNDS) {
        let name = format!("d/name-{i}");
        before.prepare(bed, &name)?;
        names.push((CString::new(name)?, CString::new(format!("d/new-{i}"))?));
    }
    bed.enter(&[])?;
    // The first of all sets things up.
    create(&c"d/first".to_owned())?;
    for (name, new) in &names {
        before.look_up(name)?;
        samples.time(|| operate(name, new))?;
    }
    Ok(())
}

fn over_whiteout(bed: &Bed, samples: &mut Samples) -> Result<()> {
    each(bed, samples, Before::Lower, |name, _| {
        Ok(unlink(name.as_c_str())?)
    })?;
    samples.clear();
    for i in samples.rounds(ROUNDS) {
        let name = CString::new(format!("d/name-{i}"))?;
        samples.time(|| create(&name))?;
    }
    Ok(())
}
