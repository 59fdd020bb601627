// SPDX-License-Identifier: GPL-2.0

//! What a mounted overlay counts, and shows in `/sys/fs/TYPE/MAJOR:MINOR`.
//!
//! All numbers are of the time since it was mounted. Nothing is counted where an
//! overlay answers from the caches: not in a lookup of a cached name, `stat`, reads,
//! writes or faults.

use crate::{
    layers::LayerIndex,
    Overlay, //
};
use kernel::{
    c_str,
    prelude::*,
    sync::{
        atomic::{ordering, Atomic},
        Arc,
        SetOnce, //
    },
};
use vfs::{
    super_block::SuperBlockOf,
    sysfs::{Number, Numbers}, //
};

/// A number that grows.
pub(crate) struct Counter(Atomic<u64>);

impl Counter {
    const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Counts `count` more.
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(ordering::Relaxed)
    }
}

/// Declares counters, which are shown by their names.
macro_rules! counters {
    ($( $(#[$doc:meta])* $name:ident, )+) => {
        /// The counters of a mounted overlay. They are in memory of their own: what is read
        /// all the time is not beside what is written.
        pub(crate) struct Counters {
            $( $(#[$doc])* pub(crate) $name: Counter, )+
        }

        impl Counters {
            const fn new() -> Self {
                Self { $( $name: Counter::new(), )+ }
            }
        }

        static NUMBERS: &[Number<Counters>] = &[
            $( Number {
                name: c_str!(stringify!($name)),
                value: |counters| counters.$name.get(),
            } ),+
        ];
    };
}

counters! {
    /// Regular files that were copied up with their data.
    copy_up_files,
    /// Regular files that were copied up without data.
    copy_up_metadata,
    /// Files whose data was copied after the rest.
    copy_up_metacopy_data,
    /// Directories that were copied up.
    copy_up_directories,
    /// Links, devices, fifos and sockets that were copied up.
    copy_up_others,
    /// Copy-ups that failed.
    copy_up_failed,
    /// Bytes of data that were copied.
    copy_up_bytes,
    /// Whiteouts that were made in directories of upper.
    whiteouts,
    /// Names that were looked for in the layers.
    lookups,
    /// Of these, names that are not there.
    lookups_negative,
    /// Layers that were looked at.
    lookup_layers,
    /// Lookups that found something in upper.
    lookups_found_upper,
    /// Lookups whose highest object is in the first lower layer.
    lookups_found_lower_1,
    /// In the second or third.
    lookups_found_lower_2_3,
    /// In the fourth to seventh.
    lookups_found_lower_4_7,
    /// In the eighth to fifteenth.
    lookups_found_lower_8_15,
    /// In one below.
    lookups_found_lower_16_up,
    /// Shared mappings that were switched to upper's file.
    switched_mappings,
}

impl Counters {
    /// The counter of lookups that found something, the highest in this layer.
    pub(crate) fn found_in(&self, layer: LayerIndex) -> &Counter {
        match layer.0 {
            0 => &self.lookups_found_upper,
            1 => &self.lookups_found_lower_1,
            2..=3 => &self.lookups_found_lower_2_3,
            4..=7 => &self.lookups_found_lower_4_7,
            8..=15 => &self.lookups_found_lower_8_15,
            _ => &self.lookups_found_lower_16_up,
        }
    }
}

/// The counters of a mounted overlay, and the file that shows them.
pub(crate) struct Shown {
    counters: Arc<Counters>,
    file: SetOnce<Numbers<Counters>>,
}

impl Shown {
    /// Counters that are not shown yet.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            counters: Arc::new(Counters::new(), GFP_KERNEL)?,
            file: SetOnce::new(),
        })
    }
}

impl core::ops::Deref for Shown {
    type Target = Counters;

    fn deref(&self) -> &Counters {
        &self.counters
    }
}

/// Makes the file of a mount that is set up.
pub(crate) fn show(sb: &SuperBlockOf<Overlay>) -> Result {
    let shown = &sb.data().counters;
    let file = sb.show_numbers(shown.counters.clone(), NUMBERS)?;
    match shown.file.populate(file) {
        true => Ok(()),
        false => Err(EBUSY),
    }
}
