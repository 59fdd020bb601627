// SPDX-License-Identifier: GPL-2.0

//! Hashes of names that come from a layer.
//!
//! Whoever makes a layer chooses its names, so tables that hold them need a hash
//! with a secret key, or they can be made slow.
//!
//! C headers: [`include/linux/siphash.h`](srctree/include/linux/siphash.h)

use crate::raw;
use kernel::prelude::*;

/// A hash with a key of its own, see `hsiphash()`. It is for tables only: nobody outside
/// sees what comes of it.
pub struct NameHash([c_ulong; 2]);

impl NameHash {
    /// A hash with a new random key.
    pub fn new() -> Self {
        // SAFETY: No requirements.
        let word = || unsafe { raw::get_random_u64() } as c_ulong;
        Self([word(), word()])
    }

    /// The hash of `name`.
    pub fn hash(&self, name: &[u8]) -> u32 {
        // SAFETY: The name is valid for reads, and the key has two words.
        unsafe { raw::vfs_shim_hsiphash(name.as_ptr().cast(), name.len(), self.0.as_ptr()) }
    }
}

impl Default for NameHash {
    fn default() -> Self {
        Self::new()
    }
}
