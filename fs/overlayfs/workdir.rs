// SPDX-License-Identifier: GPL-2.0

//! The work directory: where objects are made before they are moved into upper.

use crate::{
    config::{Config, FsyncMode},
    durability,
    format::{
        opaque::Opaque,
        workdir::{write_temp_name, INCOMPAT, INDEX, WORK}, //
    },
    layers::{Features, Upper},
    remote,
    xattr, //
};
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{ordering, Atomic}, //
    },
};
use vfs::{
    acl::{Acl, AclType},
    attr::{FileType, SetAttr},
    context::FsContext,
    dentry::{Dentry, Name},
    file::OpenFile,
    mount::PathRef,
    namei::{Creating, Removing, Renaming}, //
};

/// A work directory that was made.
pub(crate) struct Made {
    /// `work`.
    pub(crate) workdir: ARef<Dentry>,
    /// What the filesystem can do.
    pub(crate) features: Features,
}

/// Makes an empty directory `work` in `base`, removing what an earlier mount may
/// have left there.
pub(crate) fn make(fc: &FsContext, base: PathRef<'_>, config: &Config) -> Result<Made> {
    let _write = base.mount().want_write()?;
    let workdir = create(fc, base)
        .map_err(|err| fc.error(err, fmt!("workdir: cannot make an empty directory 'work'")))?;
    let work = PathRef::new(base.mount(), &workdir)?;
    let tmpfile = OpenFile::tmpfile(work, FileType::Regular.mode(0)).is_ok();
    if !tmpfile {
        fc.warn(fmt!("upperdir: filesystem does not support O_TMPFILE"));
    }
    let xattr = probe_xattr(fc, work);
    remote::check(fc, base, work, xattr)?;
    if config.fsync == FsyncMode::Volatile {
        durability::mark_volatile(work)
            .map_err(|err| fc.error(err, fmt!("workdir: cannot make 'work/incompat/volatile'")))?;
    }
    Ok(Made {
        workdir,
        features: Features { tmpfile, xattr },
    })
}

fn probe_xattr(fc: &FsContext, work: PathRef<'_>) -> bool {
    use crate::format::xattr::Attribute;
    let probe = xattr::set_own(work, Attribute::Opaque, b"0");
    if probe.is_err() {
        fc.warn(fmt!(
            "upperdir: filesystem does not take trusted.overlay attributes: directories cannot be \
             made opaque, and inode numbers change at remount"
        ));
        return false;
    }
    // The directory is removed with it at the latest.
    let _ = work.remove_xattr(xattr::NAMESPACE.name(Attribute::Opaque));
    true
}

fn create(fc: &FsContext, base: PathRef<'_>) -> Result<ARef<Dentry>> {
    let name = Name::new(WORK.to_bytes())?;
    let mut creating = Creating::start(base, name)?;
    if !creating.dentry().is_negative() {
        let old = creating.keep();
        let path = PathRef::new(base.mount(), &old)?;
        if has_incompatible_feature(path)? {
            return Err(fc.invalid(fmt!(
                "workdir: 'work/incompat' says that a former mount was volatile; its data may be \
                 incomplete. Remove the directory to mount all the same"
            )));
        }
        remove_tree(base, &old)?;
        creating = Creating::start(base, name)?;
        if !creating.dentry().is_negative() {
            return Err(EEXIST);
        }
    }
    make_private(base, creating)
}

/// Opens the directory `index` in `base`, or makes it. The caller has write access.
pub(crate) fn open_index(fc: &FsContext, base: PathRef<'_>) -> Result<ARef<Dentry>> {
    let open = || -> Result<ARef<Dentry>> {
        let creating = Creating::start(base, Name::new(INDEX.to_bytes())?)?;
        if creating.dentry().is_negative() {
            return make_private(base, creating);
        }
        let index = creating.keep();
        if index.is_dir() {
            Ok(index)
        } else {
            Err(ENOTDIR)
        }
    };
    open().map_err(|err| fc.error(err, fmt!("workdir: cannot make a directory 'index'")))
}

/// Makes a directory that nobody but the overlay uses.
fn make_private(base: PathRef<'_>, creating: Creating<'_>) -> Result<ARef<Dentry>> {
    let workdir = creating.mkdir(FileType::Directory.mode(0))?;
    let path = PathRef::new(base.mount(), &workdir)?;
    // What is made here inherits nothing: neither ACLs nor mode bits.
    for kind in [AclType::Default, AclType::Access] {
        match Acl::set(path, kind, None) {
            Err(err) if err != ENODATA && err != EOPNOTSUPP => return Err(err),
            _ => {}
        }
    }
    SetAttr::mode(FileType::Directory.mode(0)).apply(path)?;
    Ok(workdir)
}

/// Whether a former mount left a note that this work directory must not be used
/// as it is.
fn has_incompatible_feature(work: PathRef<'_>) -> Result<bool> {
    if !work.dentry().is_dir() {
        return Ok(false);
    }
    let incompat = match work.lookup_positive(Name::new(INCOMPAT.to_bytes())?) {
        Ok(incompat) => incompat,
        Err(err) if err == ENOENT => return Ok(false),
        Err(err) => return Err(err),
    };
    let names = names_in(PathRef::new(work.mount(), &incompat)?)?;
    Ok(!names.is_empty())
}

/// The names in a directory of upper.
pub(crate) fn names_in(dir: PathRef<'_>) -> Result<KVec<KVec<u8>>> {
    names_of_type(dir, |_| true)
}

/// The names in a directory of upper of which `wanted` says that their type
/// matters: `DT_*`.
pub(crate) fn names_of_type(
    dir: PathRef<'_>,
    wanted: impl Fn(u8) -> bool,
) -> Result<KVec<KVec<u8>>> {
    let mut names = KVec::new();
    if !dir.dentry().is_dir() {
        return Ok(names);
    }
    let mut file = OpenFile::open(dir, OpenFile::READ)?;
    file.read_dir(&mut |entry| {
        if entry.name != b"." && entry.name != b".." && wanted(entry.d_type) {
            let mut name = KVec::new();
            name.extend_from_slice(entry.name, GFP_KERNEL)?;
            names.push(name, GFP_KERNEL)?;
        }
        Ok(())
    })?;
    Ok(names)
}

/// Whether a directory of upper has nothing in it, not even whiteouts.
pub(crate) fn is_empty(dir: PathRef<'_>) -> Result<bool> {
    Ok(names_in(dir)?.is_empty())
}

/// Removes `child` of `dir` with all that is in it. The caller has write access.
pub(crate) fn remove_tree(dir: PathRef<'_>, child: &Dentry) -> Result {
    // An explicit stack: nothing bounds how deep leftovers are.
    let mut stack: KVec<(ARef<Dentry>, ARef<Dentry>, bool)> = KVec::new();
    stack.push((dir.dentry().into(), child.into(), false), GFP_KERNEL)?;
    while let Some((parent, child, emptied)) = stack.pop() {
        let path = PathRef::new(dir.mount(), &child)?;
        if child.is_dir() && !emptied {
            let names = names_in(path)?;
            if !names.is_empty() {
                stack.push((parent, child.clone(), true), GFP_KERNEL)?;
                for name in &names {
                    match path.lookup_positive(Name::new(name)?) {
                        Ok(inner) => stack.push((child.clone(), inner, false), GFP_KERNEL)?,
                        Err(err) if err == ENOENT => {}
                        Err(err) => return Err(err),
                    }
                }
                continue;
            }
        }
        remove(PathRef::new(dir.mount(), &parent)?, &child)?;
    }
    Ok(())
}

/// Removes `child` of `dir`, an empty directory or anything else. The caller has
/// write access.
pub(crate) fn remove(dir: PathRef<'_>, child: &Dentry) -> Result {
    Removing::start_dentry(dir, child)?.remove()
}

/// As [`remove`], for what cannot be undone otherwise: a failure leaves
/// something in the work directory, which the next mount removes.
pub(crate) fn discard(upper: &Upper, child: &Dentry) {
    if let Err(err) = upper.work().and_then(|work| remove(work, child)) {
        pr_err!(
            "cannot remove a temporary object: error {}\n",
            err.to_errno()
        );
    }
}

/// Numbers of temporary names; that they repeat after a while does no harm.
static TEMP_ID: Atomic<u32> = Atomic::new(0);

/// Locks a new name in the work directory. The caller has write access.
pub(crate) fn start_temp(upper: &Upper) -> Result<Creating<'_>> {
    with_temp_name(|name| {
        let creating = Creating::start(upper.work()?, name)?;
        if !creating.dentry().is_negative() {
            return Err(ESTALE);
        }
        Ok(creating)
    })
}

/// Moves an object of upper's directory `dir` to the work directory. The caller
/// has write access.
pub(crate) fn take(upper: &Upper, dir: PathRef<'_>, object: &Dentry) -> Result {
    with_temp_name(|name| Renaming::start_to_new_name(dir, object, upper.work()?, name)?.rename())
}

fn with_temp_name<R>(f: impl FnOnce(Name<'_>) -> Result<R>) -> Result<R> {
    let id = TEMP_ID.fetch_add(1, ordering::Relaxed).wrapping_add(1);
    let mut buffer = Default::default();
    let name = write_temp_name(id, &mut buffer).map_err(|_| EINVAL)?;
    f(Name::new(name.to_bytes())?)
}

/// Makes a directory opaque: what lower layers have under its name is hidden.
/// The caller has write access.
pub(crate) fn set_opaque(upper: &Upper, dir: &Dentry, unsupported: Error) -> Result {
    use crate::format::xattr::Attribute;
    if !upper.features.xattr {
        return Err(unsupported);
    }
    xattr::set_own(
        upper.path(dir)?,
        Attribute::Opaque,
        Opaque::Opaque.as_bytes(),
    )
}

/// As [`discard`], for a directory that still has whiteouts.
pub(crate) fn discard_tree(upper: &Upper, child: &Dentry) {
    if let Err(err) = upper.work().and_then(|work| remove_tree(work, child)) {
        pr_err!(
            "cannot remove a temporary directory: error {}\n",
            err.to_errno()
        );
    }
}
