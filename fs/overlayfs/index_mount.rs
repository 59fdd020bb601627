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
    nlink,
    origin::{self, is_same_type},
    remove::replace_by_whiteout,
    super_block::Super,
    workdir,
    xattr, //
};
use kernel::{
    prelude::*,
    str::BStr,
    sync::aref::ARef, //
};
use vfs::{
    context::FsContext,
    dentry::{Dentry, Name},
    mount::PathRef, //
};

/// Opens the index, or makes it, and removes from it what is not needed any more.
///
/// Fails with `ESTALE` if upper was used with another lower layer, or the index
/// with another upper.
pub(crate) fn open(sb: &Super, fc: &FsContext) -> Result {
    let upper = sb.layers.upper()?;
    let mount = upper.mount();
    let root = PathRef::new(mount, mount.root())?;
    let lower = sb.layers.lower_mounts.first().ok_or(EINVAL)?.root();
    let uuid = sb.config.uuid;
    let handle_of = |side, dentry: &Dentry| {
        let inode = dentry.inode().ok_or(ENOENT)?;
        handle::encode(uuid, side, inode)
    };

    let write = mount.want_write()?;
    let origin = handle_of(Side::Lower, lower)?;
    handle::verify_or_store(root, Attribute::Origin, &origin).map_err(|err| {
        let why = "upperdir was used with another lowerdir";
        fc.error(err, fmt!("{why}; {WITHOUT}"))
    })?;

    let base = PathRef::new(mount, &upper.workbase)?;
    let index = workdir::open_index(fc, base)?;
    upper.set_index(index)?;
    let index = upper.index()?.ok_or(EIO)?;
    let own = handle_of(Side::Upper, mount.root())?;
    // Old kernels kept upper's handle as the origin.
    let old = match xattr::has_own(index, Attribute::Origin)? {
        true => handle::verify(index, Attribute::Origin, &own),
        false => Ok(()),
    };
    old.and_then(|()| handle::verify_or_store(index, Attribute::Upper, &own))
        .map_err(|err| {
            let why = "the index was used with another upperdir";
            fc.error(err, fmt!("{why}; {WITHOUT}"))
        })?;
    drop(write);
    clean(sb, upper, index).map_err(|err| {
        let errno = err.to_errno();
        fc.error(
            err,
            fmt!("cannot clean the index: error {errno}; {WITHOUT}"),
        )
    })
}

/// What a user can do.
const WITHOUT: &str = "remove the directory 'index' in workdir, or mount with index=off";

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
    for name in &workdir::names_in(index)? {
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
            pr_warn!("index: entry {name} cannot be understood: error {errno}\n");
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
    match handle::verify(upper.path(&real)?, Attribute::Origin, &handle) {
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
    Ok(match nlink::read(lower, upper.path(entry)?)? {
        Some(_) => Verdict::Good,
        None => Verdict::Orphan,
    })
}
