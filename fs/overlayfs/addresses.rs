// SPDX-License-Identifier: GPL-2.0

//! Sets of objects of the kernel that are told by their addresses.

use core::marker::PhantomData;
use kernel::prelude::*;

/// A set of objects, each of which somebody holds as long as the set is used.
///
/// A hash table of a fixed size, since it is asked for each directory of each layer, of
/// which there may be thousands.
pub(crate) struct Addresses<T> {
    /// Addresses, and 0 where there is none. At least half of them are 0, and their number is a
    /// power of two.
    slots: KVVec<usize>,
    _of: PhantomData<fn(&T)>,
}

impl<T> Addresses<T> {
    /// An empty set, with room for so many.
    pub(crate) fn with_capacity(count: usize) -> Result<Self> {
        let size = count
            .checked_mul(2)
            .and_then(usize::checked_next_power_of_two)
            .ok_or(ENOMEM)?;
        let mut slots = KVVec::new();
        slots.resize(size, 0, GFP_KERNEL_ACCOUNT)?;
        Ok(Self {
            slots,
            _of: PhantomData,
        })
    }

    /// Adds an object; false if it is there already. `ENOSPC` if there is no room.
    pub(crate) fn insert(&mut self, object: &T) -> Result<bool> {
        let address = Self::address(object);
        let at = self.place(address).ok_or(ENOSPC)?;
        let slot = self.slots.get_mut(at).ok_or(ENOSPC)?;
        Ok(core::mem::replace(slot, address) == 0)
    }

    /// Whether an object is in the set.
    pub(crate) fn contains(&self, object: &T) -> bool {
        let found = self.place(Self::address(object));
        found.is_some_and(|at| self.slots.get(at).is_some_and(|&slot| slot != 0))
    }

    fn address(object: &T) -> usize {
        core::ptr::from_ref(object) as usize
    }

    /// Where an address is, or would be.
    fn place(&self, address: usize) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        // As `hash_ptr()`: objects of a slab differ in the middle.
        let hash = (address as u64).wrapping_mul(0x61c8_8646_80b5_83eb) >> 32;
        let start = hash as usize & mask;
        (0..=mask)
            .map(|step| start.wrapping_add(step) & mask)
            .find(|&at| matches!(self.slots.get(at), Some(&slot) if slot == 0 || slot == address))
    }
}
