// SPDX-License-Identifier: GPL-2.0

//! Work that is done some time later, and not after its data is gone.
//!
//! `kernel::workqueue` hands the data to the queue as a reference, and cannot
//! take work back. What belongs to a mounted filesystem has to be gone before
//! that.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::raw;
use core::ops::Deref;
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// What is done.
pub trait Work: Send + Sync + Sized {
    /// Does the work, in a task of the kernel. May call
    /// [`DelayedWork::schedule`].
    fn run(this: &DelayedWork<Self>);
}

/// Work of `T` and its data, see `struct delayed_work`. Dropping it waits until
/// it is not being done.
#[repr(C)]
#[pin_data(PinnedDrop)]
pub struct DelayedWork<T: Work> {
    // Comes first: it is what the queue knows.
    #[pin]
    raw: Opaque<raw::delayed_work>,
    #[pin]
    data: T,
}

// SAFETY: The functions on the C object may be called by any task.
unsafe impl<T: Work> Send for DelayedWork<T> {}
// SAFETY: As above; the data is `Sync`.
unsafe impl<T: Work> Sync for DelayedWork<T> {}

impl<T: Work> DelayedWork<T> {
    /// Work on `data` that is not scheduled.
    pub fn new(data: impl PinInit<T, Error>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            raw <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is valid for writes and pinned.
                unsafe { raw::vfs_shim_init_delayed_work(slot, Some(Self::call)) }
            }),
            data <- data,
        })
    }

    /// Has the work done after some milliseconds from now, see `mod_delayed_work()`.
    pub fn schedule(&self, milliseconds: u32) {
        // SAFETY: The work was initialised, and is taken back before it is dropped.
        unsafe { raw::vfs_shim_mod_delayed_work(self.raw.get(), milliseconds) };
    }

    /// Takes the work back, and waits if it is being done. Must not be called by
    /// itself.
    pub fn cancel(&self) {
        // SAFETY: The work was initialised.
        unsafe { raw::cancel_delayed_work_sync(self.raw.get()) };
    }

    /// # Safety
    ///
    /// `work_func_t` of a `DelayedWork<T>`.
    unsafe extern "C" fn call(work: *mut raw::work_struct) {
        // SAFETY: The work is the first field of a `struct delayed_work`, which is that of a `Self`.
        T::run(unsafe { &*work.cast::<Self>() });
    }
}

impl<T: Work> Deref for DelayedWork<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

#[pinned_drop]
impl<T: Work> PinnedDrop for DelayedWork<T> {
    fn drop(self: Pin<&mut Self>) {
        self.cancel();
    }
}
