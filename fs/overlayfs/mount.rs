// SPDX-License-Identifier: GPL-2.0

//! Setting a mount up.

use crate::{
    casefold,
    config::Config,
    counters,
    durability,
    entry::OverlayInode,
    export::{Export, Identify},
    filesystems::Filesystems,
    format::uuid::Uuid,
    identity::{index_of, Fsid, Identity, Numbering},
    index_mount,
    kept::Kept,
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
    overlap,
    params::{check_writable, show, Context, NamedPath, Shown},
    stack::Stack,
    super_block::{Super, MAGIC},
    text::Text,
    workdir,
    written::Written,
    xattr,
    Overlay, //
};
use kernel::{
    prelude::*,
    static_lock_class,
    sync::aref::ARef, //
};
use vfs::{
    context::{FsContext, Refused},
    cred::{with_creds, with_real_creds},
    exportfs,
    inode::InodeOf,
    mapping::Tables,
    mount::{Mount, MountFlags, Path, PathRef, PrivateMount, PrivateMounts},
    mutex::Mutex,
    new_inode::NewInode,
    super_block::{NewSuperBlock, StatFs, SuperBlockOf}, //
};

/// See `FileSystem::fill_super`.
pub(crate) fn fill_super(
    context: &mut Context,
    fc: &FsContext,
    sb: &mut NewSuperBlock<Overlay>,
) -> Result<(), Refused> {
    if !fc.in_current_user_ns() {
        return Err(fc.invalid(fmt!(
            "the context was made in another user namespace than the one that mounts"
        )));
    }
    let cred = context
        .mounter
        .cred()
        .map_err(fc.failed("prepare credentials"))?;
    with_creds(&cred.clone(), |_| {
        let config = context.verify(fc)?;
        check_upper(context, fc)?;
        overlap::check(context, &config, fc)?;
        fill_super_as_mounter(context, config, fc, sb, cred)
    })
}

/// Checks that upper and work directory fit each other.
fn check_upper(context: &Context, fc: &FsContext) -> Result<(), Refused> {
    let (Some(upper), Some(work)) = (&context.upper, &context.work) else {
        return Ok(());
    };
    // It may have become so since the option was taken.
    check_writable(fc, show(c"upperdir"), &upper.path)?;
    let (upper_shown, work_shown) = (show(&upper.name), show(&work.name));
    if !core::ptr::eq(upper.path.mount(), work.path.mount()) {
        return Err(fc.invalid(fmt!(
            "workdir and upperdir must be on the same filesystem and mount: '{work_shown}' and \
             '{upper_shown}' are not"
        )));
    }
    let (upper_dir, work_dir) = (upper.path.dentry(), work.path.dentry());
    if upper_dir.is_subdir_of(work_dir) || work_dir.is_subdir_of(upper_dir) {
        return Err(fc.invalid(fmt!(
            "workdir and upperdir must be separate subtrees: '{work_shown}' and '{upper_shown}' \
             are not"
        )));
    }
    Ok(())
}

fn fill_super_as_mounter(
    context: &mut Context,
    mut config: Config,
    fc: &FsContext,
    sb: &mut NewSuperBlock<Overlay>,
    cred: ARef<kernel::cred::Credential>,
) -> Result<(), Refused> {
    let (name_len, depth) = check_stack(context, fc, sb)?;
    let Opened {
        layers,
        several,
        handles,
        uuid,
    } = open_layers(context, fc, &mut config)?;
    sb.set_uuid(*uuid.as_bytes());
    if layers.forces_readonly() {
        sb.set_readonly();
    }
    if let Some(upper) = &layers.upper {
        sb.set_time_granularity(upper.mount().super_block().time_granularity());
        if upper.mount().super_block().has_nosec() {
            sb.set_nosec();
        }
    }
    let identity = KBox::pin_init(Identity::new(several, depth), GFP_KERNEL)
        .map_err(fc.failed("set the mount up"))?;
    let pending_switches = PendingSwitches::new().map_err(fc.failed("set the mount up"))?;
    let upper_sb = layers
        .upper
        .as_ref()
        .filter(|upper| upper.volatile.is_none())
        .map(|upper| upper.mount().super_block());
    let written = Written::new(upper_sb).map_err(fc.failed("set the mount up"))?;
    let traps = overlap::traps(&layers, fc)?;
    let data = KBox::new(
        Super {
            cred,
            layers,
            identity,
            name_len,
            config,
            requested: context.config,
            lowerdir: core::mem::take(&mut context.lowerdir),
            mapping_tables: Tables::default(),
            pending_switches,
            written,
            traps,
            kept: Kept::new().map_err(fc.failed("set the mount up"))?,
            counters: counters::Shown::new().map_err(fc.failed("set the mount up"))?,
        },
        GFP_KERNEL,
    )?;

    sb.set_magic(MAGIC);
    sb.allow_large_files();
    casefold::set_encoding(sb, context, fc)?;
    sb.set_dentry_operations();
    sb.set_xattr_handlers(xattr::handlers(config.namespace));
    sb.set_posix_acl();
    sb.set_stacked();

    if config.nfs_export {
        sb.set_export_operations(exportfs::table::<Export>());
    } else if handles {
        sb.set_export_operations(exportfs::table::<Identify>());
    }

    let this = sb
        .set_data(data)
        .map_err(fc.failed("set the super block up"))?;
    index_mount::check(this.data(), fc)?;
    let root = make_root(this).map_err(fc.failed("make the root"))?;
    counters::show(this).map_err(fc.failed("show the counters in sysfs"))?;
    let root = sb.set_root(root).map_err(fc.failed("make the root"))?;
    set_root_revalidation(root);
    Ok(())
}

/// The layers, ready for use.
struct Opened {
    layers: LayerStack,
    /// Whether they are on several filesystems.
    several: bool,
    /// Whether all of them have file handles.
    handles: bool,
    /// What the overlay is told by.
    uuid: Uuid,
}

/// Opens the layers, and turns off in `config` what they cannot do.
fn open_layers(context: &Context, fc: &FsContext, config: &mut Config) -> Result<Opened, Refused> {
    let mut upper = match (&context.upper, &context.work) {
        (Some(upper), Some(work)) => Some(open_upper(fc, upper, work, config)?),
        _ => None,
    };
    if upper.as_ref().is_some_and(|upper| !upper.features.xattr) {
        config.without_xattr(fc);
    }
    let filesystems = Filesystems::of(context, config.uuid)?;
    let handles = filesystems.check(fc, config, upper.as_deref());

    let mut known = KVVec::new();
    let mut before: Option<(Fsid, Numbering)> = None;
    let mut number = |path: PathRef<'_>| -> Result<(Fsid, Numbering), Refused> {
        if let Some(same) = before.filter(|(_, before)| before.is_of_all(path)) {
            return Ok(same);
        }
        let numbering =
            Numbering::of(path).map_err(fc.failed("learn what numbers the inodes of a layer"))?;
        let index = index_of(&mut known, numbering)?;
        let fsid = Fsid::new(index).map_err(fc.failed("tell so many filesystems apart"))?;
        before = Some((fsid, numbering));
        Ok((fsid, numbering))
    };
    if let Some(upper) = &context.upper {
        number(upper.path.borrow())?;
    }
    let Roots {
        lower_roots,
        lower_mounts,
    } = open_roots(context, fc, config)?;
    let merged = context.merged();
    let mut lower = KVVec::with_capacity(merged, GFP_KERNEL_ACCOUNT)?;
    for (index, path) in context.lower.iter().enumerate() {
        if index < merged {
            let (fsid, numbering) = number(path.borrow())?;
            let unique_uuid = filesystems.has_unique_uuid(path.mount().super_block());
            let layer = Lower {
                fsid,
                unique_uuid,
                numbering,
            };
            lower.push(layer, GFP_KERNEL_ACCOUNT)?;
        }
    }
    let uuid = match &upper {
        Some(upper) => {
            let (mode, uuid) = config.uuid.with_upper(fc, upper)?;
            config.uuid = mode;
            uuid
        }
        None => Uuid::NULL,
    };
    if let (Some(upper), Some(lower)) = (&mut upper, context.lower.first()) {
        if config.index && upper.workdir.is_some() {
            upper.index = index_mount::open(fc, upper, lower.dentry(), config.uuid)?;
            if upper.index.is_none() {
                // Nothing can be changed that should be in the index.
                upper.workdir = None;
            }
        }
        if upper.workdir.is_none() {
            config.without_workdir(fc);
        }
    }
    Ok(Opened {
        layers: LayerStack {
            upper,
            lower,
            data_only: context.data_only,
            lower_roots,
            lower_mounts,
        },
        several: known.len() > 1,
        handles,
        uuid,
    })
}

/// Checks how high filesystems are stacked. Answers the longest name that any layer takes,
/// and how high the overlay is.
fn check_stack(
    context: &Context,
    fc: &FsContext,
    sb: &mut NewSuperBlock<Overlay>,
) -> Result<(usize, u32), Refused> {
    let upper = context.upper.as_ref().map(|upper| &upper.path);
    let (mut name_len, mut depth) = (0, 1);
    let mut before = None;
    for path in Iterator::chain(context.lower.iter(), upper) {
        let super_block = path.mount().super_block();
        // Those that ask somebody else may answer otherwise for each directory.
        if before.replace(super_block) == Some(super_block) && !path.dentry().needs_revalidation() {
            continue;
        }
        let longest = StatFs::name_len_of(path.borrow())
            .map_err(fc.failed("ask the filesystem of a layer what it is like"))?;
        name_len = name_len.max(longest);
        let layer_depth = super_block.stack_depth();
        depth = depth.max(layer_depth.saturating_add(1));
        sb.set_stack_depth(depth).map_err(|err| {
            let shown = Shown::new(path.borrow());
            fc.error(
                err,
                fmt!("the layer '{shown}' is on filesystems that are stacked too high"),
            )
        })?;
    }
    Ok((name_len, depth))
}

/// The roots of the lower layers, and the mounts they are in.
struct Roots {
    lower_roots: KVVec<Path>,
    lower_mounts: PrivateMounts,
}

/// Clones the mounts that the lower layers are on: nothing is written to them, not even times.
///
/// Neighbours on one mount share a clone of the whole of it, since a clone for each is most of
/// what mounting hundreds of layers takes. A layer is never left by `..`, so that nothing depends
/// on where the clone begins.
fn open_roots(context: &Context, fc: &FsContext, config: &Config) -> Result<Roots, Refused> {
    let mut roots = Roots {
        lower_roots: KVVec::with_capacity(context.lower.len(), GFP_KERNEL_ACCOUNT)?,
        lower_mounts: PrivateMounts::default(),
    };
    // The mount of the layer before, and whether the last clone is the whole of it.
    let (mut before, mut is_whole): (Option<&Mount>, bool) = (None, false);
    let mut layers = context.lower.iter().peekable();
    while let Some(path) = layers.next() {
        if path.dentry().inode().is_some_and(|inode| inode.is_in_use()) {
            in_use(fc, config, "lowerdir", path)?;
        }
        let source = path.mount();
        let is_source = |mount: &Mount| core::ptr::eq(mount, source);
        let is_first = !before.is_some_and(is_source);
        before = Some(source);
        if is_first || !is_whole {
            let is_shared = layers.peek().is_some_and(|next| is_source(next.mount()));
            // Where it cannot be had it is not tried for each layer.
            let whole = match is_first && is_shared {
                true => clone_whole(source),
                false => None,
            };
            is_whole = whole.is_some();
            let mut mount = match whole {
                Some(mount) => mount,
                None => clone(fc, "lowerdir", path)?,
            };
            mount.update_flags(
                MountFlags::READONLY.and(MountFlags::NOATIME),
                MountFlags::NONE,
            );
            roots.lower_mounts.push(mount)?;
        }
        let root = roots.lower_mounts.last().ok_or(EIO);
        let root = root
            .and_then(|mount| PathRef::new(mount, path.dentry()))
            .map_err(fc.failed("use the root of a layer"))?;
        roots.lower_roots.push(root.into(), GFP_KERNEL_ACCOUNT)?;
    }
    Ok(roots)
}

/// A private clone of a mount from its root on. There is none in a user namespace that has
/// mounts locked below: the layers, which have none of these in them, are cloned one by one then.
fn clone_whole(mount: &Mount) -> Option<PrivateMount> {
    let root = PathRef::new(mount, mount.root()).ok()?;
    with_real_creds(|| PrivateMount::clone_from(root)).ok()
}

fn clone(fc: &FsContext, key: &str, path: &Path) -> Result<PrivateMount, Refused> {
    // Cloning needs the capability of whoever calls, which the mounter's credentials lack that
    // were made for the layers.
    with_real_creds(|| PrivateMount::clone_from(path.borrow())).map_err(|err| {
        let (shown, errno) = (Shown::new(path.borrow()), err.to_errno());
        fc.error(
            err,
            fmt!(
                "{key}: the mount of '{shown}' cannot be cloned: error {errno}. It may be \
                 unbindable, of another mount namespace, or have locked mounts in it"
            ),
        )
    })
}

fn open_upper(
    fc: &FsContext,
    upper: &NamedPath,
    work: &NamedPath,
    config: &Config,
) -> Result<KBox<Upper>, Refused> {
    let mut mount = clone(fc, "upperdir", &upper.path)?;
    // Access times are those of the overlay's own mount.
    mount.update_flags(MountFlags::NONE, MountFlags::ATIME_POLICY);

    let marks = [
        InUse::mark(fc, config, "upperdir", &upper.path)?,
        InUse::mark(fc, config, "workdir", &work.path)?,
    ];
    let volatile = durability::watch_errors(fc, config.fsync, mount.super_block())?;
    let workbase = work.path.dentry().clone();
    let base = PathRef::new(&mount, &workbase).map_err(fc.failed("use workdir"))?;
    let made = workdir::make(fc, (&upper.name, &work.name), base, config)?;
    let whiteout = Mutex::new(
        SharedWhiteout::None,
        c"overlay_whiteout",
        static_lock_class!(),
    );
    let whiteout = KBox::pin_init(whiteout, GFP_KERNEL).map_err(fc.failed("set the mount up"))?;
    let upper = Upper {
        mount,
        workdir: made.workdir,
        index: None,
        workbase,
        _marks: marks,
        namespace: config.namespace,
        features: made.features,
        volatile,
        whiteout,
        upperdir: Text::new(&upper.name)?,
        workdir_option: Text::new(&work.name)?,
    };
    Ok(KBox::new(upper, GFP_KERNEL)?)
}

/// The root merges the roots of all layers. It is not in the inode cache: no lookup finds it.
fn make_root(sb: &SuperBlockOf<Overlay>) -> Result<ARef<InodeOf<Overlay>>> {
    let layers = &sb.data().layers;
    let mut lower = KVVec::with_capacity(layers.lower.len(), GFP_KERNEL_ACCOUNT)?;
    for (layer, root) in layers.merged_roots() {
        let dentry = root.dentry().clone();
        lower.push(LayerPath { layer, dentry }, GFP_KERNEL)?;
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
        lower: Stack::Many(lower),
        ..Objects::default()
    };
    lookup::fill_inode(inode, objects, false, Some(ino))
}

fn set_root_revalidation(root: &vfs::dentry::DentryOf<Overlay>) {
    if let Some(inode) = root.inode_of() {
        root.set_revalidation(inode.objects());
    }
}
