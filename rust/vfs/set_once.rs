// SPDX-License-Identifier: GPL-2.0

//! A pointer that is set once.
//!
//! `kernel::sync::SetOnce` takes any value, and 8 bytes beside a pointer to tell whether
//! it is set. Here the pointer tells, as in C: an inode has several, and there are many
//! inodes.

use crate::atomic::load_acquire;
use core::{
    marker::PhantomData,
    ptr::null_mut, //
};
use kernel::{
    prelude::*,
    sync::atomic::{ordering, Atomic},
    types::ForeignOwnable, //
};

/// A pointer that is set once, and dropped with this: a [`KBox`], say.
///
/// # Invariants
///
/// The pointer is null, or came from `P::into_foreign` and belongs to `self`. It changes
/// once, from null.
pub struct SetOncePtr<P: ForeignOwnable>(Atomic<*mut c_void>, PhantomData<P>);

// SAFETY: It may be sent where what it owns may be.
unsafe impl<P: ForeignOwnable + Send> Send for SetOncePtr<P> {}
// SAFETY: Several tasks share what it owns, and any of them may set it.
unsafe impl<P: ForeignOwnable + Send + Sync> Sync for SetOncePtr<P> {}

impl<P: ForeignOwnable> SetOncePtr<P> {
    /// It is not set yet.
    pub const fn new() -> Self {
        // INVARIANT: Null.
        Self(Atomic::new(null_mut()), PhantomData)
    }

    /// What it was set to, complete.
    #[inline]
    pub fn get(&self) -> Option<P::Borrowed<'_>> {
        let pointer = load_acquire(&self.0);
        // SAFETY: By the type invariants it came from `into_foreign`, and is not taken back as
        // long as `self` is borrowed.
        (!pointer.is_null()).then(|| unsafe { P::borrow(pointer) })
    }

    /// Sets it; false, and `value` is dropped, when it is set already.
    pub fn populate(&self, value: P) -> bool {
        let pointer = value.into_foreign();
        // INVARIANT: If that succeeds, the value belongs to `self`.
        let is_set = self.0.cmpxchg(null_mut(), pointer, ordering::Full).is_ok();
        if !is_set {
            // SAFETY: It came from `into_foreign`, and nobody else has seen it.
            drop(unsafe { P::from_foreign(pointer) });
        }
        is_set
    }
}

impl<P: ForeignOwnable> Default for SetOncePtr<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: ForeignOwnable> Drop for SetOncePtr<P> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants; nobody borrows `self`, and it is given up once.
        drop(unsafe { P::try_from_foreign(*self.0.get_mut()) });
    }
}
