// SPDX-License-Identifier: GPL-2.0

//! fs-verity: files that cannot change, and whose digest the kernel vouches for.
//!
//! C header: [`include/linux/fsverity.h`](srctree/include/linux/fsverity.h)

use crate::{
    file::OpenFile,
    inode::Inode,
    mount::PathRef,
    raw, //
};
use kernel::prelude::*;

/// The most bytes of a digest.
pub const DIGEST_MAX: usize = raw::vfs_const_FS_VERITY_MAX_DIGEST_SIZE as usize;

/// The digest of a file with fs-verity.
pub struct Digest {
    algorithm: u8,
    bytes: [u8; DIGEST_MAX],
    len: usize,
}

impl Digest {
    /// The algorithm, `FS_VERITY_HASH_ALG_*`: not 0.
    pub fn algorithm(&self) -> u8 {
        self.algorithm
    }

    /// The digest itself.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Inode {
    /// Whether all that is read of the file is checked, see `fsverity_active()`.
    pub fn has_verity(&self) -> bool {
        // SAFETY: The inode is valid.
        unsafe { raw::vfs_shim_fsverity_active(self.as_ptr()) }
    }
}

impl PathRef<'_> {
    /// The digest of a regular file; `None` if it has no fs-verity. See
    /// `fsverity_get_digest()`.
    ///
    /// What the kernel knows of the file is loaded by opening it, with the current
    /// task's credentials: fails as that does.
    pub fn verity_digest(&self) -> Result<Option<Digest>> {
        let inode = self.inode()?;
        if !inode.has_verity() {
            return Ok(None);
        }
        // SAFETY: The inode is valid.
        if !unsafe { raw::vfs_shim_fsverity_is_loaded(inode.as_ptr()) } {
            drop(OpenFile::open(*self, OpenFile::READ)?);
        }
        let mut digest = Digest {
            algorithm: 0,
            bytes: [0; DIGEST_MAX],
            len: 0,
        };
        // SAFETY: The inode is valid, and the digest has room for the longest one.
        let len = unsafe {
            raw::vfs_shim_fsverity_get_digest(
                inode.as_ptr(),
                digest.bytes.as_mut_ptr(),
                &mut digest.algorithm,
            )
        };
        digest.len = usize::try_from(len).map_err(|_| EIO)?;
        if digest.len > DIGEST_MAX {
            return Err(EIO);
        }
        Ok((digest.len != 0 && digest.algorithm != 0).then_some(digest))
    }
}
