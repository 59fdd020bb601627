// SPDX-License-Identifier: GPL-2.0

//! What few overlay inodes need, beside what is in [`crate::entry::Entry`].

use crate::{
    kept::KeptListing,
    layer_names::Names,
    layers::LayerPath,
    lower_data::Deferred, //
};
use core::{convert::Infallible, pin::Pin};
use kernel::{
    prelude::*,
    sync::{atomic::Atomic, LockClassKey, SetOnce}, //
};
use vfs::{
    mutex::Mutex,
    set_once::SetOncePtr, //
};

/// What an inode needs if it has several lower objects or a redirect, or is a directory that
/// was listed or in which something was looked for in vain, or a file that has its data
/// elsewhere.
#[pin_data]
pub(crate) struct Rare {
    /// All lower objects, if there are several.
    lower: SetOnce<KVVec<LayerPath>>,
    /// Of a file whose data is to be looked for in data-only layers.
    pub(crate) deferred: SetOncePtr<KBox<Deferred>>,
    /// Whether the digest that a metacopy has of its data was found right.
    pub(crate) verified: Atomic<bool>,
    /// A directory's entries, once it has been listed.
    pub(crate) listing: SetOncePtr<KBox<KeptListing>>,
    /// The names in a directory's lower objects, if they are known.
    pub(crate) names: Names,
    /// The redirect of upper's object: where lower layers have it. Taken last.
    #[pin]
    pub(crate) redirect: Mutex<Option<KVec<u8>>>,
}

impl Rare {
    /// Nothing is needed yet. The redirect's lock is of the class `redirect`.
    pub(crate) fn new(redirect: Pin<&'static LockClassKey>) -> impl PinInit<Self, Infallible> {
        pin_init!(Self {
            lower: SetOnce::new(),
            deferred: SetOncePtr::new(),
            verified: Atomic::new(false),
            listing: SetOncePtr::new(),
            names: Names::new(),
            redirect <- Mutex::new(None, c"overlay_redirect", redirect),
        })
    }

    /// All lower objects, if there are several.
    pub(crate) fn lower(&self) -> Option<&[LayerPath]> {
        self.lower.as_ref().map(|lower| &**lower)
    }

    /// Sets the lower objects of an inode that is not published yet.
    pub(crate) fn set_lower(&self, lower: KVVec<LayerPath>) -> Result {
        match self.lower.populate(lower) {
            true => Ok(()),
            false => Err(EIO),
        }
    }

    /// Whether a file that is in lower layers only has its data in another object than its
    /// attributes.
    pub(crate) fn is_metacopy(&self) -> bool {
        self.lower().is_some() || self.deferred.get().is_some()
    }

    /// Whether there is a redirect for which this holds.
    pub(crate) fn has_redirect(&self, holds: impl FnOnce(&[u8]) -> bool) -> bool {
        let redirect = self.redirect.lock();
        redirect.as_ref().is_some_and(|redirect| holds(redirect))
    }
}
