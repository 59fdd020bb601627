// SPDX-License-Identifier: GPL-2.0

//! Super blocks: the filesystem as a whole.

use crate::{
    config::{Config, FsyncMode},
    entry::Entry,
    identity::Identity,
    layers::{LayerStack, SharedWhiteout},
    lower_data,
    mapping::PendingSwitches,
    mount,
    params::{self, Context, LowerOption},
    Overlay, //
};
use core::convert::Infallible;
use kernel::{
    cred::Credential,
    prelude::*,
    sync::{
        aref::ARef,
        SetOnce, //
    },
};
use vfs::{
    context::{FsContext, ParamValue},
    cred::with_creds,
    delayed_work::DelayedWork,
    dentry::{Dentry, DentryOf},
    fs::{FileSystem, Revalidation},
    inode::InodeOf,
    mapping::Tables,
    mount::{release_all, PathRef},
    rcu::RealInodes,
    super_block::{real_dentry, NewSuperBlock, Options, RealKind, StatFs, SuperBlockOf}, //
};

/// `OVERLAYFS_SUPER_MAGIC`: rovl is overlayfs to those who ask.
pub(crate) const MAGIC: u32 = 0x794c_7630;

/// The private data of a mounted overlay.
pub struct Super {
    /// The mounter's credentials: what the overlay uses for its layers.
    pub(crate) cred: ARef<Credential>,
    /// The layers.
    pub(crate) layers: LayerStack,
    /// How inode numbers are made.
    pub(crate) identity: Pin<KBox<Identity>>,
    /// The longest name that any layer takes, in bytes.
    pub(crate) name_len: usize,
    /// The features. They do not change while it is mounted.
    pub(crate) config: Config,
    /// How the lower layers were given, to show it.
    pub(crate) lowerdir: LowerOption,
    /// The tables of mappings of lower files.
    pub(crate) mapping_tables: Tables<Overlay>,
    /// Mappings that could not be switched at once.
    pub(crate) pending_switches: Pin<KBox<DelayedWork<PendingSwitches>>>,
    /// Inodes that stand for the roots of layers in the inode cache, so that a
    /// layer that is found within another is noticed.
    pub(crate) traps: SetOnce<KVec<ARef<InodeOf<Overlay>>>>,
}

impl FileSystem for Overlay {
    type Context = Context;
    type Super = Super;
    type Inode = Entry;
    type Rcu = RealInodes;

    fn new_context() -> Result<KBox<Context>> {
        Ok(KBox::new(Context::new(), GFP_KERNEL)?)
    }

    fn parse_param(
        context: &mut Context,
        fc: &FsContext,
        key: &CStr,
        value: ParamValue<'_>,
    ) -> Result {
        context.parse(fc, key, value)
    }

    fn fill_super(context: &mut Context, fc: &FsContext, sb: &mut NewSuperBlock<Self>) -> Result {
        mount::fill_super(context, fc, sb)
    }

    fn reconfigure(sb: &SuperBlockOf<Self>, fc: &FsContext) -> Result {
        if !fc.readonly() && sb.data().layers.upper.is_none() {
            return Err(fc.error(EROFS, fmt!("without upperdir the mount stays read-only")));
        }
        let volatile = sb.data().config.fsync == FsyncMode::Volatile;
        if fc.readonly() && !sb.is_readonly() && !volatile {
            Self::sync_fs(sb, true)?;
        }
        Ok(())
    }

    fn kill_super(sb: &SuperBlockOf<Self>) {
        sb.data().pending_switches.cancel();
        sb.data().pending_switches.clear();
    }

    fn put_super(data: KBox<Super>) {
        let Super { layers, traps, .. } = KBox::into_inner(data);
        // Inodes go before what they were made of.
        drop(traps);
        let LayerStack {
            upper,
            lower_mounts,
            lower,
            ..
        } = layers;
        if let Some(upper) = &upper {
            // A link that was kept to make others of goes with the mount.
            *upper.whiteout.lock() = SharedWhiteout::None;
        }
        release_all(lower_mounts);
        drop(upper);
        drop(lower);
    }

    fn inode_data(depth: c_int) -> impl PinInit<Entry, Infallible> {
        Entry::new(depth)
    }

    fn statfs(dentry: &DentryOf<Self>, buf: &mut StatFs) -> Result {
        let sb = dentry.super_data();
        let root = root_of(sb)?;
        buf.fill_from(root)?;
        buf.set_type(MAGIC, sb.name_len);
        if sb.config.uuid.has_own() {
            buf.set_fsid_from(dentry.super_block_of().uuid());
        }
        Ok(())
    }

    fn sync_fs(sb: &SuperBlockOf<Self>, wait: bool) -> Result {
        // `sync(2)` reaches upper's filesystem by itself; `syncfs(2)` calls with `wait` at last.
        let syncs = sb.data().syncs().map_err(|_| EIO)?;
        match sb.data().layers.upper() {
            Ok(upper) if wait && syncs => upper.mount().super_block().sync(),
            _ => Ok(()),
        }
    }

    fn show_options(sb: &SuperBlockOf<Self>, options: &Options<'_>) -> Result {
        params::show_options(sb, options);
        Ok(())
    }

    fn real(dentry: &DentryOf<Self>, kind: RealKind) -> Result<&Dentry> {
        let entry = dentry.inode_of().ok_or(ENOENT)?.data();
        let upper = match kind {
            RealKind::Data => entry.upper_data(),
            RealKind::Metadata => entry.upper(),
        };
        if let Some(upper) = upper {
            return Ok(upper);
        }
        let lower = match kind {
            RealKind::Data => {
                lower_data::find(dentry)?;
                entry.lower_data()
            }
            RealKind::Metadata => entry.lower().first(),
        };
        Ok(real_dentry(&lower.ok_or(EIO)?.dentry, kind))
    }

    fn revalidate(dentry: &DentryOf<Self>, check: Revalidation) -> Result<bool> {
        let Some(inode) = dentry.inode_of() else {
            return Ok(true);
        };
        let layers = inode.data().objects();
        with_creds(&inode.super_data().cred, |_| {
            for layer in layers {
                if !check.check(layer)? {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }
}

/// The root of the highest layer.
fn root_of(sb: &Super) -> Result<PathRef<'_>> {
    let mount = match sb.layers.upper() {
        Ok(upper) => &upper.mount,
        Err(_) => sb.layers.lower_mounts.first().ok_or(EIO)?,
    };
    PathRef::new(mount, mount.root())
}
