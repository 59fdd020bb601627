// SPDX-License-Identifier: GPL-2.0

//! What an open file keeps.

use kernel::{
    prelude::*,
    sync::atomic::{ordering, Atomic},
    types::ForeignOwnable, //
};

/// What an open file keeps as its private data, a pointer: memory of its own, or something
/// that a pointer says all of, which saves allocating that.
///
/// # Safety
///
/// What `borrow` answers is good as long as `from_raw` was not called, whatever is done by
/// what other calls of `borrow` answered.
pub unsafe trait FileData: Send + Sync + Sized + 'static {
    /// What operations see of it.
    type Borrowed<'a>;

    /// The pointer.
    fn into_raw(self) -> *mut c_void;

    /// Takes it back.
    ///
    /// # Safety
    ///
    /// `data` is from `into_raw`, or what was put in its place by what `borrow` answered. It
    /// is taken back once.
    unsafe fn from_raw(data: *mut c_void) -> Self;

    /// Borrows it; what is answered may change the pointer at `place`.
    ///
    /// # Safety
    ///
    /// At `place` is a pointer as for `from_raw`, which is not called within `'a`.
    unsafe fn borrow<'a>(place: &'a Atomic<usize>) -> Self::Borrowed<'a>;
}

// SAFETY: The pointer does not change.
unsafe impl<T: Send + Sync + 'static> FileData for Pin<KBox<T>> {
    type Borrowed<'a> = &'a T;

    fn into_raw(self) -> *mut c_void {
        self.into_foreign().cast()
    }

    unsafe fn from_raw(data: *mut c_void) -> Self {
        // SAFETY: By the safety requirements.
        unsafe { Self::from_foreign(data.cast()) }
    }

    unsafe fn borrow<'a>(place: &'a Atomic<usize>) -> &'a T {
        let data = place.load(ordering::Relaxed) as *mut c_void;
        // SAFETY: By the safety requirements.
        unsafe { <Self as ForeignOwnable>::borrow(data.cast()) }.get_ref()
    }
}
