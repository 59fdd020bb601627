// SPDX-License-Identifier: GPL-2.0

//! The table that the VFS calls the operations on inodes by.

use super::{values::*, InodeOperations};
use crate::{
    acl::{Acl, AclType},
    attr::{Device, Mode, SetAttr, Stat, StatFlags, StatMask},
    dentry::{Child, DentryOf},
    file_ops::TmpFile,
    fileattr::FileAttr,
    inode::{Access, InodeOf},
    mount::{IdMap, Mount},
    raw,
    rcu::RcuInode, //
};
use core::marker::PhantomData;
use kernel::{
    error::from_result,
    prelude::*,
    sync::aref::ARef, //
};

/// A table of operations for inodes of `F`.
#[repr(transparent)]
pub struct InodeOps<F>(raw::inode_operations, PhantomData<F>);

// SAFETY: A table is never written.
unsafe impl<F> Sync for InodeOps<F> {}

impl<F> InodeOps<F> {
    pub(crate) fn as_ptr(&self) -> *const raw::inode_operations {
        &self.0
    }
}

/// The table of the operations that `T` implements.
pub const fn table<T: InodeOperations>() -> &'static InodeOps<T::Fs> {
    &VTable::<T>::OPS
}

struct VTable<T>(PhantomData<T>);

/// `Some(function)` if the trait implements the operation.
macro_rules! op {
    ($has:ident, $function:ident) => {
        if T::$has {
            Some(Self::$function)
        } else {
            None
        }
    };
}

// The trampolines. All are called by the VFS with valid pointers to objects of the filesystem that
// the table belongs to, referenced for the call, under the locks of locking.rst; names and parents
// of dentries that are being looked up, created, removed or renamed are stable.
impl<T: InodeOperations> VTable<T> {
    const OPS: InodeOps<T::Fs> = InodeOps(
        raw::inode_operations {
            lookup: op!(HAS_LOOKUP, lookup),
            get_link: op!(HAS_GET_LINK, get_link),
            permission: op!(HAS_PERMISSION, permission),
            get_inode_acl: op!(HAS_INODE_ACL, get_inode_acl),
            create: op!(HAS_CREATE, create),
            link: op!(HAS_LINK, link),
            unlink: op!(HAS_UNLINK, unlink),
            symlink: op!(HAS_SYMLINK, symlink),
            mkdir: op!(HAS_MKDIR, mkdir),
            rmdir: op!(HAS_RMDIR, rmdir),
            mknod: op!(HAS_MKNOD, mknod),
            rename: op!(HAS_RENAME, rename),
            setattr: op!(HAS_SETATTR, setattr),
            getattr: op!(HAS_GETATTR, getattr),
            listxattr: op!(HAS_LISTXATTR, listxattr),
            fiemap: op!(HAS_FIEMAP_INODE, fiemap),
            update_time: op!(HAS_ACCESSED, update_time),
            tmpfile: op!(HAS_TMPFILE, tmpfile),
            get_acl: op!(HAS_ACL, get_acl),
            set_acl: op!(HAS_SET_ACL, set_acl),
            fileattr_set: op!(HAS_FILEATTR_SET, fileattr_set),
            fileattr_get: op!(HAS_FILEATTR_GET, fileattr_get),
            // SAFETY: All other fields are optional function pointers.
            ..unsafe { core::mem::zeroed() }
        },
        PhantomData,
    );

    /// # Safety
    ///
    /// `inode_operations.lookup`.
    unsafe extern "C" fn lookup(
        dir: *mut raw::inode,
        dentry: *mut raw::dentry,
        _flags: c_uint,
    ) -> *mut raw::dentry {
        // SAFETY: See above.
        let (dir, child) = unsafe { (InodeOf::from_raw(dir), Child::from_raw(dentry)) };
        match T::lookup(dir, child) {
            // A negative dentry would give its case to what is created later under the name.
            Ok(None) if child.parent().is_casefolded() => core::ptr::null_mut(),
            Ok(inode) => {
                let inode = inode.map_or(core::ptr::null_mut(), |inode| {
                    ARef::into_raw(inode).cast().as_ptr()
                });
                // SAFETY: The dentry is being looked up; the reference to the inode moves.
                unsafe { raw::d_splice_alias(inode, dentry) }
            }
            Err(err) => err.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// `inode_operations.get_link`.
    unsafe extern "C" fn get_link(
        dentry: *mut raw::dentry,
        _inode: *mut raw::inode,
        done: *mut raw::delayed_call,
    ) -> *const c_char {
        if dentry.is_null() {
            return ECHILD.to_ptr::<c_char>();
        }
        // SAFETY: See above. The call's memory is the VFS's, which runs it: it is not dropped here.
        let (dentry, done) = unsafe { (DentryOf::from_raw(dentry), &mut *done.cast()) };
        match T::get_link(dentry, done) {
            Ok(target) => target.0,
            Err(err) => err.to_ptr::<c_char>(),
        }
    }

    /// # Safety
    ///
    /// `inode_operations.permission`.
    unsafe extern "C" fn permission(
        idmap: *mut raw::mnt_idmap,
        inode: *mut raw::inode,
        mask: c_int,
    ) -> c_int {
        // SAFETY: See above.
        let idmap = unsafe { IdMap::from_raw(idmap) };
        from_result(|| {
            if mask & raw::MAY_NOT_BLOCK as c_int != 0 {
                let mask = Access::from_raw(mask & !(raw::MAY_NOT_BLOCK as c_int));
                // SAFETY: `MAY_NOT_BLOCK` says that this is an RCU walk.
                T::permission_rcu(idmap, unsafe { RcuInode::from_raw(inode) }, mask)?;
            } else {
                // SAFETY: See above.
                let inode = unsafe { InodeOf::from_raw(inode) };
                T::permission(idmap, inode, Access::from_raw(mask))?;
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `inode_operations.get_inode_acl`.
    unsafe extern "C" fn get_inode_acl(
        inode: *mut raw::inode,
        kind: c_int,
        rcu: bool,
    ) -> *mut raw::posix_acl {
        let Some(kind) = AclType::from_raw(kind) else {
            return EINVAL.to_ptr();
        };
        if rcu {
            // SAFETY: `rcu` says that this is an RCU walk.
            match T::inode_acl_rcu(unsafe { RcuInode::from_raw(inode) }, kind) {
                Ok(acl) => acl.0,
                Err(err) => err.to_ptr(),
            }
        } else {
            // SAFETY: See above.
            Acl::into_ret(T::inode_acl(unsafe { InodeOf::from_raw(inode) }, kind))
        }
    }

    /// # Safety
    ///
    /// `inode_operations.get_acl`.
    unsafe extern "C" fn get_acl(
        idmap: *mut raw::mnt_idmap,
        dentry: *mut raw::dentry,
        kind: c_int,
    ) -> *mut raw::posix_acl {
        let Some(kind) = AclType::from_raw(kind) else {
            return EINVAL.to_ptr();
        };
        // SAFETY: See above.
        let (idmap, dentry) = unsafe { (IdMap::from_raw(idmap), DentryOf::from_raw(dentry)) };
        Acl::into_ret(T::acl(idmap, dentry, kind))
    }

    /// # Safety
    ///
    /// `inode_operations.set_acl`.
    unsafe extern "C" fn set_acl(
        idmap: *mut raw::mnt_idmap,
        dentry: *mut raw::dentry,
        acl: *mut raw::posix_acl,
        kind: c_int,
    ) -> c_int {
        // SAFETY: See above. The ACL stays the caller's.
        let (idmap, dentry, acl) = unsafe {
            (
                IdMap::from_raw(idmap),
                DentryOf::from_raw(dentry),
                Acl::borrow(acl),
            )
        };
        from_result(|| {
            let kind = AclType::from_raw(kind).ok_or(EINVAL)?;
            T::set_acl(idmap, dentry, acl.as_deref(), kind).map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// `inode_operations.create`.
    unsafe extern "C" fn create(
        idmap: *mut raw::mnt_idmap,
        dir: *mut raw::inode,
        dentry: *mut raw::dentry,
        mode: raw::umode_t,
    ) -> c_int {
        // SAFETY: See above.
        let (idmap, dir, child) = unsafe {
            (
                IdMap::from_raw(idmap),
                InodeOf::from_raw(dir),
                Child::from_raw(dentry),
            )
        };
        from_result(|| T::create(idmap, dir, child, Mode::from_bits(mode)).map(|()| 0))
    }

    /// # Safety
    ///
    /// `inode_operations.link`.
    unsafe extern "C" fn link(
        old: *mut raw::dentry,
        dir: *mut raw::inode,
        dentry: *mut raw::dentry,
    ) -> c_int {
        // SAFETY: See above.
        let (old, dir, child) = unsafe {
            (
                DentryOf::from_raw(old),
                InodeOf::from_raw(dir),
                Child::from_raw(dentry),
            )
        };
        from_result(|| T::link(old, dir, child).map(|()| 0))
    }

    /// # Safety
    ///
    /// `inode_operations.unlink`.
    unsafe extern "C" fn unlink(dir: *mut raw::inode, dentry: *mut raw::dentry) -> c_int {
        // SAFETY: See above.
        let (dir, child) = unsafe { (InodeOf::from_raw(dir), Child::from_raw(dentry)) };
        from_result(|| T::unlink(dir, child).map(|()| 0))
    }

    /// # Safety
    ///
    /// `inode_operations.symlink`.
    unsafe extern "C" fn symlink(
        idmap: *mut raw::mnt_idmap,
        dir: *mut raw::inode,
        dentry: *mut raw::dentry,
        target: *const c_char,
    ) -> c_int {
        // SAFETY: See above; the target is NUL-terminated.
        let (idmap, dir, child, target) = unsafe {
            (
                IdMap::from_raw(idmap),
                InodeOf::from_raw(dir),
                Child::from_raw(dentry),
                CStr::from_char_ptr(target),
            )
        };
        from_result(|| T::symlink(idmap, dir, child, target).map(|()| 0))
    }

    /// # Safety
    ///
    /// `inode_operations.mkdir`.
    unsafe extern "C" fn mkdir(
        idmap: *mut raw::mnt_idmap,
        dir: *mut raw::inode,
        dentry: *mut raw::dentry,
        mode: raw::umode_t,
    ) -> *mut raw::dentry {
        // SAFETY: See above.
        let (idmap, dir, child) = unsafe {
            (
                IdMap::from_raw(idmap),
                InodeOf::from_raw(dir),
                Child::from_raw(dentry),
            )
        };
        match T::mkdir(idmap, dir, child, Mode::from_bits(mode)) {
            Ok(()) => core::ptr::null_mut(),
            Err(err) => err.to_ptr(),
        }
    }

    /// # Safety
    ///
    /// `inode_operations.rmdir`.
    unsafe extern "C" fn rmdir(dir: *mut raw::inode, dentry: *mut raw::dentry) -> c_int {
        // SAFETY: See above.
        let (dir, child) = unsafe { (InodeOf::from_raw(dir), Child::from_raw(dentry)) };
        from_result(|| T::rmdir(dir, child).map(|()| 0))
    }

    /// # Safety
    ///
    /// `inode_operations.mknod`.
    unsafe extern "C" fn mknod(
        idmap: *mut raw::mnt_idmap,
        dir: *mut raw::inode,
        dentry: *mut raw::dentry,
        mode: raw::umode_t,
        rdev: raw::dev_t,
    ) -> c_int {
        // SAFETY: See above.
        let (idmap, dir, child) = unsafe {
            (
                IdMap::from_raw(idmap),
                InodeOf::from_raw(dir),
                Child::from_raw(dentry),
            )
        };
        from_result(|| {
            T::mknod(
                idmap,
                dir,
                child,
                Mode::from_bits(mode),
                Device::from_raw(rdev),
            )
            .map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// `inode_operations.rename`.
    unsafe extern "C" fn rename(
        _idmap: *mut raw::mnt_idmap,
        _old_dir: *mut raw::inode,
        old: *mut raw::dentry,
        _new_dir: *mut raw::inode,
        new: *mut raw::dentry,
        flags: c_uint,
    ) -> c_int {
        // SAFETY: See above.
        let (old, new) = unsafe { (Child::from_raw(old), Child::from_raw(new)) };
        let locks = RenameLocks { old, new };
        from_result(|| T::rename(old, new, RenameFlags(flags), locks).map(|()| 0))
    }

    /// # Safety
    ///
    /// `inode_operations.tmpfile`.
    unsafe extern "C" fn tmpfile(
        idmap: *mut raw::mnt_idmap,
        dir: *mut raw::inode,
        file: *mut raw::file,
        mode: raw::umode_t,
    ) -> c_int {
        // SAFETY: See above; the file is new and the callee's to open.
        let (idmap, dir, file) = unsafe {
            (
                IdMap::from_raw(idmap),
                InodeOf::from_raw(dir),
                TmpFile::from_raw(file),
            )
        };
        from_result(|| T::tmpfile(idmap, dir, file, Mode::from_bits(mode)).map(|()| 0))
    }

    /// # Safety
    ///
    /// `inode_operations.setattr`.
    unsafe extern "C" fn setattr(
        idmap: *mut raw::mnt_idmap,
        dentry: *mut raw::dentry,
        attr: *mut raw::iattr,
    ) -> c_int {
        // SAFETY: See above; the attributes are the callee's to change.
        let (idmap, dentry, attr) = unsafe {
            (
                IdMap::from_raw(idmap),
                DentryOf::from_raw(dentry),
                SetAttr::from_raw_mut(attr),
            )
        };
        from_result(|| T::setattr(idmap, dentry, attr).map(|()| 0))
    }

    /// # Safety
    ///
    /// `inode_operations.getattr`.
    unsafe extern "C" fn getattr(
        idmap: *mut raw::mnt_idmap,
        path: *const raw::path,
        stat: *mut raw::kstat,
        mask: u32,
        flags: c_uint,
    ) -> c_int {
        // SAFETY: See above; the result is the callee's to fill in.
        let (idmap, mount, dentry, stat) = unsafe {
            (
                IdMap::from_raw(idmap),
                Mount::from_raw((*path).mnt),
                DentryOf::from_raw((*path).dentry),
                Stat::from_raw_mut(stat),
            )
        };
        from_result(|| {
            let (mask, flags) = (StatMask::from_raw(mask), StatFlags::from_raw(flags));
            T::getattr(idmap, mount, dentry, stat, mask, flags).map(|()| 0)
        })
    }

    /// # Safety
    ///
    /// `inode_operations.listxattr`.
    unsafe extern "C" fn listxattr(
        dentry: *mut raw::dentry,
        list: *mut c_char,
        size: usize,
    ) -> isize {
        // SAFETY: See above; the buffer has `size` bytes, which callers do not initialise.
        let (dentry, list) = unsafe {
            let buffer = (!list.is_null() && size > 0).then(|| {
                core::ptr::write_bytes(list.cast::<u8>(), 0, size);
                core::slice::from_raw_parts_mut(list.cast::<u8>(), size)
            });
            (DentryOf::from_raw(dentry), XattrList(buffer))
        };
        match T::listxattr(dentry, list) {
            Ok(len) if size != 0 && len > size => ERANGE.to_errno() as isize,
            Ok(len) => len as isize,
            Err(err) => err.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// `inode_operations.fiemap`.
    unsafe extern "C" fn fiemap(
        inode: *mut raw::inode,
        info: *mut raw::fiemap_extent_info,
        start: u64,
        len: u64,
    ) -> c_int {
        // SAFETY: See above.
        let inode = unsafe { InodeOf::from_raw(inode) };
        from_result(|| {
            let source = T::fiemap_inode(inode)?;
            let real = source.inode.as_ptr();
            // SAFETY: An inode always has operations.
            let fiemap = unsafe { (*(*real).i_op).fiemap }.ok_or(EOPNOTSUPP)?;
            crate::cred::with_creds(source.cred, |_| {
                // SAFETY: The arguments are passed on as they came.
                kernel::error::to_result(unsafe { fiemap(real, info, start, len) })
            })?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `inode_operations.update_time`.
    unsafe extern "C" fn update_time(
        inode: *mut raw::inode,
        kind: raw::fs_update_time,
        flags: c_uint,
    ) -> c_int {
        if kind != raw::fs_update_time_FS_UPD_ATIME {
            return 0;
        }
        // SAFETY: See above.
        let inode = unsafe { InodeOf::from_raw(inode) };
        from_result(|| T::accessed(inode, flags & raw::vfs_const_IOCB_NOWAIT != 0).map(|()| 0))
    }

    /// # Safety
    ///
    /// `inode_operations.fileattr_set`.
    unsafe extern "C" fn fileattr_set(
        _idmap: *mut raw::mnt_idmap,
        dentry: *mut raw::dentry,
        attr: *mut kernel::bindings::file_kattr,
    ) -> c_int {
        // SAFETY: See above; the attributes are the callee's for the call.
        let (dentry, attr) = unsafe {
            (
                DentryOf::from_raw(dentry),
                FileAttr::from_raw_mut(attr.cast()),
            )
        };
        from_result(|| T::fileattr_set(dentry, attr).map(|()| 0))
    }

    /// # Safety
    ///
    /// `inode_operations.fileattr_get`.
    unsafe extern "C" fn fileattr_get(
        dentry: *mut raw::dentry,
        attr: *mut kernel::bindings::file_kattr,
    ) -> c_int {
        // SAFETY: See above; the attributes are the callee's for the call.
        let (dentry, attr) = unsafe {
            (
                DentryOf::from_raw(dentry),
                FileAttr::from_raw_mut(attr.cast()),
            )
        };
        from_result(|| T::fileattr_get(dentry, attr).map(|()| 0))
    }
}
