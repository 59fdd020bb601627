// SPDX-License-Identifier: GPL-2.0

//! Extended attributes: those of users, passed through, and the overlay's own
//! in its layers.

use crate::{
    copy_up,
    entry::OverlayInode,
    format::xattr::{Attribute, Attributes, NameBuffer, Namespace, NAME_MAX},
    Overlay, //
};
use kernel::prelude::*;
use vfs::{
    cred::{sees_trusted_xattrs, with_creds},
    dentry::{Dentry, DentryOf},
    inode_ops::XattrList,
    mount::PathRef,
    trace::Reason,
    xattr::{SetFlags, XattrHandler, XattrHandlers}, //
};

/// Reads one of the overlay's own attributes; `None` when it is not there, or
/// `namespace` is the users' and the mounter may not read the object: such
/// attributes are read with the right to read the data.
///
/// A value that is longer than `buffer` fails with `ERANGE`.
pub(crate) fn get_own<'a>(
    namespace: Namespace,
    path: PathRef<'_>,
    attribute: Attribute,
    buffer: &'a mut [u8],
) -> Result<Option<&'a [u8]>> {
    let len = found(path.get_xattr(namespace.name(attribute), buffer));
    match known(namespace, len)? {
        Some(len) => Ok(buffer.get(..len)),
        None => Ok(None),
    }
}

/// The length of one of the overlay's own attributes; `None` as [`get_own`].
pub(crate) fn len_of_own(
    namespace: Namespace,
    path: PathRef<'_>,
    attribute: Attribute,
) -> Result<Option<usize>> {
    known(namespace, len_if_readable(namespace, path, attribute))
}

/// As [`len_of_own`], but fails with `EACCES` where it cannot be known.
pub(crate) fn len_if_readable(
    namespace: Namespace,
    path: PathRef<'_>,
    attribute: Attribute,
) -> Result<Option<usize>> {
    found(path.get_xattr(namespace.name(attribute), &mut []))
}

fn found(len: Result<usize>) -> Result<Option<usize>> {
    match len {
        Ok(len) => Ok(Some(len)),
        Err(err) if err == ENODATA || err == EOPNOTSUPP => Ok(None),
        Err(err) => Err(err),
    }
}

fn known(namespace: Namespace, len: Result<Option<usize>>) -> Result<Option<usize>> {
    match len {
        Err(err) if err == EACCES && namespace == Namespace::User => Ok(None),
        len => len,
    }
}

/// Whether one of the overlay's own attributes is there.
pub(crate) fn has_own(
    namespace: Namespace,
    path: PathRef<'_>,
    attribute: Attribute,
) -> Result<bool> {
    len_of_own(namespace, path, attribute).map(|len| len.is_some())
}

/// Room for the names that an object of a layer mostly has.
const LIST_LEN: usize = 128;

/// Which of the overlay's own attributes an object of a layer may have: others need not be
/// asked for. Almost always there are none, and one call tells.
///
/// Where names are not listed, or not from memory, it may have all.
pub(crate) fn possible(namespace: Namespace, dentry: &Dentry) -> Attributes {
    if dentry.needs_revalidation() || !dentry.lists_xattr() {
        return Attributes::ALL;
    }
    let mut list = [0; LIST_LEN];
    let listed = dentry.list_xattr(&mut list);
    match listed.map(|len| list.get(..len)) {
        Ok(Some(b"")) => Attributes::NONE,
        Ok(Some(names)) => match (namespace, namespace.private_in(names)) {
            (_, Attributes::NONE) => Attributes::NONE,
            (Namespace::Trusted, found) => found,
            // Users' attributes are listed for those too who may not read them: whatever is
            // asked for in vain then is refused.
            (Namespace::User, _) => Attributes::ALL,
        },
        _ => Attributes::ALL,
    }
}

/// Sets one of the overlay's own attributes. The caller has write access.
///
/// Fails with `EPERM` if `namespace` is the users' and the object is neither a
/// file, a directory nor a socket.
pub(crate) fn set_own(
    namespace: Namespace,
    path: PathRef<'_>,
    attribute: Attribute,
    value: &[u8],
) -> Result {
    path.set_xattr(namespace.name(attribute), value, SetFlags::NONE)
}

/// Removes one of the overlay's own attributes. The caller has write access.
pub(crate) fn remove_own(namespace: Namespace, path: PathRef<'_>, attribute: Attribute) -> Result {
    path.remove_xattr(namespace.name(attribute))
}

fn get(dentry: &DentryOf<Overlay>, name: &CStr, value: &mut [u8]) -> Result<usize> {
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    let real = inode.real_path()?;
    with_creds(&inode.super_data().cred, |_| real.get_xattr(name, value))
}

fn set(dentry: &DentryOf<Overlay>, name: &CStr, value: Option<&[u8]>, flags: SetFlags) -> Result {
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    let sb = inode.super_data();
    if value.is_none() && inode.upper().is_none() {
        // Nothing to remove: no reason to copy up.
        let lower = inode.lower_path()?.ok_or(EIO)?;
        with_creds(&sb.cred, |_| lower.get_xattr(name, &mut []))?;
    }
    let _settled = copy_up::copy_up_for_change(dentry, Reason::Xattr)?;
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
    let namespace = inode.super_data().namespace();
    namespace
        .filter_list(names, sees_trusted_xattrs())
        .map_err(|_| EIO)
}

/// Names in the overlay's namespace, `user.overlay.` if `USER`: those that users
/// see belong to an overlay within, and are escaped in the layers.
struct Own<const USER: bool>;

impl<const USER: bool> Own<USER> {
    const NAMESPACE: Namespace = if USER {
        Namespace::User
    } else {
        Namespace::Trusted
    };

    fn with_layer_name<R>(suffix: &CStr, f: impl FnOnce(&CStr) -> Result<R>) -> Result<R> {
        let mut name = KVec::new();
        name.extend_from_slice(Self::NAMESPACE.prefix(), GFP_KERNEL)?;
        name.extend_from_slice(suffix.to_bytes_with_nul(), GFP_KERNEL)?;
        let name = CStr::from_bytes_with_nul(&name).map_err(|_| EINVAL)?;
        let mut buffer: NameBuffer = [0; NAME_MAX + 1];
        f(Self::NAMESPACE
            .layer_name(name, &mut buffer)
            .map_err(|_| EOPNOTSUPP)?)
    }
}

impl<const USER: bool> XattrHandler for Own<USER> {
    type Fs = Overlay;
    const PREFIX: &'static CStr = if USER {
        c"user.overlay."
    } else {
        c"trusted.overlay."
    };

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

/// All other names, passed through: those of the other namespace too.
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

/// The handlers of a mount, the more special one first.
pub(crate) fn handlers(namespace: Namespace) -> &'static XattrHandlers<Overlay> {
    match namespace {
        Namespace::Trusted => vfs::xattr::handlers::<_, Own<false>, Other>(),
        Namespace::User => vfs::xattr::handlers::<_, Own<true>, Other>(),
    }
}
