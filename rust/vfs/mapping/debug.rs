// SPDX-License-Identifier: GPL-2.0

//! Delays that open the windows between the steps of a switch, and steps left
//! out, so that tests can show that each step is needed.
//!
//! There is nothing here but in a module that was built with `ROVL_DEBUG=1`; see
//! `rust/helpers/debug.c` for the parameters.

/// A step of the protocol that [`super`] describes.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// The data has moved; the barrier.
    Moved,
    /// No fault handler is in flight.
    InFlight,
    /// No folio is locked.
    FolioLocks,
    /// No old page is mapped.
    Zap,
    /// A fault handler has found that the data has not moved.
    Handler,
    /// A fault handler has left, with a locked folio.
    Returned,
    /// Pages around a fault are about to be mapped.
    MapPages,
    /// A fault has found that the data has moved.
    Bounce,
    /// A mapping is in the tree of neither file.
    BetweenTrees,
}

/// Waits as long as the parameter for the step says: sleeps, but for `MapPages`.
#[inline]
pub(super) fn step(step: Step) {
    #[cfg(rovl_debug)]
    // SAFETY: All steps but one, which does not sleep, are where sleeping is allowed.
    unsafe {
        crate::raw::vfs_debug_step(step as u32)
    };
    let _ = step;
}

/// Whether the step is to be left out.
#[inline]
pub(super) fn skips(step: Step) -> bool {
    #[cfg(rovl_debug)]
    // SAFETY: Reads a parameter.
    return unsafe { crate::raw::vfs_debug_skips(step as u32) };
    #[cfg(not(rovl_debug))]
    {
        let _ = step;
        false
    }
}
