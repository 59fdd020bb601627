// SPDX-License-Identifier: GPL-2.0

//! Copying the data of a file.

use crate::observe::Progress;
use kernel::prelude::*;
use vfs::{
    file::{killed, OpenFile, Whence},
    mount::PathRef, //
};

/// Bytes that are copied between checks for a fatal signal.
const CHUNK: i64 = 1 << 20;

/// Bytes from which on a file is large.
const LARGE: i64 = 1 << 20;

/// `EXT4_SUPER_MAGIC`.
const EXT4: c_ulong = 0xef53;

/// Copies the first `len` bytes of the file `from` to `to`: by sharing them where
/// the filesystem can, else by the page cache. Holes stay holes, but at the end,
/// where nothing is written.
///
/// The caller has no write access to upper: a frozen filesystem is waited for
/// within, chunk by chunk.
pub(crate) fn copy(from: PathRef<'_>, to: &OpenFile, len: i64, progress: &Progress) -> Result {
    if len == 0 {
        return Ok(());
    }
    let from = OpenFile::open(from, OpenFile::READ)?;
    if from.clone_to(to, len) == Ok(len) {
        progress.add_bytes(len);
        return Ok(());
    }
    from.verify_copy(to, 0, len)?;
    allocate(&from, to, len);
    copy_extents(&from, to, len, progress)
}

/// Allocates the space of a large file without holes at once: ext4 reserves it block by
/// block else, a fifth of the instructions of a copy. Others would zero it, or keep it
/// uncompressed.
fn allocate(from: &OpenFile, to: &OpenFile, len: i64) {
    let is_whole = || from.can_seek() && from.seek(0, Whence::HOLE).is_ok_and(|hole| hole >= len);
    if len >= LARGE && to.inode().super_block().magic() == EXT4 && is_whole() {
        // What cannot be allocated can perhaps be written.
        let _ = to.allocate(len);
    }
}

fn copy_extents(from: &OpenFile, to: &OpenFile, len: i64, progress: &Progress) -> Result {
    let mut skips_holes = from.can_seek();
    let mut at = 0;
    // Up to here there is data, as far as is known.
    let mut data_at = -1;
    while at < len {
        if killed() {
            return Err(EINTR);
        }
        if skips_holes && data_at < at {
            match from.seek(at, Whence::DATA) {
                Ok(data) if data > at => {
                    data_at = data;
                    at = data;
                    continue;
                }
                Ok(data) => data_at = data,
                // Nothing but a hole follows.
                Err(err) if err == ENXIO => break,
                Err(_) => skips_holes = false,
            }
        }
        let chunk = CHUNK.min(len.saturating_sub(at));
        let copied = from.splice_to(to, at, usize::try_from(chunk).map_err(|_| EINVAL)?)?;
        if copied == 0 {
            // Shorter than it said: the layer changed underneath.
            break;
        }
        let copied = i64::try_from(copied).map_err(|_| EIO)?;
        progress.add_bytes(copied);
        at = at.saturating_add(copied);
    }
    Ok(())
}
