// SPDX-License-Identifier: GPL-2.0

//! The tests, one file a behaviour.

use crate::harness::bed::Bed;
use crate::harness::matrix::Selection;

/// One test.
pub struct Test {
    /// Name within its area.
    pub name: &'static str,
    /// The layer filesystems that it runs on.
    pub on: Selection,
    /// The test itself, which fails by panicking.
    pub run: fn(&Bed),
}

/// The tests of one behaviour.
pub struct Area {
    /// The file's name.
    pub name: &'static str,
    /// Whether the layers go from one driver to another.
    pub between_drivers: bool,
    /// The tests.
    pub tests: &'static [Test],
}

/// Lists a file's tests, by the layer filesystems that they run on.
macro_rules! tests {
    ($( $selection:ident: $( $test:ident ),+ $(,)? ; )+) => {
        /// The tests of this area.
        pub const TESTS: &[$crate::areas::Test] = &[
            $( $( $crate::areas::Test {
                name: stringify!($test),
                on: $crate::harness::matrix::$selection,
                run: $test,
            }, )+ )+
        ];
    };
}

/// Declares the areas, in the order in which they run.
macro_rules! areas {
    ($( $area:ident ),+ ; between drivers: $( $between:ident ),+ $(,)?) => {
        $( mod $area; )+
        $( mod $between; )+

        /// All areas.
        pub const AREAS: &[Area] = &[
            $( Area {
                name: stringify!($area),
                between_drivers: false,
                tests: $area::TESTS,
            }, )+
            $( Area {
                name: stringify!($between),
                between_drivers: true,
                tests: $between::TESTS,
            }, )+
        ];
    };
}

areas! {
    mount,
    mount_refusals,
    refusals,
    mount_options,
    mount_fsconfig,
    mount_shown,
    mount_remount,
    mount_layers,
    mount_fallbacks,
    mount_protection,
    changes_underneath,
    umount,
    uuid,
    image,
    lookup,
    lookup_names,
    lying_origins,
    readdir,
    readdir_kept,
    readdir_positions,
    attributes,
    statx,
    identity,
    identity_views,
    identity_constant,
    identity_xino,
    identity_unique,
    identity_subvolumes,
    identity_fsid,
    permission,
    acl,
    idmap,
    idmap_layers,
    idmap_overlay,
    userns,
    userns_rights,
    userns_places,
    userns_ownership,
    override_creds,
    symlinks,
    special_files,
    open_flags,
    read_write,
    rw_flags,
    splicing,
    holes,
    sync,
    volatile,
    sync_counts,
    sync_own,
    mmap,
    exec,
    create,
    remove,
    rename,
    rename_flags,
    whiteouts,
    redirect_lookup,
    redirect_rename,
    rename_dir,
    rename_dir_limits,
    rename_dir_races,
    links,
    index_links,
    index_format,
    index_mount,
    index_races,
    handles,
    xattr,
    xattr_names,
    userxattr,
    userxattr_names,
    capability,
    privileges,
    file_flags,
    file_attr,
    casefold,
    casefold_layers,
    odd_layers,
    full_upper,
    workdir_left,
    statfs,
    copy_up_trigger,
    copy_up_data,
    copy_up_metadata,
    copy_up_parents,
    copy_up_special,
    copy_up_flags,
    copy_up_failure,
    copy_up_io_error,
    copy_up_killed,
    copy_up_races,
    metacopy,
    metacopy_coherence,
    metacopy_layers,
    metacopy_failure,
    data_only,
    verity,
    coherence,
    coherence_events,
    mapping_writers,
    mapping_triggers,
    mapping_names,
    mapping_processes,
    mapping_pieces,
    mapping_size,
    mapping_advice,
    mapping_sources,
    mapping_swap,
    mapping_memcg,
    mapping_futex,
    mapping_proc,
    mapping_perf,
    mapping_shapes,
    mapping_private,
    mapping_huge,
    mapping_holders,
    mapping_userfault,
    mapping_umount,
    mapping_races,
    coherence_transfer,
    coherence_cache,
    coherence_exec,
    coherence_locks,
    coherence_watches,
    trace,
    counters,
    format;
    between drivers:
    option_table,
    parameters,
    protection,
    casefold_interchange,
    interchange,
    userxattr_interchange,
    index_interchange,
    redirect_interchange,
    nested,
    metacopy_interchange,
    identity_nested,
    mapping_nested,
}
