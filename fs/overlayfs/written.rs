// SPDX-License-Identifier: GPL-2.0

//! Which files of upper were written through the overlay: syncing that writes them, and
//! not whatever else is dirty in upper's filesystem, which may be that of all
//! containers.
//!
//! Data alone has to be known. What else was changed is in the journal or the
//! transaction of the filesystem, which is committed as a whole; so this is done with
//! filesystems that have one, unless times are kept in memory, and others are synced as a
//! whole.
//!
//! A file is noted when it has been opened for writing, and stays noted as long as it
//! is open or dirty. Each sweep begins a new list; an overlay inode remembers the sweep
//! since which upper's is in the list. A file that is opened after a sweep began is
//! noted anew, one that was before is seen by that sweep to be open.

use crate::{
    entry::OverlayInode,
    super_block::Super,
    Overlay, //
};
use kernel::{
    prelude::*,
    rbtree::RBTree,
    static_lock_class,
    sync::{
        aref::ARef,
        atomic::{ordering, Atomic}, //
    },
};
use vfs::{
    delayed_work::{DelayedWork, Work},
    inode::{Inode, InodeOf},
    mutex::Mutex,
    super_block::SuperBlock, //
};

/// Filesystems whose `sync_fs()` makes all durable but data that is dirty in the page
/// cache.
const JOURNALING: [&CStr; 3] = [c"btrfs", c"ext4", c"xfs"];

/// Milliseconds until files that are clean and closed are forgotten.
const SWEEP_DELAY: u32 = 10_000;

/// The files of upper that may have dirty data. What is kept of them are references to
/// upper's inodes.
#[pin_data]
pub(crate) struct Written {
    /// Whether files are noted.
    is_kept: bool,
    /// Whether upper's filesystem may sync without telling its device to.
    needs_flush: bool,
    /// Counts sweeps, from 1 on. Changes under the lock of `list`.
    sweep: Atomic<u32>,
    #[pin]
    list: Mutex<List>,
    /// Held by a sweep, whose files are not in the list. Taken before `list`.
    #[pin]
    sweeping: Mutex<()>,
}

#[derive(Default)]
struct List {
    /// By their addresses: a file that stays open and is opened again is there once.
    inodes: RBTree<usize, ARef<Inode>>,
    /// Whether there was no memory to note one.
    is_incomplete: bool,
}

impl Written {
    /// Nothing was written to `upper` yet, if there is one that is ever synced.
    pub(crate) fn new(upper: Option<&SuperBlock>) -> Result<Pin<KBox<DelayedWork<Self>>>> {
        let is_kept = upper.is_some_and(|sb| JOURNALING.contains(&sb.type_name()));
        // xfs has its log written, which flushes the device before; but not if somebody else
        // has had it written since, while the data was on its way. `fsync(2)` there looks.
        let needs_flush = upper.is_some_and(|sb| sb.type_name() == c"xfs");
        let written = try_pin_init!(Self {
            is_kept,
            needs_flush,
            sweep: Atomic::new(1),
            list <- Mutex::new(List::default(), c"overlay_written", static_lock_class!()),
            sweeping <- Mutex::new((), c"overlay_sweeping", static_lock_class!()),
        });
        KBox::pin_init(DelayedWork::new(written), GFP_KERNEL)
    }

    /// Begins a sweep.
    fn take(&self) -> List {
        let mut list = self.list.lock();
        // Whoever has opened a file and does not see this yet has it counted as open, which is
        // looked at later.
        self.sweep.fetch_add(1, ordering::Full);
        core::mem::take(&mut *list)
    }

    /// Ends a sweep: what is written by others or may be goes back.
    fn put_back(this: &DelayedWork<Self>, mut swept: List) {
        // The others go without the lock: that may be the end of one without a name.
        let mut next = swept.inodes.cursor_front_mut();
        while let Some(cursor) = next {
            let (_, inode) = cursor.current();
            next = if inode.is_open_for_write() || inode.is_dirty() {
                cursor.move_next()
            } else {
                cursor.remove_current().0
            };
        }
        let mut list = this.list.lock();
        list.is_incomplete |= swept.is_incomplete;
        while let Some(cursor) = swept.inodes.cursor_front_mut() {
            list.inodes.insert(cursor.remove_current().1);
        }
        if !list.inodes.is_empty() {
            this.schedule(SWEEP_DELAY);
        }
    }
}

impl Work for Written {
    fn run(this: &DelayedWork<Self>) {
        let _sweeping = this.sweeping.lock();
        let swept = this.take();
        Self::put_back(this, swept);
    }
}

/// Notes that upper's file of `inode` has been opened for writing, or its data changed
/// otherwise.
pub(crate) fn note(inode: &InodeOf<Overlay>) {
    let (written, entry) = (&inode.super_data().written, inode.data());
    if !written.is_kept
        || entry.written.load(ordering::Relaxed) == written.sweep.load(ordering::Relaxed)
    {
        return;
    }
    let Some(upper) = inode.upper().and_then(|upper| upper.inode()) else {
        return;
    };
    let mut list = written.list.lock();
    let sweep = written.sweep.load(ordering::Relaxed);
    if entry.written.load(ordering::Relaxed) == sweep {
        return;
    }
    entry.written.store(sweep, ordering::Relaxed);
    if list.inodes.is_empty() {
        written.schedule(SWEEP_DELAY);
    }
    let address = core::ptr::from_ref(upper).addr();
    let added = list
        .inodes
        .try_create_and_insert(address, upper.into(), GFP_KERNEL_ACCOUNT);
    list.is_incomplete |= added.is_err();
}

/// Forgets upper's file of `inode` if it has no name any more: nobody can ask for it to be
/// durable, and its space is to be free as soon as nobody has it open. A sweep that goes on
/// may remember it until its end.
pub(crate) fn forget(inode: &InodeOf<Overlay>) {
    let (written, entry) = (&inode.super_data().written, inode.data());
    let Some(upper) = inode.upper().and_then(|upper| upper.inode()) else {
        return;
    };
    if upper.nlink() > 0 || entry.written.load(ordering::Relaxed) == 0 {
        return;
    }
    let address = core::ptr::from_ref(upper).addr();
    let forgotten = written.list.lock().inodes.remove(&address);
    // Not with the lock.
    drop(forgotten);
}

/// Makes durable what was changed through the overlay. Errors of writing data are told
/// to those who have the files open, as with other filesystems.
pub(crate) fn sync(sb: &Super, upper: &SuperBlock) -> Result {
    let written = &sb.written;
    // Times that are kept in memory are in no journal, those of files that were only read
    // included.
    if !written.is_kept || upper.is_lazytime() || !write(written) {
        upper.sync()?;
    } else {
        upper.sync_metadata()?;
    }
    match written.needs_flush {
        true => upper.flush_device(),
        false => Ok(()),
    }
}

/// Writes the data of all that is noted, and waits. False if something could not be noted.
fn write(written: &DelayedWork<Written>) -> bool {
    let _sweeping = written.sweeping.lock();
    let mut swept = written.take();
    // Once more, as `sync_filesystem()` does: btrfs compresses in other tasks, and what it has
    // given to them is waited for by the second time only.
    for _ in 0..2 {
        for inode in swept.inodes.values() {
            inode.write_data();
        }
    }
    for inode in swept.inodes.values() {
        inode.wait_for_writeback();
    }
    let is_incomplete = core::mem::take(&mut swept.is_incomplete);
    Written::put_back(written, swept);
    !is_incomplete
}
