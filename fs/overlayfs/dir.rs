// SPDX-License-Identifier: GPL-2.0

//! Directories: creating objects.

use crate::{
    copy_up,
    entry::OverlayInode,
    file::{self, RegularFile},
    index,
    inode::inode_operations,
    layered::Objects,
    layers::Upper,
    lookup::{self, fill_inode, is_whiteout},
    metacopy,
    nlink,
    redirect::Reach,
    remove,
    rename,
    workdir,
    written,
    Overlay, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    acl::{Acl, AclType},
    attr::{Device, FileType, Mode, SetAttr},
    backing::BackingFiles,
    cred::{with_creds, NewCred},
    dentry::{Child, Dentry, DentryOf},
    file_ops::TmpFile,
    inode::InodeOf,
    inode_ops::{RenameFlags, RenameLocks},
    mount::{IdMap, PathRef},
    namei::{Creating, Renaming},
    new_inode::{Cached, NewInode},
    trace::Reason, //
};

/// What is to be created.
#[derive(Clone, Copy)]
enum Object<'a> {
    Regular,
    Directory,
    Special(Device),
    Symlink(&'a CStr),
    Link(&'a Dentry),
}

impl Object<'_> {
    /// Makes it under a name that is locked.
    fn make(self, creating: Creating<'_>, mode: Mode) -> Result<ARef<Dentry>> {
        match self {
            Self::Regular => creating.create(mode),
            Self::Directory => creating.mkdir(mode),
            Self::Special(rdev) => creating.mknod(mode, rdev),
            Self::Symlink(target) => creating.symlink(target),
            Self::Link(old) => creating.link(old),
        }
    }
}

/// An object that was made in upper.
struct Made {
    dentry: ARef<Dentry>,
    /// Whether it is a directory that hides those of lower layers.
    opaque: bool,
    /// Whether it has the place of a whiteout.
    over_whiteout: bool,
}

/// Makes an object in upper under the name of `child`. The caller has write
/// access, and acts as the mounter or whoever creates.
fn make_in_upper(
    dir: &InodeOf<Overlay>,
    child: Child<'_, Overlay>,
    object: Object<'_>,
    mode: Mode,
) -> Result<Made> {
    let upper = dir.super_data().layers.upper()?;
    let dir_path = dir.upper_path()?.ok_or(EIO)?;
    let creating = Creating::start(dir_path, child.name())?;
    if creating.dentry().is_negative() {
        let dentry = object.make(creating, mode)?;
        // Lookups need not go below. Without, they find nothing there.
        let opaque = dentry.is_dir()
            && !dir.super_data().config.lower_may_grow()
            && dir.is_merged()
            && workdir::set_opaque(upper, &dentry, EOPNOTSUPP).is_ok();
        return Ok(Made {
            dentry,
            opaque,
            over_whiteout: false,
        });
    }
    if !is_whiteout(upper.namespace, upper.path(creating.dentry())?)? {
        // Somebody changed upper underneath.
        return Err(ESTALE);
    }
    let whiteout = creating.keep();
    make_over_whiteout(upper, dir, dir_path, &whiteout, object, mode)
}

/// Makes an object in the work directory, complete, and replaces a whiteout by
/// it.
fn make_over_whiteout(
    upper: &Upper,
    dir: &InodeOf<Overlay>,
    dir_path: PathRef<'_>,
    whiteout: &Dentry,
    object: Object<'_>,
    mode: Mode,
) -> Result<Made> {
    let inherited = match object {
        Object::Link(_) => None,
        _ => Some(Acl::inherit(dir, mode)?),
    };
    let mode = inherited.as_ref().map_or(mode, |inherited| inherited.mode);
    let made = object.make(workdir::start_temp(upper)?, mode)?;
    let path = upper.path(&made)?;

    let place = || -> Result {
        if let Some(inherited) = &inherited {
            // The work directory may have made something else of it.
            if !mode.is_symlink() && path.inode()?.mode() != mode {
                SetAttr::mode(mode).apply(path)?;
            }
            for (kind, acl) in [
                (AclType::Access, &inherited.access),
                (AclType::Default, &inherited.default),
            ] {
                if let Some(acl) = acl {
                    Acl::set(path, kind, Some(acl))?;
                }
            }
        }
        let is_new_dir = matches!(object, Object::Directory);
        let flags = if is_new_dir {
            RenameFlags::EXCHANGE
        } else {
            RenameFlags::NONE
        };
        if is_new_dir {
            workdir::set_opaque(upper, &made, EIO)?;
        }
        Renaming::start_dentries(upper.work()?, &made, dir_path, whiteout, flags)?.rename()?;
        if is_new_dir {
            workdir::discard(upper, whiteout);
        }
        Ok(())
    };
    if let Err(err) = place() {
        workdir::discard(upper, &made);
        return Err(err);
    }
    Ok(Made {
        dentry: made,
        opaque: matches!(object, Object::Directory),
        over_whiteout: true,
    })
}

/// Creates what is not a link: as the caller, in the layer.
fn create(
    idmap: IdMap<'_>,
    dir: &InodeOf<Overlay>,
    child: Child<'_, Overlay>,
    object: Object<'_>,
    mode: Mode,
) -> Result {
    copy_up::copy_up(child.parent(), Reason::Create)?;
    let sb = dir.super_data();
    let upper = sb.layers.upper()?;
    let _write = upper.mount().want_write()?;
    // Made first: when the object exists, little can fail.
    let mut inode = NewInode::unhashed(dir.super_block_of())?;
    inode.init_owner(idmap, dir, mode);
    let mode = inode.mode();
    let Made {
        dentry: made,
        opaque,
        over_whiteout,
    } = with_creds(&sb.cred, |original| {
        let mut cred = NewCred::prepare()?;
        cred.set_fs_ids_from(&inode);
        cred.create_files_as(&child, mode, original)?;
        with_creds(&cred.freeze(), |_| make_in_upper(dir, child, object, mode))
    })?;
    dir.dir_changed();
    let inode = with_creds(&sb.cred, |_| {
        instantiated(inode, made.clone()).inspect_err(|_| {
            if let Ok(Some(dir)) = dir.upper_path() {
                let undone = match over_whiteout {
                    true => remove::replace_by_whiteout(upper, dir, &made),
                    false => workdir::remove(dir, &made),
                };
                if let Err(err) = undone {
                    vfs::pr_err_ratelimited!("cannot undo a creation: error {}\n", err.to_errno());
                }
            }
        })
    })?;
    if opaque {
        inode.data().set_opaque();
    }
    child.instantiate(inode);
    child.set_revalidation(core::iter::once(&*made));
    Ok(())
}

/// The inode of an object that was created in upper: the one that was made for
/// it, unless somebody has looked it up already.
fn instantiated(inode: NewInode<Overlay>, made: ARef<Dentry>) -> Result<ARef<InodeOf<Overlay>>> {
    let real = made.inode().ok_or(ENOENT)?;
    match inode.insert(real)? {
        Cached::New(inode) => {
            let objects = Objects {
                is_new: true,
                ..Objects::of_upper(made)
            };
            fill_inode(inode, objects, false, None)
        }
        Cached::Existing(inode) => Ok(inode),
    }
}

fn link(old: &DentryOf<Overlay>, dir: &InodeOf<Overlay>, child: Child<'_, Overlay>) -> Result {
    metacopy::copy_up_to_move(old, Reach::Anywhere, Reason::Link)?;
    copy_up::copy_up(child.parent(), Reason::Link)?;
    let inode = old.inode_of().ok_or(ENOENT)?;
    let sb = dir.super_data();
    let upper = sb.layers.upper()?;
    // Nobody adds another name meanwhile: the count of an indexed file is kept.
    let _settled = inode.data().copy_up.lock_killable()?;
    let Made { dentry: made, .. } = with_creds(&sb.cred, |_| {
        if inode.has_origin() {
            copy_up::set_impure(dir)?;
        }
        let _write = upper.mount().want_write()?;
        metacopy::set_redirect(old, Reach::Anywhere)?;
        nlink::before_change(inode)?;
        let old = inode.upper_path()?.ok_or(EIO)?;
        make_in_upper(dir, child, Object::Link(old.dentry()), inode.mode())
    })?;
    dir.dir_changed();
    inode.copy_attr()?;
    inode.inc_nlink();
    index::set_named_in_upper(&child);
    child.instantiate(inode.into());
    child.set_revalidation(core::iter::once(&*made));
    Ok(())
}

fn tmpfile(
    idmap: IdMap<'_>,
    dir: &InodeOf<Overlay>,
    file: TmpFile<'_, Overlay>,
    mode: Mode,
) -> Result {
    let dentry = file.user_file().dentry();
    let sb = dir.super_data();
    let upper = sb.layers.upper()?;
    if !upper.features.tmpfile {
        return Err(EOPNOTSUPP);
    }
    copy_up::copy_up(&dentry.parent_of(), Reason::Create)?;
    let _write = upper.mount().want_write()?;
    let mut inode = NewInode::unhashed(dir.super_block_of())?;
    inode.init_owner(idmap, dir, mode);
    let mode = inode.mode();
    let dir_path = dir.upper_path()?.ok_or(EIO)?;
    let backing = with_creds(&sb.cred, |original| {
        let mut cred = NewCred::prepare()?;
        cred.set_fs_ids_from(&inode);
        cred.create_files_as(dentry, mode, original)?;
        let cred = cred.freeze();
        with_creds(&cred, |_| {
            file::open_tmpfile(file.user_file(), dir_path, mode, &cred)
        })
    })?;
    let made = ARef::from(backing.dentry());
    let inode = with_creds(&sb.cred, |_| instantiated(inode, made))?;
    written::note(&inode);
    file.finish::<RegularFile>(inode, BackingFiles::new(backing))
}

/// Operations on directories.
pub(crate) struct Directory;

inode_operations!(Directory, {
    fn lookup(
        dir: &InodeOf<Overlay>,
        child: Child<'_, Overlay>,
    ) -> Result<Option<ARef<InodeOf<Overlay>>>> {
        lookup::lookup(dir, child)
    }

    fn create(
        idmap: IdMap<'_>,
        dir: &InodeOf<Overlay>,
        child: Child<'_, Overlay>,
        permissions: Mode,
    ) -> Result {
        let mode = FileType::Regular.mode(permissions.permissions());
        create(idmap, dir, child, Object::Regular, mode)
    }

    fn mkdir(
        idmap: IdMap<'_>,
        dir: &InodeOf<Overlay>,
        child: Child<'_, Overlay>,
        permissions: Mode,
    ) -> Result {
        let mode = FileType::Directory.mode(permissions.permissions());
        create(idmap, dir, child, Object::Directory, mode)
    }

    fn mknod(
        idmap: IdMap<'_>,
        dir: &InodeOf<Overlay>,
        child: Child<'_, Overlay>,
        mode: Mode,
        rdev: Device,
    ) -> Result {
        // It would vanish as soon as it were made.
        if mode.file_type() == Some(FileType::CharDevice) && rdev == Device::WHITEOUT {
            return Err(EPERM);
        }
        create(idmap, dir, child, Object::Special(rdev), mode)
    }

    fn symlink(
        idmap: IdMap<'_>,
        dir: &InodeOf<Overlay>,
        child: Child<'_, Overlay>,
        target: &CStr,
    ) -> Result {
        create(
            idmap,
            dir,
            child,
            Object::Symlink(target),
            FileType::Symlink.mode(0),
        )
    }

    fn link(old: &DentryOf<Overlay>, dir: &InodeOf<Overlay>, child: Child<'_, Overlay>) -> Result {
        link(old, dir, child)
    }

    fn tmpfile(
        idmap: IdMap<'_>,
        dir: &InodeOf<Overlay>,
        file: TmpFile<'_, Overlay>,
        mode: Mode,
    ) -> Result {
        tmpfile(idmap, dir, file, mode)
    }

    fn unlink(dir: &InodeOf<Overlay>, child: Child<'_, Overlay>) -> Result {
        remove::remove(dir, child)
    }

    fn rmdir(dir: &InodeOf<Overlay>, child: Child<'_, Overlay>) -> Result {
        remove::remove(dir, child)
    }

    fn rename(
        old: Child<'_, Overlay>,
        new: Child<'_, Overlay>,
        flags: RenameFlags,
        locks: RenameLocks<'_, Overlay>,
    ) -> Result {
        rename::rename(old, new, flags, locks)
    }
});
