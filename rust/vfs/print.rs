// SPDX-License-Identifier: GPL-2.0

//! Messages in the kernel log that users can cause.
//!
//! C header: [`include/linux/ratelimit.h`](srctree/include/linux/ratelimit.h)

use crate::raw;

/// Whether one more message may be written, see `__ratelimit()`: there is one limit
/// for all.
pub fn may_print() -> bool {
    // SAFETY: No requirements.
    unsafe { raw::vfs_shim_may_print() }
}

/// As `pr_warn!`, for what users can cause at will: see `pr_warn_ratelimited()`.
#[macro_export]
macro_rules! pr_warn_ratelimited {
    ($($arg:tt)*) => {
        if $crate::print::may_print() {
            ::kernel::pr_warn!($($arg)*);
        }
    };
}

/// As `pr_err!`, for what users can cause at will: see `pr_err_ratelimited()`.
#[macro_export]
macro_rules! pr_err_ratelimited {
    ($($arg:tt)*) => {
        if $crate::print::may_print() {
            ::kernel::pr_err!($($arg)*);
        }
    };
}
