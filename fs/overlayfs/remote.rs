// SPDX-License-Identifier: GPL-2.0

//! What is asked of an upper layer on a filesystem that has to be asked about
//! each name again, as those of a network.
//!
//! Others are taken with what they lack. These were never taken before, so they
//! can be held to all that layers are made for, by any driver: types in listings,
//! `RENAME_WHITEOUT` and attributes.

use crate::{lookup::is_whiteout_device, workdir};
use kernel::{prelude::*, sync::aref::ARef};
use vfs::{
    attr::FileType,
    context::FsContext,
    dentry::{Dentry, Name},
    file::OpenFile,
    inode_ops::RenameFlags,
    mount::PathRef,
    namei::{Creating, Renaming},
    readdir::is_unknown_type, //
};

/// Checks the filesystem of the work directory `work`, which is in `base`, if it
/// is such a one. The caller has write access.
pub(crate) fn check(fc: &FsContext, base: PathRef<'_>, work: PathRef<'_>, xattr: bool) -> Result {
    if !work.dentry().needs_revalidation() {
        return Ok(());
    }
    if !xattr || !lists_types(base)? || !makes_whiteouts(work)? {
        return Err(fc.invalid(fmt!("upperdir: filesystem is missing required features")));
    }
    Ok(())
}

/// Whether listings tell types. There is something to be listed in `dir`.
fn lists_types(dir: PathRef<'_>) -> Result<bool> {
    let mut known = false;
    OpenFile::open(dir, OpenFile::READ)?.read_dir(&mut |entry| {
        if entry.name != b"." && entry.name != b".." {
            known |= !is_unknown_type(entry.d_type);
        }
        Ok(())
    })?;
    Ok(known)
}

const NAMES: [&[u8]; 2] = [b"#before", b"#after"];

/// Whether a rename can leave a whiteout behind, in the empty directory `work`.
fn makes_whiteouts(work: PathRef<'_>) -> Result<bool> {
    let [before, after] = NAMES;
    Creating::start(work, Name::new(before)?)?.create(FileType::Regular.mode(0))?;
    let flags = RenameFlags::WHITEOUT;
    let names = (Name::new(before)?, Name::new(after)?);
    let renamed =
        Renaming::start(work, names.0, work, names.1, flags).and_then(|renaming| renaming.rename());
    let mut left: KVec<ARef<Dentry>> = KVec::new();
    for name in NAMES {
        match work.lookup_positive(Name::new(name)?) {
            Ok(found) => left.push(found, GFP_KERNEL)?,
            Err(err) if err == ENOENT => {}
            Err(err) => return Err(err),
        }
    }
    let made = left.iter().any(|dentry| is_whiteout_device(dentry));
    for dentry in &left {
        workdir::remove(work, dentry)?;
    }
    match renamed {
        Err(err) if err == EINVAL => Ok(false),
        Err(err) => Err(err),
        Ok(()) => Ok(made),
    }
}
