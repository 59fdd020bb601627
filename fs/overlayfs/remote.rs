// SPDX-License-Identifier: GPL-2.0

//! What the filesystem of an upper layer can do.
//!
//! Most are taken with what they lack. One that has to be asked about each name again,
//! as those of a network, was never taken before, so it can be held to all that layers
//! are made for, by any driver: types in listings, `RENAME_WHITEOUT` and attributes. Of
//! the usual ones it is known what they have on each disk.

use crate::{
    format::xattr::{Attribute, Namespace},
    layers::Features,
    lookup::is_whiteout_device,
    params::show,
    workdir,
    xattr, //
};
use kernel::{
    prelude::*,
    str::BStr,
    sync::aref::ARef, //
};
use vfs::{
    attr::FileType,
    context::{FsContext, Refused},
    dentry::{Dentry, Name},
    file::OpenFile,
    inode::Access,
    inode_ops::RenameFlags,
    mount::PathRef,
    namei::{Creating, Renaming},
    readdir::is_unknown_type, //
};

/// What is done here, for messages.
const TRY: &str = "try what the filesystem of upperdir can do";

/// Filesystems that have `O_TMPFILE` and `RENAME_WHITEOUT`.
const COMPLETE: [&CStr; 4] = [c"btrfs", c"ext4", c"tmpfs", c"xfs"];

/// Tries what the filesystem of upper, which the option names `upper`, can do, in the work
/// directory `work`, which is in `base`, and warns of what it cannot. The caller has write
/// access.
pub(crate) fn probe(
    fc: &FsContext,
    upper: &CStr,
    base: PathRef<'_>,
    work: PathRef<'_>,
    namespace: Namespace,
) -> Result<Features, Refused> {
    let failed = || fc.failed(TRY);
    let types = lists_types(base).map_err(failed())?;
    let is_complete = COMPLETE.contains(&base.mount().super_block().type_name());
    let tmpfile = match is_complete {
        true => work
            .inode()
            .and_then(|inode| inode.permission(work.mount().idmap(), Access::ADD_NAMES)),
        false => OpenFile::tmpfile(work, FileType::Regular.mode(0)).map(drop),
    };
    let tmpfile = match fc.given_memory(TRY, tmpfile)? {
        Ok(()) => true,
        Err(err) if err == EACCES => {
            // Its mode lets in nobody but by capability.
            return Err(fc.error(
                err,
                fmt!("workdir: the mounter may not write to 'work', and lacks CAP_DAC_OVERRIDE"),
            ));
        }
        Err(_) => false,
    };
    let whiteouts = is_complete || makes_whiteouts(work).map_err(failed())?;
    for (can, what) in [
        (types, "types in listings (d_type)"),
        (tmpfile, "O_TMPFILE"),
        (whiteouts, "RENAME_WHITEOUT"),
    ] {
        if !can {
            fc.warn(fmt!("upperdir: the filesystem does not support {what}"));
        }
    }
    let xattr = probe_xattr(fc, work, namespace)?;
    if work.dentry().needs_revalidation() && !(types && whiteouts && xattr) {
        let upper = show(upper);
        return Err(fc.invalid(fmt!(
            "upperdir: the filesystem of '{upper}' can be changed by others, and does not support \
             all that an upper layer needs"
        )));
    }
    Ok(Features { tmpfile, xattr })
}

fn probe_xattr(fc: &FsContext, work: PathRef<'_>, namespace: Namespace) -> Result<bool, Refused> {
    let set = xattr::set_own(namespace, work, Attribute::Opaque, b"0");
    let set = match fc.given_memory(TRY, set)? {
        // There would be one if there were room for it.
        Err(err) if err == ENOSPC || err == EDQUOT => return Ok(true),
        set => set,
    };
    if let Err(err) = set {
        let prefix = BStr::from_bytes(namespace.prefix());
        fc.warn(fmt!(
            "upperdir: attributes {prefix}* cannot be set: directories cannot be made opaque, and \
             inode numbers change at remount"
        ));
        if err == EPERM && namespace == Namespace::Trusted {
            fc.info(fmt!("try mounting with 'userxattr' option"));
        }
        return Ok(false);
    }
    // The directory is removed with it at the latest.
    let _ = xattr::remove_own(namespace, work, Attribute::Opaque);
    Ok(true)
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
        // What stays is removed by the next mount.
        let _ = workdir::remove(work, dentry);
    }
    match renamed {
        Err(err) if err == EINVAL => Ok(false),
        Err(err) => Err(err),
        Ok(()) => Ok(made),
    }
}
