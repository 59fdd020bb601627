// SPDX-License-Identifier: GPL-2.0

//! Copying the extended attributes of an object of a layer to its copy.

use crate::format::xattr::{NameClass, Namespace};
use kernel::prelude::*;
use vfs::{
    acl::{Acl, AclType},
    file::{copy_up_xattr, CopyXattr},
    mount::PathRef,
    xattr::SetFlags, //
};

/// Whether a copy without the attribute would be wrong.
fn must_be_copied(name: &CStr) -> bool {
    name.to_bytes().starts_with(b"security.") || AclType::of_xattr(name).is_some()
}

/// The attribute that has the capabilities of a file.
pub(crate) const CAPABILITY: &CStr = c"security.capability";

/// Whether reading [`CAPABILITY`] says that there is none: one that grants nothing
/// cannot be read, and is as good as none.
pub(crate) fn is_no_capability(err: Error) -> bool {
    err == ENODATA || err == EOPNOTSUPP || err == EINVAL
}

/// `XFS_SUPER_MAGIC`.
const XFS: c_ulong = 0x5846_5342;

/// The names under which xfs shows ACLs once more: as they are stored, whatever
/// the owners' numbers are in its mount.
const XFS_ACLS: [&CStr; 2] = [c"trusted.SGI_ACL_FILE", c"trusted.SGI_ACL_DEFAULT"];

/// Copies all extended attributes but the overlay's own. The caller has write
/// access.
pub(crate) fn copy_xattrs(namespace: Namespace, from: PathRef<'_>, to: PathRef<'_>) -> Result {
    if !from.dentry().lists_xattr() || !to.dentry().lists_xattr() {
        return Ok(());
    }
    let len = match from.dentry().list_xattr(&mut []) {
        Err(err) if err == EOPNOTSUPP => 0,
        result => result?,
    };
    if len == 0 {
        return Ok(());
    }
    let mut names = KVVec::<u8>::new();
    names.resize(len, 0, GFP_KERNEL)?;
    let len = from.dentry().list_xattr(&mut names)?;
    let mut rest = names.get(..len).ok_or(EIO)?;
    let mut value = KVVec::<u8>::new();
    while !rest.is_empty() {
        let name = CStr::from_bytes_until_nul(rest).map_err(|_| EIO)?;
        rest = rest
            .get(name.to_bytes_with_nul().len()..)
            .unwrap_or_default();
        if namespace.classify(name.to_bytes()) == NameClass::Private {
            continue;
        }
        if from.dentry().super_block().magic() == XFS && XFS_ACLS.contains(&name) {
            continue;
        }
        if let CopyXattr::Discard = copy_up_xattr(from.dentry(), name)? {
            continue;
        }
        if let Some(kind) = AclType::of_xattr(name) {
            let acl = match Acl::get(from, kind) {
                Err(err) if err == ENODATA || err == EOPNOTSUPP => None,
                result => result?,
            };
            if let Some(acl) = acl {
                Acl::set(to, kind, Some(&acl))?;
            }
            continue;
        }
        let len = match read_value(from, name, &mut value) {
            Err(err) if name == CAPABILITY && is_no_capability(err) => continue,
            result => result?,
        };
        let bytes = value.get(..len).ok_or(EIO)?;
        match to.set_xattr(name, bytes, SetFlags::NONE) {
            Err(err) if err == EOPNOTSUPP && !must_be_copied(name) => {}
            result => result?,
        }
    }
    Ok(())
}

/// Reads an attribute into `value`, which grows as needed; answers its length.
pub(crate) fn read_value(from: PathRef<'_>, name: &CStr, value: &mut KVVec<u8>) -> Result<usize> {
    let len = from.get_xattr(name, &mut [])?;
    if len > value.len() {
        value.resize(len, 0, GFP_KERNEL)?;
    }
    if len == 0 {
        return Ok(0);
    }
    from.get_xattr(name, value)
}
