// SPDX-License-Identifier: GPL-2.0

//! The objects of lower layers that an overlay object is made of.

use crate::layers::{LayerPath, LayerRef};
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

/// The objects of lower layers that an inode has, the highest first.
#[derive(Clone, Copy)]
pub(crate) enum LowerObjects<'a> {
    /// One object.
    One(LayerRef<'a>),
    /// None, or several.
    Several(&'a [LayerPath]),
}

impl<'a> LowerObjects<'a> {
    /// None.
    pub(crate) const NONE: Self = Self::Several(&[]);

    /// How many there are.
    pub(crate) fn len(self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Several(objects) => objects.len(),
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The object at a place.
    pub(crate) fn get(self, place: usize) -> Option<LayerRef<'a>> {
        match self {
            Self::One(object) => (place == 0).then_some(object),
            Self::Several(objects) => objects.get(place).map(LayerPath::borrow),
        }
    }

    /// The highest one.
    pub(crate) fn first(self) -> Option<LayerRef<'a>> {
        self.get(0)
    }

    /// The lowest one.
    pub(crate) fn last(self) -> Option<LayerRef<'a>> {
        self.get(self.len().wrapping_sub(1))
    }

    /// Whether `f` holds for each of them and what belongs to it. There may be hundreds.
    pub(crate) fn all_with<T>(self, others: &[T], f: impl Fn(LayerRef<'a>, &T) -> bool) -> bool {
        match self {
            Self::One(object) => others.first().is_none_or(|other| f(object, other)),
            Self::Several(objects) => Iterator::zip(objects.iter(), others.iter())
                .all(|(object, other)| f(object.borrow(), other)),
        }
    }

    /// All of them.
    pub(crate) fn iter(self) -> impl Iterator<Item = LayerRef<'a>> {
        let (one, several) = match self {
            Self::One(object) => (Some(object), &[][..]),
            Self::Several(objects) => (None, objects),
        };
        Iterator::chain(one.into_iter(), several.iter().map(LayerPath::borrow))
    }
}
