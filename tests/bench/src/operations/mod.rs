// SPDX-License-Identifier: GPL-2.0

//! What is measured.

mod by_hand;
mod copy_up;
mod durability;
mod listing;
mod lookup;
mod memory;
mod mounting;
mod names;
mod open;
mod rw;
mod trees;

use crate::{bed::Bed, samples::Samples, Result};

/// An operation.
pub struct Operation {
    /// Its name on the command line and in results.
    pub name: &'static str,
    /// What it is, for people.
    pub what: &'static str,
    /// With how many lower layers it is measured.
    pub layers: &'static [usize],
    /// What the samples are of.
    pub unit: Unit,
    /// What it can be measured on.
    pub needs: Needs,
    /// Prepares the bed and takes the samples.
    pub run: fn(&Bed, &mut Samples) -> Result<()>,
}

/// What a sample counts.
#[derive(Clone, Copy)]
pub enum Unit {
    Instructions,
    Bytes,
}

impl Unit {
    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Bytes => "bytes",
        }
    }
}

/// What an operation can be measured on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Anything.
    Nothing,
    /// The filesystem that has the layers.
    Bare,
    /// Something that can be mounted again and again.
    Mount,
    /// An overlay that the kernel makes: the operation has options of it.
    Overlay,
    /// Layers on a device.
    Device,
    /// Both.
    DeviceAndMount,
}

impl Operation {
    const fn new(
        name: &'static str,
        what: &'static str,
        run: fn(&Bed, &mut Samples) -> Result<()>,
    ) -> Self {
        Self {
            name,
            what,
            layers: &[1],
            unit: Unit::Instructions,
            needs: Needs::Nothing,
            run,
        }
    }

    const fn layers(self, layers: &'static [usize]) -> Self {
        Self { layers, ..self }
    }

    const fn needs(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }

    const fn bytes(self) -> Self {
        Self {
            unit: Unit::Bytes,
            ..self
        }
    }
}

/// For what may depend on the number of layers. C overlayfs has at most 500.
const MANY: &[usize] = &[1, 10, 50, 100, 200, 500, 1000];
/// For what may depend on it, but takes long to prepare.
const TWO: &[usize] = &[1, 200];

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Operation> {
    [
        lookup::OPERATIONS,
        open::OPERATIONS,
        rw::OPERATIONS,
        listing::OPERATIONS,
        names::OPERATIONS,
        copy_up::OPERATIONS,
        trees::OPERATIONS,
        by_hand::OPERATIONS,
        mounting::OPERATIONS,
        durability::OPERATIONS,
        memory::OPERATIONS,
    ]
    .into_iter()
    .flatten()
}

/// Prints their names, and what they are.
pub fn list() {
    for operation in all() {
        println!("{:<22} {}", operation.name, operation.what);
    }
}
