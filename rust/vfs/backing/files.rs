// SPDX-License-Identifier: GPL-2.0

//! The backing files of an open file, as its private data.

use super::BackingFile;
use crate::{
    atomic::load_acquire,
    file::OpenFile,
    file_ops::FileData,
    raw, //
};
use core::{
    marker::PhantomData,
    mem::{forget, ManuallyDrop},
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    sync::atomic::{ordering, Atomic}, //
};

/// The layers' files that work for an open file: one, and perhaps a second one that came
/// in its place.
///
/// They are closed when this is dropped, not when the task goes back to user space, see
/// `__fput_sync()`: `release` of the file may sleep and is called without locks.
///
/// # Invariants
///
/// It is a pointer to an open backing file, or [`TWO`] more than one to a [`Two`] that came
/// from a `KBox`. References to the files, and the memory, belong to it.
pub struct BackingFiles(usize);

/// What is added to a pointer to a [`Two`]. Pointers to files are aligned.
const TWO: usize = 1;

/// Two open backing files.
struct Two {
    first: NonNull<raw::file>,
    second: NonNull<raw::file>,
}

/// What is at a place for [`BackingFiles`].
enum Place {
    One(NonNull<raw::file>),
    Two(NonNull<Two>),
}

impl Place {
    /// # Safety
    ///
    /// `value` is as told at [`BackingFiles`].
    #[inline]
    unsafe fn of(value: usize) -> Self {
        // SAFETY: By the safety requirements neither is null.
        unsafe {
            match value & TWO {
                0 => Self::One(NonNull::new_unchecked(value as *mut raw::file)),
                _ => Self::Two(NonNull::new_unchecked((value - TWO) as *mut Two)),
            }
        }
    }
}

impl BackingFiles {
    /// One file.
    #[inline]
    pub fn new(first: BackingFile) -> Self {
        // INVARIANT: The reference moves.
        Self(ManuallyDrop::new(first).as_ptr() as usize)
    }
}

impl Drop for BackingFiles {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the files are `self`'s, and given up once, as is the
        // memory.
        unsafe {
            match Place::of(self.0) {
                Place::One(file) => raw::__fput_sync(file.as_ptr()),
                Place::Two(two) => {
                    let two = KBox::from_raw(two.as_ptr());
                    raw::__fput_sync(two.first.as_ptr());
                    raw::__fput_sync(two.second.as_ptr());
                }
            }
        }
    }
}

// SAFETY: Files stay where they are when a second one is added, and two are never changed.
unsafe impl FileData for BackingFiles {
    type Borrowed<'a> = BorrowedFiles<'a>;

    fn into_raw(self) -> *mut c_void {
        ManuallyDrop::new(self).0 as *mut c_void
    }

    unsafe fn from_raw(data: *mut c_void) -> Self {
        // INVARIANT: By the safety requirements.
        Self(data as usize)
    }

    #[inline]
    unsafe fn borrow<'a>(place: &'a Atomic<usize>) -> BorrowedFiles<'a> {
        // INVARIANT: By the safety requirements.
        BorrowedFiles(place)
    }
}

/// The backing files of an open file, borrowed from it.
///
/// # Invariants
///
/// At the place is what is told at [`BackingFiles`], for `'a`. Only a second file is ever
/// added to it.
#[derive(Clone, Copy)]
pub struct BorrowedFiles<'a>(&'a Atomic<usize>);

impl<'a> BorrowedFiles<'a> {
    #[inline]
    fn get(self) -> Place {
        // SAFETY: By the type invariants.
        unsafe { Place::of(load_acquire(self.0)) }
    }

    /// The first one.
    #[inline]
    pub fn first(self) -> BorrowedFile<'a> {
        let first = match self.get() {
            Place::One(file) => file,
            // SAFETY: It is not changed, and freed after `'a`.
            Place::Two(two) => unsafe { two.as_ref() }.first,
        };
        // SAFETY: The file stays open for `'a`.
        unsafe { BorrowedFile::from_raw(first) }
    }

    /// The second one, if there is one.
    #[inline]
    pub fn second(self) -> Option<BorrowedFile<'a>> {
        match self.get() {
            Place::One(_) => None,
            // SAFETY: As in `first`.
            Place::Two(two) => Some(unsafe { BorrowedFile::from_raw(two.as_ref().second) }),
        }
    }

    /// Adds a second one, unless there is one already.
    pub fn add_second(self, second: BackingFile) -> Result {
        let Place::One(first) = self.get() else {
            return Ok(());
        };
        let two = Two {
            first,
            second: second.as_non_null(),
        };
        let two = KBox::into_raw(KBox::new(two, GFP_KERNEL_ACCOUNT)?);
        let (old, new) = (first.as_ptr() as usize, two as usize + TWO);
        // INVARIANT: If that succeeds, the second file's reference moves.
        if self.0.cmpxchg(old, new, ordering::Full).is_ok() {
            forget(second);
        } else {
            // SAFETY: It came from `into_raw`, and nobody else has seen it.
            drop(unsafe { KBox::from_raw(two) });
        }
        Ok(())
    }
}

/// A backing file that belongs to another owner for `'a`.
pub struct BorrowedFile<'a>(ManuallyDrop<BackingFile>, PhantomData<&'a BackingFile>);

impl BorrowedFile<'_> {
    /// # Safety
    ///
    /// `file` is an open backing file, and referenced for the lifetime of the result.
    #[inline]
    unsafe fn from_raw(file: NonNull<raw::file>) -> Self {
        // SAFETY: By the safety requirements. The reference is not given up.
        let file = BackingFile(unsafe { OpenFile::from_raw(file) });
        Self(ManuallyDrop::new(file), PhantomData)
    }
}

impl Deref for BorrowedFile<'_> {
    type Target = BackingFile;

    fn deref(&self) -> &BackingFile {
        &self.0
    }
}
