// SPDX-License-Identifier: GPL-2.0

//! Reading atomics on hot paths.

use core::arch::asm;
use kernel::{
    prelude::*,
    sync::atomic::{ordering, Atomic, AtomicType}, //
};

/// A type that [`load_acquire`] reads.
pub trait Loadable: AtomicType + Copy {
    /// `atomic.load(ordering::Acquire)`.
    fn load(atomic: &Atomic<Self>) -> Self;
}

macro_rules! impl_loadable {
    ($($type:ty),*) => {
        $(impl Loadable for $type {
            fn load(atomic: &Atomic<Self>) -> Self {
                atomic.load(ordering::Acquire)
            }
        })*
    };
}

impl_loadable!(bool, u32, usize, *mut c_void);

/// As `load(ordering::Acquire)`, without the call of a C function that this is unless the
/// kernel has `CONFIG_RUST_INLINE_HELPERS`: on x86-64 it is a read that the compiler leaves where it
/// is, see `smp_load_acquire()` in `arch/x86/include/asm/barrier.h`.
#[inline(always)]
pub fn load_acquire<T: Loadable>(atomic: &Atomic<T>) -> T {
    if cfg!(not(target_arch = "x86_64")) {
        return T::load(atomic);
    }
    // SAFETY: It is valid and aligned. That others write at the same time is no data race: both
    // are of the kind of `READ_ONCE` and `WRITE_ONCE`.
    let value = unsafe { atomic.as_ptr().read_volatile() };
    // SAFETY: No instruction: a compiler barrier, as `barrier()`.
    unsafe { asm!("", options(nostack, preserves_flags)) };
    value
}
