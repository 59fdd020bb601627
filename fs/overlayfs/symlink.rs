// SPDX-License-Identifier: GPL-2.0

//! Symbolic links.

use crate::{entry::OverlayInode, inode, xattr, Overlay};
use kernel::prelude::*;
use vfs::{
    attr::{SetAttr, Stat, StatFlags, StatMask},
    cred::with_creds,
    dentry::DentryOf,
    fileattr::FileAttr,
    inode::InodeOf,
    inode_ops::{DelayedCall, InodeOperations, LinkTarget, XattrList},
    mount::{IdMap, Mount}, //
};

/// Operations on symbolic links.
pub(crate) struct Symlink;

#[vtable]
impl InodeOperations for Symlink {
    type Fs = Overlay;

    fn get_link<'a>(
        dentry: &'a DentryOf<Overlay>,
        done: &'a mut DelayedCall,
    ) -> Result<LinkTarget<'a>> {
        let inode = dentry.inode_of().ok_or(ENOENT)?;
        let real = inode.real_path()?;
        with_creds(&inode.super_data().cred, |_| {
            LinkTarget::get(real.dentry(), done)
        })
    }

    fn setattr(idmap: IdMap<'_>, dentry: &DentryOf<Overlay>, attr: &mut SetAttr) -> Result {
        inode::setattr(idmap, dentry, attr)
    }

    fn getattr(
        idmap: IdMap<'_>,
        _mount: &Mount,
        dentry: &DentryOf<Overlay>,
        stat: &mut Stat,
        mask: StatMask,
        flags: StatFlags,
    ) -> Result {
        inode::getattr(idmap, dentry, stat, mask, flags)
    }

    fn listxattr(dentry: &DentryOf<Overlay>, list: XattrList<'_>) -> Result<usize> {
        xattr::list(dentry, list)
    }

    fn accessed(inode: &InodeOf<Overlay>, nowait: bool) -> Result {
        inode::accessed(inode, nowait)
    }

    fn fileattr_get(dentry: &DentryOf<Overlay>, attr: &mut FileAttr) -> Result {
        inode::fileattr_get(dentry, attr)
    }

    fn fileattr_set(dentry: &DentryOf<Overlay>, attr: &mut FileAttr) -> Result {
        inode::fileattr_set(dentry, attr)
    }
}
