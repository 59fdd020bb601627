// SPDX-License-Identifier: GPL-2.0

//! Copying the data of a file.

use kernel::prelude::*;
use vfs::{
    file::{killed, OpenFile, Whence},
    mount::PathRef, //
};

/// Bytes that are copied between checks for a fatal signal.
const CHUNK: i64 = 1 << 20;

/// Copies the first `len` bytes of the file `from` to `to`: by sharing them where
/// the filesystem can, else by the page cache. Holes stay holes, but at the end,
/// where nothing is written.
///
/// The caller has no write access to upper: a frozen filesystem is waited for
/// within, chunk by chunk.
pub(crate) fn copy(from: PathRef<'_>, to: &OpenFile, len: i64) -> Result {
    if len == 0 {
        return Ok(());
    }
    let from = OpenFile::open(from, OpenFile::READ)?;
    if from.clone_to(to, len) != Ok(len) {
        from.verify_copy(to, 0, len)?;
        copy_extents(&from, to, len)?;
    }
    Ok(())
}

fn copy_extents(from: &OpenFile, to: &OpenFile, len: i64) -> Result {
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
        at = at.saturating_add(i64::try_from(copied).map_err(|_| EIO)?);
    }
    Ok(())
}
