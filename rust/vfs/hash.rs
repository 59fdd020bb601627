// SPDX-License-Identifier: GPL-2.0

//! Hashes of names that come from a layer.
//!
//! Whoever makes a layer chooses its names, so tables that hold them need a hash
//! with a secret key, or they can be made slow.
//!
//! C headers: [`include/linux/siphash.h`](srctree/include/linux/siphash.h)

use crate::raw;

/// A hash with a key of its own.
pub struct NameHash([u64; 2]);

impl NameHash {
    /// A hash with a new random key.
    pub fn new() -> Self {
        // SAFETY: No requirements.
        Self([unsafe { raw::get_random_u64() }, unsafe {
            raw::get_random_u64()
        }])
    }

    /// The hash of `name`.
    pub fn hash(&self, name: &[u8]) -> u64 {
        // SAFETY: The name is valid for reads, and the key has two words.
        unsafe { raw::vfs_shim_siphash(name.as_ptr().cast(), name.len(), self.0.as_ptr()) }
    }
}

impl Default for NameHash {
    fn default() -> Self {
        Self::new()
    }
}
