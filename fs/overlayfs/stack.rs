// SPDX-License-Identifier: GPL-2.0

//! The objects of lower layers that an overlay object is made of.

use crate::layers::LayerPath;
use core::{mem::take, ops::Deref};
use kernel::prelude::*;

/// Objects of lower layers, the highest first. Almost always it is one, which takes no
/// memory of its own.
pub(crate) enum Stack {
    /// One object.
    One([LayerPath; 1]),
    /// Any number, also none.
    Many(KVVec<LayerPath>),
}

impl Stack {
    /// One object.
    pub(crate) fn of(object: LayerPath) -> Self {
        Self::One([object])
    }

    /// Adds an object below the others. When that fails, none is left.
    pub(crate) fn push(&mut self, object: LayerPath) -> Result {
        *self = match take(self) {
            Self::Many(objects) if objects.is_empty() => Self::of(object),
            Self::One([first]) => {
                let mut objects = KVVec::new();
                objects.push(first, GFP_KERNEL_ACCOUNT)?;
                objects.push(object, GFP_KERNEL_ACCOUNT)?;
                Self::Many(objects)
            }
            Self::Many(mut objects) => {
                objects.push(object, GFP_KERNEL_ACCOUNT)?;
                Self::Many(objects)
            }
        };
        Ok(())
    }
}

impl Default for Stack {
    fn default() -> Self {
        Self::Many(KVVec::new())
    }
}

impl Deref for Stack {
    type Target = [LayerPath];

    fn deref(&self) -> &[LayerPath] {
        match self {
            Self::One(object) => object,
            Self::Many(objects) => objects,
        }
    }
}
