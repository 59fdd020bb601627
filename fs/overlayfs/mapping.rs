// SPDX-License-Identifier: GPL-2.0

//! Shared mappings of lower files, which copy-up switches to upper's.
//!
//! How that is done is told in [`vfs::mapping`]; here is what an overlay adds:
//! which file a mapping is to show, and who looks after mappings whose process
//! was in the way.

use crate::{
    entry::OverlayInode,
    file::open_layer,
    layers::LayerIndex,
    super_block::Super,
    Overlay, //
};
use kernel::{
    cred::Credential,
    fs::{file::flags, LocalFile},
    prelude::*,
    static_lock_class,
    sync::aref::ARef, //
};
use vfs::{
    backing::{BackingFile, Mapped},
    delayed_work::{DelayedWork, Work},
    file::flush_delayed_puts,
    file_ops::{FileOf, FileOperations},
    inode::InodeOf,
    mapping::{self, SharedMapped, SharedMappings, Switchable, Tables},
    mount::PathRef,
    mutex::Mutex,
    trace::Cause, //
};

impl Switchable for Overlay {
    fn mappings(inode: &InodeOf<Self>) -> &SharedMappings {
        &inode.data().mappings
    }

    fn tables(sb: &Super) -> &Tables<Self> {
        &sb.mapping_tables
    }

    fn has_moved(inode: &InodeOf<Self>) -> bool {
        inode.upper_for_mappings().is_some()
    }

    fn open_moved(inode: &InodeOf<Self>, old: &LocalFile) -> Result<BackingFile> {
        let dentry = inode.upper_for_mappings().ok_or(EIO)?;
        let mount = inode.super_data().layers.mount(LayerIndex::UPPER)?;
        // A mapping has no use for direct I/O, which upper may refuse.
        let open_flags = old.flags() & !flags::O_DIRECT;
        open_layer(old, open_flags, inode, PathRef::new(mount, dentry)?)
    }

    fn cred(sb: &Super) -> &Credential {
        &sb.cred
    }

    fn switched(sb: &Super, count: usize) {
        sb.counters.switched_mappings.add(count as u64);
    }
}

/// A mapping of `file` was made, of its file `backing` in a layer.
pub(crate) fn made<T: FileOperations<Fs = Overlay>>(
    file: &FileOf<T>,
    backing: &BackingFile,
    mapped: Mapped<'_, T>,
) -> Result {
    let Some(mapped) = SharedMapped::new(mapped) else {
        return Ok(());
    };
    let inode = file.inode();
    let is_upper = inode
        .upper_for_mappings()
        .is_some_and(|upper| core::ptr::eq(upper, backing.dentry()));
    if is_upper || inode.super_data().layers.upper.is_none() || !mapping::is_enabled() {
        // There is nothing that it could be switched to, or somebody does not want it.
        return Ok(());
    }
    mapping::prepare(file, mapped)
}

/// Has the mappings of `inode` switched, which was just copied up, now or later:
/// they show upper's file in any case. The caller holds no locks of upper.
pub(crate) fn switch_eagerly(inode: &InodeOf<Overlay>) {
    if mapping::switch_unlocked(inode, Cause::CopyUp) > 0 {
        add(&inode.super_data().pending_switches, inode);
    }
}

/// Milliseconds until mappings that could not be switched are tried again, the
/// first time and at most.
const DELAY: (u32, u32) = (4, 1000);

/// Inodes with mappings that could not be switched because their memory map was
/// locked.
///
/// Nothing depends on it but what [`vfs::mapping`] lists, and the lower file's
/// memory.
#[pin_data]
pub(crate) struct PendingSwitches {
    #[pin]
    pending: Mutex<Pending>,
}

struct Pending {
    inodes: KVec<ARef<InodeOf<Overlay>>>,
    delay: u32,
}

impl PendingSwitches {
    /// Nothing is pending.
    pub(crate) fn new() -> Result<Pin<KBox<DelayedWork<Self>>>> {
        let pending = try_pin_init!(Self {
            pending <- Mutex::new(
                Pending {
                    inodes: KVec::new(),
                    delay: DELAY.0,
                },
                c"overlay_pending_switches",
                static_lock_class!(),
            ),
        });
        KBox::pin_init(DelayedWork::new(pending), GFP_KERNEL)
    }

    /// Forgets about all, so that the inodes can go.
    pub(crate) fn clear(&self) {
        let inodes = core::mem::take(&mut self.pending.lock().inodes);
        drop(inodes);
    }
}

/// Adds `inode`, which was copied up and so is not there yet, to be tried soon.
fn add(work: &DelayedWork<PendingSwitches>, inode: &InodeOf<Overlay>) {
    let mut pending = work.pending.lock();
    // Without memory the mappings are switched when they are used.
    let _ = pending.inodes.push(inode.into(), GFP_KERNEL);
    pending.delay = DELAY.0;
    work.schedule(pending.delay);
}

impl Work for PendingSwitches {
    fn run(this: &DelayedWork<Self>) {
        let mut inodes = core::mem::take(&mut this.pending.lock().inodes);
        inodes.retain(|inode| mapping::switch_unlocked::<Overlay>(inode, Cause::Later) > 0);
        // What was replaced must not keep the mount when its user has gone.
        flush_delayed_puts();
        if inodes.is_empty() {
            return;
        }
        let mut pending = this.pending.lock();
        for inode in inodes {
            // As above.
            let _ = pending.inodes.push(inode, GFP_KERNEL);
        }
        pending.delay = pending.delay.saturating_mul(2).min(DELAY.1);
        this.schedule(pending.delay);
    }
}
