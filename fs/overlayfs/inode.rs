// SPDX-License-Identifier: GPL-2.0

//! Attributes of inodes, permissions, and the operations on files that are not
//! directories.

use crate::{
    copy_up::{self, Data},
    dir::Directory,
    dir_file::DirectoryFile,
    entry::OverlayInode,
    file::RegularFile,
    protattr,
    symlink::Symlink,
    written,
    Overlay, //
};
use kernel::prelude::*;
use vfs::{
    attr::{Device, FileType, Mode, SetAttr, Stat, StatFlags, StatMask},
    cred::with_creds,
    dentry::DentryOf,
    file_ops,
    fileattr::FileAttr,
    inode::{Access, InodeFlags, InodeOf},
    inode_ops::{self, FiemapSource},
    mount::IdMap,
    new_inode::NewInode,
    rcu::RcuInode,
    trace::Reason, //
};

/// Gives a new inode the operations for its type.
pub(crate) fn set_operations(inode: &mut NewInode<Overlay>, mode: Mode, rdev: Device) -> Result {
    match mode.file_type().ok_or(EIO)? {
        FileType::Regular => {
            inode.set_inode_operations(inode_ops::table::<Regular>());
            inode.set_file_operations(file_ops::table::<RegularFile>());
            inode.allow_direct_io();
        }
        FileType::Directory => {
            inode.set_inode_operations(inode_ops::table::<Directory>());
            inode.set_file_operations(file_ops::table::<DirectoryFile>());
        }
        FileType::Symlink => inode.set_inode_operations(inode_ops::table::<Symlink>()),
        _ => {
            inode.set_inode_operations(inode_ops::table::<Special>());
            inode.init_special(mode, rdev);
        }
    }
    Ok(())
}

/// See `InodeOperations::getattr`.
pub(crate) fn getattr(
    idmap: IdMap<'_>,
    dentry: &DentryOf<Overlay>,
    stat: &mut Stat,
    mask: StatMask,
    flags: StatFlags,
) -> Result {
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    let real = inode.real_path()?;
    with_creds(&inode.super_data().cred, |_| {
        stat.get_nosec(real, mask, flags)
    })?;
    if inode.mode().is_reg() && inode.is_metacopy() {
        stat.set_blocks(blocks_of_data(inode, stat, flags)?);
    }
    stat.add_inode_flags(inode);
    stat.set_identity(inode.ino(), inode);
    if inode.mode().is_dir() {
        if inode.is_merged() {
            // Counting subdirectories of all layers would cost a merge; 1 says that it is not
            // known.
            stat.set_nlink(1);
        }
    } else if inode.data().is_indexed() {
        // Upper's inode has the index as a name, and lacks those that are in the lower layer.
        stat.set_nlink(inode.nlink());
    }
    stat.map_owner(idmap, inode);
    Ok(())
}

/// What the data of a metacopy takes on the disk. The data is not looked for to
/// tell: then it is what `stat` has without holes.
fn blocks_of_data(inode: &InodeOf<Overlay>, stat: &Stat, flags: StatFlags) -> Result<u64> {
    if inode.lower_data().is_none() {
        return Ok(stat.blocks_without_holes());
    }
    let mut data = Stat::empty();
    let path = inode.lower_data_path()?;
    with_creds(&inode.super_data().cred, |_| {
        data.get_nosec(path, StatMask::BLOCKS, flags)
    })?;
    Ok(data.blocks())
}

/// See `InodeOperations::setattr`.
pub(crate) fn setattr(idmap: IdMap<'_>, dentry: &DentryOf<Overlay>, attr: &mut SetAttr) -> Result {
    attr.prepare(idmap, dentry)?;
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    attr.rebase(idmap, inode);
    let _settled = if attr.changes_size() {
        copy_up::copy_up_data(dentry, Data::Copy, Reason::Truncate)?;
        None
    } else {
        copy_up::copy_up_for_change(dentry, Reason::Attributes)?
    };
    let upper = inode.upper_path()?.ok_or(EIO)?;
    // Truncation of a file that is being executed is refused, by upper's count as well.
    let access = if attr.changes_size() {
        Some(upper.inode()?.write_access()?)
    } else {
        None
    };
    let write = upper.mount().want_write()?;
    let result = with_creds(&inode.super_data().cred, |_| attr.apply(upper));
    if result.is_ok() {
        inode.copy_attr()?;
    }
    if access.is_some() {
        // The rest of the last page was cleared.
        written::note(inode);
    }
    drop(write);
    drop(access);
    result
}

/// See `InodeOperations::permission`.
///
/// The caller's credentials are checked against the overlay inode, the mounter's
/// against the object in the layer.
pub(crate) fn permission(idmap: IdMap<'_>, inode: &InodeOf<Overlay>, mask: Access) -> Result {
    inode.generic_permission(idmap, mask)?;
    let real = inode.real().ok_or(EIO)?;
    let mask = if mask.writes() && !real.is_upper() && !real.is_special() {
        mask.as_copy_source()
    } else {
        mask
    };
    real.permission(&inode.super_data().cred, mask)?;
    inode.learn_no_acl();
    Ok(())
}

/// See `InodeOperations::permission_rcu`.
pub(crate) fn permission_rcu(
    idmap: IdMap<'_>,
    inode: RcuInode<'_, Overlay>,
    mask: Access,
) -> Result {
    let real = inode.real()?;
    inode.generic_permission(idmap, mask)?;
    let mask = if mask.writes() && !real.is_upper() && !real.is_special() {
        mask.as_copy_source()
    } else {
        mask
    };
    real.permission(&inode.super_data().cred, mask)?;
    inode.learn_no_acl();
    Ok(())
}

/// See `InodeOperations::accessed`. Access times of lower objects never change.
pub(crate) fn accessed(inode: &InodeOf<Overlay>, nowait: bool) -> Result {
    let Some(upper) = inode.upper_path()? else {
        return Ok(());
    };
    if nowait {
        return Err(EAGAIN);
    }
    upper.touch_atime();
    inode.copy_times_from(upper.inode()?);
    Ok(())
}

/// See `InodeOperations::fileattr_get`.
pub(crate) fn fileattr_get(dentry: &DentryOf<Overlay>, attr: &mut FileAttr) -> Result {
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    let real = inode.real_path()?;
    with_creds(&inode.super_data().cred, |_| attr.get(real))?;
    attr.add_protection(inode.flags());
    Ok(())
}

/// See `InodeOperations::fileattr_set`.
pub(crate) fn fileattr_set(dentry: &DentryOf<Overlay>, attr: &mut FileAttr) -> Result {
    let inode = dentry.inode_of().ok_or(ENOENT)?;
    if attr.is_casefolded() != dentry.is_casefolded() {
        // It would have to change in all layers.
        return Err(EOPNOTSUPP);
    }
    let _settled = copy_up::copy_up_for_change(dentry, Reason::Flags)?;
    let upper = inode.upper_path()?.ok_or(EIO)?;
    let write = upper.mount().want_write()?;
    let protection = attr.protection();
    let result = with_creds(&inode.super_data().cred, |_| {
        let layer = inode.super_data().layers.upper()?;
        protattr::store(layer, upper.dentry(), protection)?;
        attr.clear_protection();
        attr.set(upper).inspect_err(|_| {
            let _ = protattr::store(layer, upper.dentry(), inode.flags());
        })
    });
    drop(write);
    if result.is_ok() {
        let flags = upper
            .inode()?
            .flags()
            .without(InodeFlags::PROTECTED)
            .union(protection);
        inode.set_flags(flags, InodeFlags::ATTRIBUTES);
    }
    inode.copy_attr()?;
    result
}

/// Operations on regular files.
pub(crate) struct Regular;

/// Operations on devices, fifos and sockets.
pub(crate) struct Special;

/// Implements [`vfs::inode_ops::InodeOperations`] with what all inodes but symbolic links share,
/// and more.
macro_rules! inode_operations {
    ($type:ty, { $($more:tt)* }) => {
        #[vtable]
        impl vfs::inode_ops::InodeOperations for $type {
            type Fs = crate::Overlay;

            fn permission(
                idmap: vfs::mount::IdMap<'_>,
                inode: &vfs::inode::InodeOf<crate::Overlay>,
                mask: vfs::inode::Access,
            ) -> Result {
                crate::inode::permission(idmap, inode, mask)
            }

            fn permission_rcu(
                idmap: vfs::mount::IdMap<'_>,
                inode: vfs::rcu::RcuInode<'_, crate::Overlay>,
                mask: vfs::inode::Access,
            ) -> Result {
                crate::inode::permission_rcu(idmap, inode, mask)
            }

            fn inode_acl(
                inode: &vfs::inode::InodeOf<crate::Overlay>,
                kind: vfs::acl::AclType,
            ) -> Result<Option<vfs::acl::Acl>> {
                crate::acl::for_permission(inode, kind)
            }

            fn inode_acl_rcu(
                inode: vfs::rcu::RcuInode<'_, crate::Overlay>,
                kind: vfs::acl::AclType,
            ) -> Result<vfs::inode_ops::CachedAcl> {
                inode.real()?.acl(kind)
            }

            fn acl(
                _idmap: vfs::mount::IdMap<'_>,
                dentry: &vfs::dentry::DentryOf<crate::Overlay>,
                kind: vfs::acl::AclType,
            ) -> Result<Option<vfs::acl::Acl>> {
                crate::acl::get(dentry, kind)
            }

            fn set_acl(
                idmap: vfs::mount::IdMap<'_>,
                dentry: &vfs::dentry::DentryOf<crate::Overlay>,
                acl: Option<&vfs::acl::Acl>,
                kind: vfs::acl::AclType,
            ) -> Result {
                crate::acl::set(idmap, dentry, acl, kind)
            }

            fn setattr(
                idmap: vfs::mount::IdMap<'_>,
                dentry: &vfs::dentry::DentryOf<crate::Overlay>,
                attr: &mut vfs::attr::SetAttr,
            ) -> Result {
                crate::inode::setattr(idmap, dentry, attr)
            }

            fn getattr(
                idmap: vfs::mount::IdMap<'_>,
                _mount: &vfs::mount::Mount,
                dentry: &vfs::dentry::DentryOf<crate::Overlay>,
                stat: &mut vfs::attr::Stat,
                mask: vfs::attr::StatMask,
                flags: vfs::attr::StatFlags,
            ) -> Result {
                crate::inode::getattr(idmap, dentry, stat, mask, flags)
            }

            fn listxattr(
                dentry: &vfs::dentry::DentryOf<crate::Overlay>,
                list: vfs::inode_ops::XattrList<'_>,
            ) -> Result<usize> {
                crate::xattr::list(dentry, list)
            }

            fn accessed(
                inode: &vfs::inode::InodeOf<crate::Overlay>,
                nowait: bool,
            ) -> Result {
                crate::inode::accessed(inode, nowait)
            }

            fn fileattr_get(
                dentry: &vfs::dentry::DentryOf<crate::Overlay>,
                attr: &mut vfs::fileattr::FileAttr,
            ) -> Result {
                crate::inode::fileattr_get(dentry, attr)
            }

            fn fileattr_set(
                dentry: &vfs::dentry::DentryOf<crate::Overlay>,
                attr: &mut vfs::fileattr::FileAttr,
            ) -> Result {
                crate::inode::fileattr_set(dentry, attr)
            }

            $($more)*
        }
    };
}
pub(crate) use inode_operations;

inode_operations!(Special, {});

inode_operations!(Regular, {
    fn fiemap_inode(inode: &InodeOf<Overlay>) -> Result<FiemapSource<'_>> {
        Ok(FiemapSource {
            inode: inode.data_path()?.inode()?,
            cred: &inode.super_data().cred,
        })
    }
});
