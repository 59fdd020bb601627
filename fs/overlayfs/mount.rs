// SPDX-License-Identifier: GPL-2.0

//! Setting a mount up.

use crate::{
    casefold,
    config::Config,
    durability,
    export::{Export, Identify},
    format::uuid::Uuid,
    handle,
    identity::{fsid_of, Fsid, Identity, Numbering},
    index_mount,
    layered::Objects,
    layers::{
        in_use,
        InUse,
        LayerPath,
        LayerStack,
        Lower,
        SharedWhiteout,
        Upper, //
    },
    lookup,
    mapping::PendingSwitches,
    params::Context,
    super_block::{Super, MAGIC},
    workdir,
    xattr,
    Overlay, //
};
use kernel::{
    prelude::*,
    static_lock_class,
    sync::{aref::ARef, SetOnce}, //
};
use vfs::{
    context::FsContext,
    cred::{with_creds, with_real_creds, NewCred},
    dentry::Dentry,
    exportfs,
    inode::{InodeFlags, InodeOf},
    mapping::Tables,
    mount::{MountFlags, Path, PathRef, PrivateMount},
    mutex::Mutex,
    new_inode::{Cached, NewInode},
    super_block::{NewSuperBlock, StatFs, SuperBlock, SuperBlockOf}, //
};

/// See `FileSystem::fill_super`.
pub(crate) fn fill_super(
    context: &mut Context,
    fc: &FsContext,
    sb: &mut NewSuperBlock<Overlay>,
) -> Result {
    context.verify(fc)?;
    if !fc.in_current_user_ns() {
        return Err(fc.invalid(fmt!("the mount belongs to another user namespace")));
    }
    check_overlaps(context, fc)?;
    let mut cred = NewCred::prepare()?;
    cred.drop_sys_resource();
    let cred = cred.freeze();
    with_creds(&cred.clone(), |_| {
        fill_super_as_mounter(context, fc, sb, cred)
    })
}

fn fill_super_as_mounter(
    context: &mut Context,
    fc: &FsContext,
    sb: &mut NewSuperBlock<Overlay>,
    cred: ARef<kernel::cred::Credential>,
) -> Result {
    let paths = || {
        let upper = context.upper.as_ref().map(|upper| &upper.path);
        Iterator::chain(context.lower.iter(), upper)
    };
    let mut name_len = 0;
    let mut depth = 0u32;
    for path in paths() {
        name_len = name_len.max(StatFs::name_len_of(path.borrow())?);
        depth = depth.max(path.mount().super_block().stack_depth());
    }
    sb.set_stack_depth(depth.saturating_add(1)).map_err(|err| {
        fc.error(
            err,
            fmt!("too many filesystems are stacked upon each other"),
        )
    })?;

    let mut config = context.config;
    let upper = match (&context.upper, &context.work) {
        (Some(upper), Some(work)) => Some(open_upper(fc, upper, work, &config)?),
        _ => None,
    };
    if upper.as_ref().is_some_and(|upper| !upper.features.xattr) {
        config.without_xattr(fc);
    }
    let handles = check_handles(context, fc, &mut config, upper.as_deref())?;

    let mut known = KVec::new();
    if let Some(upper) = &upper {
        let root = PathRef::new(upper.mount(), upper.mount().root())?;
        fsid_of(&mut known, Numbering::of(root)?)?;
    }
    let mut filesystems: KVec<&SuperBlock> = KVec::new();
    for path in &context.lower {
        let sb = path.mount().super_block();
        if !filesystems.contains(&sb) {
            filesystems.push(sb, GFP_KERNEL)?;
        }
    }
    let (mut lower, mut lower_mounts) = (KVec::new(), KVec::new());
    let merged = context.merged();
    for (index, path) in context.lower.iter().enumerate() {
        lower_mounts.push(clone_lower(fc, &config, path)?, GFP_KERNEL)?;
        if index >= merged {
            continue;
        }
        let fsid = fsid_of(&mut known, Numbering::of(path.borrow())?)?;
        let uuid = config.uuid.of_lower(path.mount().super_block());
        let unique_uuid = filesystems
            .iter()
            .filter(|sb| config.uuid.of_lower(sb) == uuid)
            .count()
            == 1;
        let numbering = Numbering::of(path.borrow())?;
        lower.push(
            Lower {
                fsid,
                unique_uuid,
                numbering,
            },
            GFP_KERNEL,
        )?;
    }
    let uuid = match &upper {
        Some(upper) => {
            let (mode, uuid) = config.uuid.with_upper(fc, upper);
            config.uuid = mode;
            uuid
        }
        None => Uuid::NULL,
    };
    sb.set_uuid(*uuid.as_bytes());
    let readonly = upper.is_none();
    if let Some(upper) = &upper {
        sb.set_time_granularity(upper.mount().super_block().time_granularity());
        if upper.mount().super_block().has_nosec() {
            sb.set_nosec();
        }
    }

    let data = KBox::new(
        Super {
            cred,
            layers: LayerStack {
                upper,
                lower,
                data_only: context.data_only,
                lower_mounts,
            },
            identity: KBox::pin_init(Identity::new(known.len() > 1), GFP_KERNEL)?,
            name_len,
            config,
            lowerdir: core::mem::take(&mut context.lowerdir),
            mapping_tables: Tables::default(),
            pending_switches: PendingSwitches::new()?,
            traps: SetOnce::new(),
        },
        GFP_KERNEL,
    )?;

    sb.set_magic(MAGIC);
    sb.allow_large_files();
    casefold::set_encoding(sb, context, fc)?;
    sb.set_dentry_operations();
    sb.set_xattr_handlers(xattr::HANDLERS);
    sb.set_posix_acl();
    sb.set_stacked();
    if readonly {
        sb.set_readonly();
    }

    if config.nfs_export {
        sb.set_export_operations(exportfs::table::<Export>());
    } else if handles {
        sb.set_export_operations(exportfs::table::<Identify>());
    }

    let this = sb.set_data(data)?;
    if config.index {
        index_mount::open(this.data(), fc)?;
    }
    set_traps(this, fc)?;
    let root = make_root(this)?;
    let root = sb.set_root(root)?;
    set_root_revalidation(root);
    Ok(())
}

/// A private clone of the mount that a lower layer is on: nothing is written to
/// it, not even times.
fn clone_lower(fc: &FsContext, config: &Config, path: &Path) -> Result<PrivateMount> {
    if path.dentry().inode().is_some_and(|inode| inode.is_in_use()) {
        in_use(fc, config, "lowerdir")?;
    }
    let mut mount = clone(fc, path)?;
    mount.update_flags(
        MountFlags::READONLY.and(MountFlags::NOATIME),
        MountFlags::NONE,
    );
    Ok(mount)
}

fn clone(fc: &FsContext, path: &Path) -> Result<PrivateMount> {
    // Cloning needs the capability of whoever calls, which the mounter's credentials lack that
    // were made for the layers.
    with_real_creds(|| PrivateMount::clone_from(path))
        .map_err(|err| fc.error(err, fmt!("cannot clone the mount of a layer")))
}

/// Falls back to what goes without file handles where there are none, or where they do
/// not tell the filesystem. Answers whether all layers have some.
fn check_handles(
    context: &Context,
    fc: &FsContext,
    config: &mut Config,
    upper: Option<&Upper>,
) -> Result<bool> {
    let mut all = true;
    if let Some(upper) = upper {
        all = handle::are_there(upper.mount().super_block());
        if config.index && !all {
            fc.warn(fmt!(
                "upperdir: filesystem does not support file handles, falling back to index=off"
            ));
            config.index = false;
        }
        if config.nfs_export && !config.index {
            fc.warn(fmt!(
                "nfs_export needs index=on, falling back to nfs_export=off"
            ));
            config.nfs_export = false;
        }
    } else {
        // There is nothing to be found by an index.
        config.index = false;
    }
    let mut filesystems: KVec<&SuperBlock> = KVec::new();
    let merged = context.merged();
    for (index, path) in context.lower.iter().enumerate() {
        let sb = path.mount().super_block();
        let why = if !handle::are_there(sb) {
            all = false;
            "filesystem does not support file handles"
        } else if index < merged
            && filesystems.iter().any(|other| {
                *other != sb && config.uuid.of_lower(other) == config.uuid.of_lower(sb)
            })
        {
            "two filesystems have the same uuid, or none"
        } else {
            ""
        };
        if !why.is_empty() && (config.index || config.nfs_export) {
            fc.warn(fmt!(
                "lowerdir: {why}, falling back to index=off,nfs_export=off"
            ));
            config.index = false;
            config.nfs_export = false;
        }
        if index < merged {
            filesystems.push(sb, GFP_KERNEL)?;
        }
    }
    Ok(all)
}

fn open_upper(
    fc: &FsContext,
    upper: &crate::params::NamedPath,
    work: &crate::params::NamedPath,
    config: &Config,
) -> Result<Pin<KBox<Upper>>> {
    if !core::ptr::eq(upper.path.mount(), work.path.mount()) {
        return Err(fc.invalid(fmt!(
            "workdir and upperdir must reside under the same mount"
        )));
    }
    let (upper_dir, work_dir) = (upper.path.dentry(), work.path.dentry());
    if upper_dir.is_subdir_of(work_dir) || work_dir.is_subdir_of(upper_dir) {
        return Err(fc.invalid(fmt!("workdir and upperdir must be separate subtrees")));
    }
    if upper.path.mount().is_readonly() {
        return Err(fc.invalid(fmt!("upperdir: filesystem is read-only")));
    }
    let mut mount = clone(fc, &upper.path)?;
    // Access times are those of the overlay's own mount.
    mount.update_flags(MountFlags::NONE, MountFlags::ATIME_POLICY);

    let marks = [
        InUse::mark(fc, config, "upperdir", upper_dir)?,
        InUse::mark(fc, config, "workdir", work_dir)?,
    ];
    let volatile = durability::watch_errors(fc, config.fsync, mount.super_block())?;
    let made = workdir::make(fc, PathRef::new(&mount, work_dir)?, config)?;
    KBox::pin_init(
        try_pin_init!(Upper {
            mount,
            workdir: made.workdir,
            index: SetOnce::new(),
            workbase: work_dir.clone(),
            _marks: marks,
            features: made.features,
            volatile,
            whiteout <- Mutex::new(SharedWhiteout::None, c"overlay_whiteout", static_lock_class!()),
            upperdir: (&*upper.name).try_into()?,
            workdir_option: (&*work.name).try_into()?,
        }? Error),
        GFP_KERNEL,
    )
}

/// Refuses a lower layer that is another layer, or lies within one: a change of
/// the one would change the other. Says so if a layer lies within what another overlay
/// writes to.
fn check_overlaps(context: &Context, fc: &FsContext) -> Result {
    let address = |dentry: &Dentry| core::ptr::from_ref(dentry) as usize;
    let mut roots = KVec::new();
    let named = [&context.upper, &context.work];
    for path in named.into_iter().flatten() {
        roots.push(address(path.path.dentry()), GFP_KERNEL)?;
    }
    for path in &context.lower {
        let root = address(path.dentry());
        if roots.contains(&root) {
            return Err(fc.error(
                ELOOP,
                fmt!("conflicting lowerdir path: it is a layer already"),
            ));
        }
        roots.push(root, GFP_KERNEL)?;
    }
    for path in &context.lower {
        let within = |parent: &Dentry| match roots.contains(&address(parent)) {
            true => Err(fc.error(
                ELOOP,
                fmt!("overlapping lowerdir path: it is within another layer"),
            )),
            false => Ok(()),
        };
        for_each_ancestor(path.dentry(), within)?;
    }
    let named = [("upperdir", &context.upper), ("workdir", &context.work)];
    let named = named
        .into_iter()
        .filter_map(|(what, path)| Some((what, &path.as_ref()?.path)));
    let lower = context.lower.iter().map(|path| ("lowerdir", path));
    for (what, path) in Iterator::chain(named, lower) {
        for_each_ancestor(path.dentry(), |parent| {
            match parent.inode().is_some_and(|inode| inode.is_in_use()) {
                true => in_use(fc, &context.config, what),
                false => Ok(()),
            }
        })?;
    }
    Ok(())
}

fn for_each_ancestor(dentry: &ARef<Dentry>, mut f: impl FnMut(&Dentry) -> Result) -> Result {
    let mut dentry = dentry.clone();
    loop {
        let parent = dentry.parent();
        if *parent == *dentry {
            return Ok(());
        }
        f(&parent)?;
        dentry = parent;
    }
}

/// Puts an inode into the inode cache for the root of each layer, so that a
/// lookup that finds it there, since somebody moved it, fails.
fn set_traps(sb: &SuperBlockOf<Overlay>, fc: &FsContext) -> Result {
    let data = sb.data();
    let mut traps = KVec::new();
    let mut trap = |dentry: &Dentry| -> Result {
        match NewInode::get(sb, dentry.inode().ok_or(ENOENT)?)? {
            Cached::Existing(_) => {
                Err(fc.error(ELOOP, fmt!("a directory is given for two layers")))
            }
            Cached::New(mut inode) => {
                inode.set_mode(vfs::attr::FileType::Directory.mode(0));
                inode.set_flags(InodeFlags::DEAD, InodeFlags::DEAD);
                traps.push(inode.publish(), GFP_KERNEL)?;
                Ok(())
            }
        }
    };
    if let Ok(upper) = data.layers.upper() {
        trap(upper.mount().root())?;
        trap(&upper.workbase)?;
        trap(&upper.workdir)?;
        if let Some(index) = upper.index()? {
            trap(index.dentry())?;
        }
    }
    for mount in &data.layers.lower_mounts {
        trap(mount.root())?;
    }
    data.traps.populate(traps);
    Ok(())
}

/// The root merges the roots of all layers. It is not in the inode cache, where
/// the traps are.
fn make_root(sb: &SuperBlockOf<Overlay>) -> Result<ARef<InodeOf<Overlay>>> {
    let layers = &sb.data().layers;
    let mut lower = KVec::with_capacity(layers.lower.len(), GFP_KERNEL)?;
    for (layer, mount) in layers.merged_mounts() {
        lower.push(
            LayerPath {
                layer,
                dentry: mount.root().into(),
            },
            GFP_KERNEL,
        )?;
    }
    let upper = layers
        .upper()
        .ok()
        .map(|upper| ARef::from(upper.mount().root()));
    let ino = match &upper {
        Some(upper) => sb
            .data()
            .identity
            .map(Fsid::UPPER, upper.inode().ok_or(ENOENT)?.ino())?,
        None => {
            let first = lower.first().ok_or(EINVAL)?;
            let ino = first.dentry.inode().ok_or(ENOENT)?.ino();
            sb.data().identity.map(layers.fsid(first.layer)?, ino)?
        }
    };
    let inode = NewInode::unhashed(sb)?;
    let objects = Objects {
        upper,
        lower,
        ..Objects::default()
    };
    lookup::fill_inode(inode, objects, false, Some(ino))
}

fn set_root_revalidation(root: &vfs::dentry::DentryOf<Overlay>) {
    if let Some(inode) = root.inode_of() {
        root.set_revalidation(inode.data().objects());
    }
}
