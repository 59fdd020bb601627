// SPDX-License-Identifier: GPL-2.0

//! The objects of lower layers that an overlay object is made of.

use crate::layers::LayerPath;
use core::{mem::take, ops::Deref};
use kernel::prelude::*;

/// Objects of lower layers, the highest first. Almost always it is one, which takes no
/// memory of its own.
#[derive(Default)]
pub(crate) enum Stack {
    /// None. An empty vector would be freed, which costs as much as an allocation.
    #[default]
    Empty,
    /// One object.
    One([LayerPath; 1]),
    /// Several.
    Many(KVVec<LayerPath>),
}

impl Stack {
    /// One object.
    pub(crate) fn of(object: LayerPath) -> Self {
        Self::One([object])
    }

    /// Adds an object below the others. When that fails, some or none of these are left.
    pub(crate) fn push(&mut self, object: LayerPath) -> Result {
        if let Self::Many(objects) = self {
            objects.push(object, GFP_KERNEL_ACCOUNT)?;
            return Ok(());
        }
        *self = match take(self) {
            Self::One([first]) => {
                let mut objects = KVVec::with_capacity(2, GFP_KERNEL_ACCOUNT)?;
                objects.push(first, GFP_KERNEL_ACCOUNT)?;
                objects.push(object, GFP_KERNEL_ACCOUNT)?;
                Self::Many(objects)
            }
            _ => Self::of(object),
        };
        Ok(())
    }
}

impl Deref for Stack {
    type Target = [LayerPath];

    fn deref(&self) -> &[LayerPath] {
        match self {
            Self::Empty => &[],
            Self::One(object) => object,
            Self::Many(objects) => objects,
        }
    }
}
