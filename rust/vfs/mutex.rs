// SPDX-License-Identifier: GPL-2.0

//! A mutex whose waiters can be killed, with a lock class chosen at run time.
//!
//! `kernel::sync::Mutex` takes one static class for a type and has no killable
//! lock. A stacking filesystem needs both: stacked instances nest the same lock,
//! and a task that waits for a long copy has to be killable.
//!
//! C header: [`include/linux/mutex.h`](srctree/include/linux/mutex.h)

use crate::raw;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use kernel::{
    error::to_result,
    prelude::*,
    sync::LockClassKey,
    types::{NotThreadSafe, Opaque}, //
};

/// A `struct mutex` and the data that it protects.
#[pin_data]
pub struct Mutex<T> {
    #[pin]
    raw: Opaque<raw::mutex>,
    data: UnsafeCell<T>,
}

// SAFETY: The mutex hands its data to one task at a time, whichever that is.
unsafe impl<T: Send> Send for Mutex<T> {}
// SAFETY: As above.
unsafe impl<T: Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// A mutex around `data`, in lock class `key`.
    pub fn new(
        data: T,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        pin_init!(Self {
            raw <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is valid for writes and pinned, `name` and `key` are static.
                unsafe { raw::vfs_shim_mutex_init(slot, name.as_char_ptr(), key.as_ptr()) }
            }),
            data: UnsafeCell::new(data),
        })
    }

    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        // SAFETY: The mutex was initialised and is pinned.
        unsafe { raw::vfs_shim_mutex_lock(self.raw.get()) };
        MutexGuard {
            mutex: self,
            _task: NotThreadSafe,
        }
    }

    /// Takes the lock, unless it is taken.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        // SAFETY: The mutex was initialised and is pinned.
        unsafe { raw::vfs_shim_mutex_trylock(self.raw.get()) }.then(|| MutexGuard {
            mutex: self,
            _task: NotThreadSafe,
        })
    }

    /// Waits for the lock, or until the task is killed: `EINTR`.
    pub fn lock_killable(&self) -> Result<MutexGuard<'_, T>> {
        // SAFETY: The mutex was initialised and is pinned.
        to_result(unsafe { raw::vfs_shim_mutex_lock_killable(self.raw.get()) })?;
        Ok(MutexGuard {
            mutex: self,
            _task: NotThreadSafe,
        })
    }
}

/// The mutex is held while this lives.
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    _task: NotThreadSafe,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The lock is held.
        unsafe { &*self.mutex.data.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: The lock is held, and this guard is borrowed exclusively.
        unsafe { &mut *self.mutex.data.get() }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: The lock is held by this task.
        unsafe { raw::mutex_unlock(self.mutex.raw.get()) };
    }
}
