// SPDX-License-Identifier: GPL-2.0

//! Results that a test expects.

use std::fmt::Debug;
use std::io;

use rustix::io::Errno;

/// The value of a call that has to succeed.
#[track_caller]
pub fn must<T>(what: impl std::fmt::Display, result: Result<T, impl Into<io::Error>>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what}: {}", error.into()),
    }
}

/// Fails unless the call was refused with this error.
#[track_caller]
pub fn refused<T: Debug>(want: Errno, result: Result<T, impl Into<io::Error>>) {
    match result {
        Ok(value) => panic!("succeeded ({value:?}) instead of failing with {want:?}"),
        Err(error) => {
            let error = error.into();
            assert_eq!(
                error.raw_os_error(),
                Some(want.raw_os_error()),
                "failed with '{error}' instead of '{}'",
                io::Error::from(want)
            );
        }
    }
}

/// Compares contents; the message tells where they differ, not what they are.
#[track_caller]
pub fn same_bytes(what: &str, got: &[u8], want: &[u8]) {
    assert_eq!(got.len(), want.len(), "{what}: other length");
    if let Some(at) = (0..got.len()).find(|&i| got[i] != want[i]) {
        panic!(
            "{what}: byte {at} of {} is {:#04x} instead of {:#04x}",
            want.len(),
            got[at],
            want[at]
        );
    }
}
