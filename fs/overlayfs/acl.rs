// SPDX-License-Identifier: GPL-2.0

//! POSIX ACLs: those of the object in its layer.

use crate::{
    copy_up,
    entry::OverlayInode,
    inode,
    Overlay, //
};
use kernel::prelude::*;
use vfs::{
    acl::{Acl, AclType},
    attr::SetAttr,
    cred::with_creds,
    dentry::DentryOf,
    inode::InodeOf,
    mount::IdMap,
    trace::Reason, //
};

/// The ACL for permission checks.
pub(crate) fn for_permission(inode: &InodeOf<Overlay>, kind: AclType) -> Result<Option<Acl>> {
    let real = inode.real_path()?;
    with_creds(&inode.super_data().cred, |_| Acl::get_noperm(real, kind))
}

/// The ACL as an attribute.
pub(crate) fn get(dentry: &DentryOf<Overlay>, kind: AclType) -> Result<Option<Acl>> {
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    let real = inode.real_path()?;
    if !real.inode()?.has_posix_acl() {
        return Ok(None);
    }
    with_creds(&inode.super_data().cred, |_| Acl::get(real, kind))
}

/// Sets the ACL, or removes it.
pub(crate) fn set(
    idmap: IdMap<'_>,
    dentry: &DentryOf<Overlay>,
    acl: Option<&Acl>,
    kind: AclType,
) -> Result {
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    let sb = inode.super_data();
    let work = sb.layers.upper()?.work()?;
    if !work.inode()?.has_posix_acl() || !inode.real_path()?.dentry().can_set_acl() {
        return Err(EOPNOTSUPP);
    }
    if kind == AclType::Default && !inode.mode().is_dir() {
        return if acl.is_some() { Err(EACCES) } else { Ok(()) };
    }
    if !inode.owner_or_capable(idmap) {
        return Err(EPERM);
    }
    // The layer is asked with the mounter's rights, under which the bit would stay.
    if kind == AclType::Access && inode.acl_drops_sgid(idmap) {
        inode::setattr(IdMap::nop(), dentry, &mut SetAttr::kill_sgid())?;
    }
    if acl.is_none() && inode.upper().is_none() {
        // Nothing to remove: no reason to copy up.
        let lower = inode.lower_path()?.ok_or(EIO)?;
        with_creds(&sb.cred, |_| Acl::get(lower, kind))?;
    }
    let _settled = copy_up::copy_up_for_change(dentry, Reason::Acl)?;
    let upper = inode.upper_path()?.ok_or(EIO)?;
    let write = upper.mount().want_write()?;
    let result = with_creds(&sb.cred, |_| Acl::set(upper, kind, acl));
    inode.forget_no_acl();
    drop(write);
    inode.copy_attr()?;
    result
}
