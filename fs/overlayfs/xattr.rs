// SPDX-License-Identifier: GPL-2.0

//! Extended attributes: those of users, passed through, and the overlay's own
//! in its layers.

use crate::{
    copy_up,
    entry::OverlayInode,
    format::xattr::{Attribute, NameBuffer, Namespace, NAME_MAX},
    Overlay, //
};
use kernel::prelude::*;
use vfs::{
    cred::{capable_sys_admin, with_creds},
    dentry::DentryOf,
    inode_ops::XattrList,
    mount::PathRef,
    xattr::{SetFlags, XattrHandler, XattrHandlers}, //
};

/// The namespace of the overlay's own attributes.
pub(crate) const NAMESPACE: Namespace = Namespace::Trusted;

/// Reads one of the overlay's own attributes; `None` when it is not there.
///
/// A value that is longer than `buffer` fails with `ERANGE`.
pub(crate) fn get_own<'a>(
    path: PathRef<'_>,
    attribute: Attribute,
    buffer: &'a mut [u8],
) -> Result<Option<&'a [u8]>> {
    match path.get_xattr(NAMESPACE.name(attribute), buffer) {
        Ok(len) => Ok(buffer.get(..len)),
        Err(err) if err == ENODATA || err == EOPNOTSUPP => Ok(None),
        Err(err) => Err(err),
    }
}

/// The length of one of the overlay's own attributes; `None` when it is not there.
pub(crate) fn len_of_own(path: PathRef<'_>, attribute: Attribute) -> Result<Option<usize>> {
    match path.get_xattr(NAMESPACE.name(attribute), &mut []) {
        Ok(len) => Ok(Some(len)),
        Err(err) if err == ENODATA || err == EOPNOTSUPP => Ok(None),
        Err(err) => Err(err),
    }
}

/// Whether one of the overlay's own attributes is there.
pub(crate) fn has_own(path: PathRef<'_>, attribute: Attribute) -> Result<bool> {
    len_of_own(path, attribute).map(|len| len.is_some())
}

/// Sets one of the overlay's own attributes. The caller has write access.
pub(crate) fn set_own(path: PathRef<'_>, attribute: Attribute, value: &[u8]) -> Result {
    path.set_xattr(NAMESPACE.name(attribute), value, SetFlags::NONE)
}

fn get(dentry: &DentryOf<Overlay>, name: &CStr, value: &mut [u8]) -> Result<usize> {
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    let real = inode.real_path()?;
    with_creds(&inode.super_data().cred, |_| real.get_xattr(name, value))
}

fn set(dentry: &DentryOf<Overlay>, name: &CStr, value: Option<&[u8]>, flags: SetFlags) -> Result {
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    let sb = inode.super_data();
    if value.is_none() && inode.data().upper().is_none() {
        // Nothing to remove: no reason to copy up.
        let lower = inode.lower_path()?.ok_or(EIO)?;
        with_creds(&sb.cred, |_| lower.get_xattr(name, &mut []))?;
    }
    let _settled = copy_up::copy_up_for_change(dentry)?;
    let upper = inode.upper_path()?.ok_or(EIO)?;
    let write = upper.mount().want_write()?;
    let result = with_creds(&sb.cred, |_| match value {
        Some(value) => upper.set_xattr(name, value, flags),
        None => upper.remove_xattr(name),
    });
    drop(write);
    inode.copy_attr()?;
    result
}

/// Lists the attributes that users may see.
pub(crate) fn list(dentry: &DentryOf<Overlay>, list: XattrList<'_>) -> Result<usize> {
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    let real = inode.real_path()?;
    let Some(buffer) = list.into_buffer() else {
        return with_creds(&inode.super_data().cred, |_| {
            real.dentry().list_xattr(&mut [])
        });
    };
    let len = with_creds(&inode.super_data().cred, |_| {
        real.dentry().list_xattr(buffer)
    })?;
    let names = buffer.get_mut(..len).ok_or(EIO)?;
    NAMESPACE
        .filter_list(names, capable_sys_admin())
        .map_err(|_| EIO)
}

/// Names in the overlay's namespace: those that users see belong to an overlay
/// within, and are escaped in the layers.
struct Own;

impl Own {
    fn with_layer_name<R>(suffix: &CStr, f: impl FnOnce(&CStr) -> Result<R>) -> Result<R> {
        let mut name = KVec::new();
        name.extend_from_slice(NAMESPACE.prefix(), GFP_KERNEL)?;
        name.extend_from_slice(suffix.to_bytes_with_nul(), GFP_KERNEL)?;
        let name = CStr::from_bytes_with_nul(&name).map_err(|_| EINVAL)?;
        let mut buffer: NameBuffer = [0; NAME_MAX + 1];
        f(NAMESPACE
            .layer_name(name, &mut buffer)
            .map_err(|_| EOPNOTSUPP)?)
    }
}

impl XattrHandler for Own {
    type Fs = Overlay;
    const PREFIX: &'static CStr = c"trusted.overlay.";

    fn get(dentry: &DentryOf<Overlay>, name: &CStr, value: &mut [u8]) -> Result<usize> {
        Self::with_layer_name(name, |name| get(dentry, name, value))
    }

    fn set(
        dentry: &DentryOf<Overlay>,
        name: &CStr,
        value: Option<&[u8]>,
        flags: SetFlags,
    ) -> Result {
        Self::with_layer_name(name, |name| set(dentry, name, value, flags))
    }
}

/// All other names, passed through.
struct Other;

impl XattrHandler for Other {
    type Fs = Overlay;
    const PREFIX: &'static CStr = c"";

    fn get(dentry: &DentryOf<Overlay>, name: &CStr, value: &mut [u8]) -> Result<usize> {
        get(dentry, name, value)
    }

    fn set(
        dentry: &DentryOf<Overlay>,
        name: &CStr,
        value: Option<&[u8]>,
        flags: SetFlags,
    ) -> Result {
        set(dentry, name, value, flags)
    }
}

/// The handlers, the more special one first.
pub(crate) const HANDLERS: &XattrHandlers<Overlay> = vfs::xattr::handlers::<_, Own, Other>();
