// SPDX-License-Identifier: GPL-2.0

//! Setting the index up at mount: it has to belong to these layers, and its entries
//! to what they say.

use crate::{
    format::{
        file_handle::FileHandle,
        index::parse_name,
        workdir::is_temp_name,
        xattr::Attribute,
        FormatError,
        Side, //
    },
    handle::{self, Find},
    index::upper_of,
    layers::Upper,
    lookup::is_whiteout_device,
    name_list::NameList,
    nlink,
    origin::{self, is_same_type},
    params::show,
    remove::replace_by_whiteout,
    super_block::Super,
    uuid::UuidMode,
    workdir::{self, WITHOUT_INDEX},
    xattr, //
};
use kernel::{
    prelude::*,
    str::BStr,
    sync::aref::ARef, //
};
use vfs::{
    context::{FsContext, Refused},
    dentry::{Dentry, Name},
    mount::PathRef, //
};

/// Opens the index of `upper`, or makes it, for a mount whose highest lower layer is
/// `lower`. `None` where it cannot be made.
///
/// Fails with `ESTALE` if upper was used with another lower layer.
pub(crate) fn open(
    fc: &FsContext,
    upper: &Upper,
    lower: &Dentry,
    uuid: UuidMode,
) -> Result<Option<ARef<Dentry>>, Refused> {
    let mount = upper.mount();
    let _write = mount.want_write().map_err(fc.failed("write to upperdir"))?;
    let verify = || -> Result {
        let root = PathRef::new(mount, mount.root())?;
        let origin = handle_of(uuid, Side::Lower, lower)?;
        handle::verify_or_store(upper.namespace, root, Attribute::Origin, &origin)
    };
    verify().map_err(|err| match err == ESTALE {
        true => fc.error(
            err,
            fmt!(
                "upperdir: '{}' was used with another lowerdir; {WITHOUT_INDEX}",
                show(&upper.upperdir)
            ),
        ),
        false => fc.failed("compare the origin of upperdir with lowerdir")(err),
    })?;
    let base = PathRef::new(mount, &upper.workbase).map_err(fc.failed("use workdir"))?;
    workdir::open_index(fc, &upper.workdir_option, base)
}

/// Checks that the index belongs to upper, and removes from it what is not needed any
/// more.
///
/// Fails with `ESTALE` if it was used with another upper.
pub(crate) fn check(sb: &Super, fc: &FsContext) -> Result<(), Refused> {
    let Ok(upper) = sb.layers.upper() else {
        return Ok(());
    };
    let Some(index) = upper.index().map_err(fc.failed("use the index"))? else {
        return Ok(());
    };
    verify_upper(upper, index, sb.config.uuid).map_err(|err| match err == ESTALE {
        true => fc.error(
            err,
            fmt!(
                "workdir: '{}/index' was used with another upperdir; {WITHOUT_INDEX}",
                show(&upper.workdir_option)
            ),
        ),
        false => fc.failed("compare the index with upperdir")(err),
    })?;
    clean(sb, upper, index).map_err(|err| {
        let errno = err.to_errno();
        fc.error(
            err,
            fmt!(
                "workdir: '{}/index' cannot be cleaned: error {errno}; {WITHOUT_INDEX}",
                show(&upper.workdir_option)
            ),
        )
    })
}

fn handle_of(uuid: UuidMode, side: Side, dentry: &Dentry) -> Result<FileHandle> {
    handle::encode(uuid, side, dentry.inode().ok_or(ENOENT)?)
}

fn verify_upper(upper: &Upper, index: PathRef<'_>, uuid: UuidMode) -> Result {
    let mount = upper.mount();
    let _write = mount.want_write()?;
    let own = handle_of(uuid, Side::Upper, mount.root())?;
    // Old kernels kept upper's handle as the origin.
    if xattr::has_own(upper.namespace, index, Attribute::Origin)? {
        handle::verify(upper.namespace, index, Attribute::Origin, &own)?;
    }
    handle::verify_or_store(upper.namespace, index, Attribute::Upper, &own)
}

/// What is to be done with an entry.
enum Verdict {
    /// It stays.
    Good,
    /// It says what is not so: it is removed.
    Stale,
    /// It stands for an object that has no name any more.
    Orphan,
}

fn clean(sb: &Super, upper: &Upper, index: PathRef<'_>) -> Result {
    for name in NameList::read(index)?.iter() {
        let entry = match index.lookup_positive(Name::new(name)?) {
            Err(err) if err == ENOENT => continue,
            entry => entry?,
        };
        if is_temp_name(name) {
            let _write = upper.mount().want_write()?;
            workdir::remove_tree(index, &entry)?;
            continue;
        }
        // Without access to write: it may look at a lower overlay.
        let verdict = judge(sb, upper, name, &entry).inspect_err(|err| {
            let (name, errno) = (BStr::from_bytes(name), err.to_errno());
            vfs::pr_warn_ratelimited!("index: entry {name} cannot be understood: error {errno}\n");
        })?;
        if let Verdict::Good = verdict {
            continue;
        }
        let _write = upper.mount().want_write()?;
        match verdict {
            Verdict::Orphan if sb.config.nfs_export => {
                replace_by_whiteout(upper, index, &entry)?;
            }
            // A directory with something in it stays.
            _ => workdir::discard(upper, &entry),
        }
    }
    Ok(())
}

/// Judges an entry; an error if it may be of use to somebody else, or cannot be
/// judged.
fn judge(sb: &Super, upper: &Upper, name: &[u8], entry: &ARef<Dentry>) -> Result<Verdict> {
    let handle = parse_name(name).map_err(|err| match err {
        FormatError::Unknown => ENODATA,
        _ => EINVAL,
    })?;
    // A whiteout stands for what was removed. Entries of directories are for handles.
    if is_whiteout_device(entry) || entry.is_dir() && !sb.config.nfs_export {
        return Ok(Verdict::Good);
    }
    let real = match upper_of(sb, entry, Find::Any) {
        Ok(Some(real)) => real,
        Ok(None) => return Ok(Verdict::Stale),
        Err(err) if err == ESTALE => return Ok(Verdict::Orphan),
        Err(err) => return Err(err),
    };
    match handle::verify(
        upper.namespace,
        upper.path(&real)?,
        Attribute::Origin,
        &handle,
    ) {
        Err(err) if err == ESTALE => return Ok(Verdict::Stale),
        result => result?,
    }
    let links = entry.inode().ok_or(ENOENT)?.nlink();
    if !entry.is_dir() && links == 1 {
        return judge_unlinked(sb, upper, &handle, entry);
    }
    Ok(Verdict::Good)
}

/// Judges the entry of a file that has no name in upper: it may have lower ones.
fn judge_unlinked(
    sb: &Super,
    upper: &Upper,
    handle: &FileHandle,
    entry: &ARef<Dentry>,
) -> Result<Verdict> {
    let Some(origin) = origin::decode(sb, handle, Find::Any)? else {
        return Ok(Verdict::Stale);
    };
    if !is_same_type(&origin.dentry, entry) {
        return Ok(Verdict::Stale);
    }
    let lower = origin.dentry.inode().ok_or(ENOENT)?;
    Ok(
        match nlink::read(upper.namespace, lower, upper.path(entry)?)? {
            Some(_) => Verdict::Good,
            None => Verdict::Orphan,
        },
    )
}
