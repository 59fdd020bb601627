// SPDX-License-Identifier: GPL-2.0

//! The work directory: where objects are made before they are moved into upper.

use crate::{
    config::{Config, FsyncMode},
    durability,
    format::{
        opaque::Opaque,
        workdir::{write_temp_name, INCOMPAT, INDEX, WORK},
        xattr::Attribute, //
    },
    layers::{Features, Upper},
    name_list::NameList,
    params::show,
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
    context::{FsContext, Refused},
    dentry::{Dentry, Name},
    file::killed,
    fileattr::FileAttr,
    mount::PathRef,
    namei::{Creating, Removing, Renaming}, //
};

/// What is done here, for messages.
const MAKE: &str = "make the work directory";

/// A work directory, if it could be made.
pub(crate) struct Made {
    /// `work`.
    pub(crate) workdir: Option<ARef<Dentry>>,
    /// What the filesystem can do.
    pub(crate) features: Features,
}

/// Makes an empty directory `work` in `base`, removing what an earlier mount may
/// have left there, or uses the one that it left. Where that cannot be, the mount goes on
/// without, and is read-only. The options name `upper` and `work`.
pub(crate) fn make(
    fc: &FsContext,
    (upper, work): (&CStr, &CStr),
    base: PathRef<'_>,
    config: &Config,
) -> Result<Made, Refused> {
    let _write = base
        .mount()
        .want_write()
        .map_err(fc.failed("write to upperdir"))?;
    let workdir = match take_or_remove_old(fc, base, work)? {
        Some(old) => Ok(old),
        None => fc.given_memory(MAKE, create(base))?,
    };
    let workdir = match workdir {
        Ok(workdir) => workdir,
        Err(err) => {
            cannot_make(fc, work, WORK, err);
            let features = Features {
                tmpfile: false,
                xattr: true,
            };
            return Ok(Made {
                workdir: None,
                features,
            });
        }
    };
    let path = PathRef::new(base.mount(), &workdir).map_err(fc.failed("use workdir"))?;
    let features = remote::probe(fc, upper, base, path, config.namespace)?;
    if config.fsync == FsyncMode::Volatile {
        durability::mark_volatile(path)
            .map_err(fc.failed("make 'work/incompat/volatile' in workdir"))?;
    }
    Ok(Made {
        workdir: Some(workdir),
        features,
    })
}

/// Whether a former `work` is as [`create`] would make it in `base`, but for what is in it.
fn is_as_made(base: PathRef<'_>, work: PathRef<'_>) -> Result<bool> {
    let (dentry, inode) = (work.dentry(), work.inode()?);
    let is_private = inode.mode() == FileType::Directory.mode(0)
        && inode.is_as_own(work.mount().idmap())
        && dentry.lists_xattr()
        && dentry.list_xattr(&mut [])? == 0;
    if !is_private {
        return Ok(false);
    }
    // What is made in it has to be of the same project, say, as what is in upper.
    let (mut of_base, mut of_work) = (FileAttr::empty(), FileAttr::empty());
    match of_base.get(base).and_then(|()| of_work.get(work)) {
        Err(err) if err == ENOTTY || err == EOPNOTSUPP => Ok(true),
        result => result.map(|()| of_work.gives_same_as(&of_base)),
    }
}

/// Removes what is in a former `work`. Answers whether it can be used again: removing and making
/// it is most of what mounting again takes.
fn empty_old(base: PathRef<'_>, old: &Dentry) -> Result<bool> {
    let work = PathRef::new(base.mount(), old)?;
    if !is_as_made(base, work)? {
        return Ok(false);
    }
    for name in NameList::read(work)?.iter() {
        let left = work.lookup_positive(Name::new(name)?)?;
        remove_tree(work, &left)?;
    }
    Ok(true)
}

/// A former `work`, emptied, if it can be used again. Else it is removed, unless it says that it
/// must not be used. If something stays, making the directory fails.
fn take_or_remove_old(
    fc: &FsContext,
    base: PathRef<'_>,
    work: &CStr,
) -> Result<Option<ARef<Dentry>>, Refused> {
    let find = || base.lookup_positive(Name::new(WORK.to_bytes())?);
    let Ok(old) = fc.given_memory(MAKE, find())? else {
        return Ok(None);
    };
    match fc.given_memory(MAKE, has_incompatible_feature(base, &old))? {
        Ok(true) => Err(fc.invalid(fmt!(
            "workdir: 'work/incompat' in '{}' says that a former mount was volatile; its data may be \
             incomplete. Remove the directory to mount all the same",
            show(work)
        ))),
        Ok(false) => {
            if let Ok(true) = fc.given_memory(MAKE, empty_old(base, &old))? {
                return Ok(Some(old));
            }
            let _ = fc.given_memory(MAKE, remove_tree(base, &old))?;
            Ok(None)
        }
        // It may say so.
        Err(_) => Ok(None),
    }
}

fn create(base: PathRef<'_>) -> Result<ARef<Dentry>> {
    let creating = Creating::start(base, Name::new(WORK.to_bytes())?)?;
    match creating.dentry().is_negative() {
        true => make_private(base, creating),
        false => Err(EEXIST),
    }
}

/// Warns of a directory that could not be made in the work directory `work`.
fn cannot_make(fc: &FsContext, work: &CStr, name: &CStr, err: Error) {
    let (work, name, errno) = (show(work), show(name), err.to_errno());
    fc.warn(fmt!(
        "workdir: cannot make an empty directory '{work}/{name}' (error {errno}), mounting \
         read-only"
    ));
}

/// Opens the directory `index` in `base`, which the option names `work`, or makes it;
/// `None` where that cannot be. The caller has write access.
pub(crate) fn open_index(
    fc: &FsContext,
    work: &CStr,
    base: PathRef<'_>,
) -> Result<Option<ARef<Dentry>>, Refused> {
    let open = || -> Result<ARef<Dentry>> {
        let creating = Creating::start(base, Name::new(INDEX.to_bytes())?)?;
        match creating.dentry().is_negative() {
            true => make_private(base, creating),
            false => Ok(creating.keep()),
        }
    };
    match fc.given_memory(MAKE, open())? {
        Ok(index) if index.is_dir() => Ok(Some(index)),
        Ok(_) => Err(fc.error(
            ENOTDIR,
            fmt!(
                "workdir: '{}/index' is not a directory; {WITHOUT_INDEX}",
                show(work)
            ),
        )),
        Err(err) => {
            cannot_make(fc, work, INDEX, err);
            Ok(None)
        }
    }
}

/// What a user can do who cannot mount with an index.
pub(crate) const WITHOUT_INDEX: &str =
    "remove the directory 'index' in workdir, or mount with index=off";

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
fn has_incompatible_feature(base: PathRef<'_>, work: &Dentry) -> Result<bool> {
    let work = PathRef::new(base.mount(), work)?;
    if !work.dentry().is_dir() {
        return Ok(false);
    }
    let incompat = match work.lookup_positive(Name::new(INCOMPAT.to_bytes())?) {
        Ok(incompat) => incompat,
        Err(err) if err == ENOENT => return Ok(false),
        Err(err) => return Err(err),
    };
    let names = NameList::read(PathRef::new(work.mount(), &incompat)?)?;
    Ok(!names.is_empty())
}

/// Whether a directory of upper has nothing in it, not even whiteouts.
pub(crate) fn is_empty(dir: PathRef<'_>) -> Result<bool> {
    Ok(NameList::read(dir)?.is_empty())
}

/// Removes `child` of `dir` with all that is in it. The caller has write access.
pub(crate) fn remove_tree(dir: PathRef<'_>, child: &Dentry) -> Result {
    // An explicit stack: nothing bounds how deep leftovers are, nor how many.
    let mut stack: KVVec<(ARef<Dentry>, ARef<Dentry>, bool)> = KVVec::new();
    stack.push(
        (dir.dentry().into(), child.into(), false),
        GFP_KERNEL_ACCOUNT,
    )?;
    while let Some((parent, child, emptied)) = stack.pop() {
        if killed() {
            return Err(EINTR);
        }
        if child.is_dir() && !emptied {
            let dirs = remove_entries(PathRef::new(dir.mount(), &child)?)?;
            if !dirs.is_empty() {
                stack.push((parent, child.clone(), true), GFP_KERNEL_ACCOUNT)?;
                for inner in dirs {
                    stack.push((child.clone(), inner, false), GFP_KERNEL_ACCOUNT)?;
                }
                continue;
            }
        }
        remove(PathRef::new(dir.mount(), &parent)?, &child)?;
    }
    Ok(())
}

/// Removes what is in `dir`, but for directories, and answers these.
fn remove_entries(dir: PathRef<'_>) -> Result<KVVec<ARef<Dentry>>> {
    let mut dirs = KVVec::new();
    for name in NameList::read(dir)?.iter() {
        if killed() {
            return Err(EINTR);
        }
        let removing = match Removing::start(dir, Name::new(name)?) {
            Err(err) if err == ENOENT => continue,
            removing => removing?,
        };
        if removing.dentry().is_dir() {
            dirs.push(removing.keep(), GFP_KERNEL_ACCOUNT)?;
        } else {
            removing.remove()?;
        }
    }
    Ok(dirs)
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
        vfs::pr_err_ratelimited!(
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
    if !upper.features.xattr {
        return Err(unsupported);
    }
    xattr::set_own(
        upper.namespace,
        upper.path(dir)?,
        Attribute::Opaque,
        Opaque::Opaque.as_bytes(),
    )
}

/// As [`discard`], for a directory that still has whiteouts.
pub(crate) fn discard_tree(upper: &Upper, child: &Dentry) {
    if let Err(err) = upper.work().and_then(|work| remove_tree(work, child)) {
        vfs::pr_err_ratelimited!(
            "cannot remove a temporary directory: error {}\n",
            err.to_errno()
        );
    }
}
