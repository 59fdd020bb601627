// SPDX-License-Identifier: GPL-2.0

//! The option `fsync`: what is written to the disk, and when.
//!
//! By default the data of a copy is durable before its name is, so that a crash
//! never leaves an empty file where lower has a full one. With `strict` data and
//! attributes are before the copy gets its name. A volatile mount writes nothing through: it
//! leaves a note in the work directory, so that upper is not taken for complete
//! after a crash, and fails every sync once anything could not be written.

use crate::{
    config::FsyncMode,
    format::workdir::VOLATILE_DIRTY,
    super_block::Super, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    attr::FileType,
    context::{FsContext, Refused},
    dentry::{Dentry, Name},
    file::OpenFile,
    mount::PathRef,
    namei::Creating,
    super_block::{SuperBlock, WritebackErrors}, //
};

/// Remembers which errors upper's filesystem has had before a volatile mount:
/// later ones are the mount's own. `None` for a mount that is not volatile.
///
/// Refused with `EIO` when somebody has still to be told of an earlier error: it
/// would be taken for one of the mount.
pub(crate) fn watch_errors(
    fc: &FsContext,
    mode: FsyncMode,
    upper: &SuperBlock,
) -> Result<Option<WritebackErrors>, Refused> {
    if mode != FsyncMode::Volatile {
        return Ok(None);
    }
    let errors = upper.sample_errors();
    upper.check_errors(errors).map_err(|_| {
        fc.error(
            EIO,
            fmt!(
                "volatile: the filesystem of upperdir has had an error that nobody was told of; \
                 sync it to clear that"
            ),
        )
    })?;
    Ok(Some(errors))
}

/// Notes in the new work directory `work` that upper may be incomplete from now
/// on. The caller has write access.
pub(crate) fn mark_volatile(work: PathRef<'_>) -> Result {
    let [_, dirs @ .., file] = VOLATILE_DIRTY;
    let mut at: ARef<Dentry> = work.dentry().into();
    for name in dirs {
        let creating = new_object(PathRef::new(work.mount(), &at)?, name)?;
        let made = creating.mkdir(FileType::Directory.mode(0))?;
        at = made;
    }
    new_object(PathRef::new(work.mount(), &at)?, file)?.create(FileType::Regular.mode(0))?;
    Ok(())
}

fn new_object<'a>(dir: PathRef<'a>, name: &'static CStr) -> Result<Creating<'a>> {
    let creating = Creating::start(dir, Name::new(name.to_bytes())?)?;
    if !creating.dentry().is_negative() {
        return Err(EEXIST);
    }
    Ok(creating)
}

impl Super {
    /// Whether what users want to be durable is to be: not on a volatile mount,
    /// which fails instead with the first error that upper's filesystem had.
    pub(crate) fn syncs(&self) -> Result<bool> {
        let Ok(upper) = self.layers.upper() else {
            return Ok(true);
        };
        match upper.volatile {
            None => Ok(true),
            Some(since) => {
                let sb = upper.mount().super_block();
                sb.check_errors(since).map(|()| false)
            }
        }
    }

    /// Whether a write that wants to be durable is.
    pub(crate) fn syncs_writes(&self) -> bool {
        self.config.fsync != FsyncMode::Volatile
    }

    /// Makes sure that the data of a copy is durable before anything is that is done with
    /// the copy from here on.
    pub(crate) fn settle_copied_data(&self, copy: &OpenFile) -> Result {
        match self.config.fsync {
            FsyncMode::Volatile => Ok(()),
            // What is done later is not on the disk earlier.
            FsyncMode::Auto if copy.inode().super_block().orders_data() => copy.write_back(),
            FsyncMode::Auto | FsyncMode::Strict => copy.fsync_all(),
        }
    }

    /// Whether data and attributes of a copy are durable before it has its name.
    pub(crate) fn syncs_copied_metadata(&self) -> bool {
        self.config.fsync == FsyncMode::Strict
    }
}
