// SPDX-License-Identifier: GPL-2.0

//! Super blocks: the filesystem as a whole.

use crate::{
    addresses::Addresses,
    config::Config,
    counters::Shown,
    entry::{Entry, OverlayInode},
    format::xattr::Namespace,
    identity::Identity,
    kept::Kept,
    layers::{LayerIndex, LayerStack},
    lower_data,
    mapping::PendingSwitches,
    mount,
    params::{self, Context, LowerOption},
    reconfigure,
    written::{self, Written},
    Overlay, //
};
use core::convert::Infallible;
use kernel::{
    cred::Credential,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
};
use vfs::{
    context::{FsContext, ParamValue, Refused},
    cred::with_creds,
    delayed_work::DelayedWork,
    dentry::{Dentry, DentryOf},
    fs::{FileSystem, Revalidation},
    inode::Inode,
    mapping::Tables,
    mount::{Mount, PrivateMount},
    rcu::{RealDentries, Stacked},
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
    /// The features that were asked for.
    pub(crate) requested: Config,
    /// How the lower layers were given, to show it.
    pub(crate) lowerdir: LowerOption,
    /// The tables of mappings of lower files.
    pub(crate) mapping_tables: Tables<Overlay>,
    /// Mappings that could not be switched at once.
    pub(crate) pending_switches: Pin<KBox<DelayedWork<PendingSwitches>>>,
    /// Files of upper that may have data to be synced.
    pub(crate) written: Pin<KBox<DelayedWork<Written>>>,
    /// The inodes of the roots of layers, so that a layer that is found within another is
    /// noticed.
    pub(crate) traps: Addresses<Inode>,
    /// The listings that are kept.
    pub(crate) kept: Arc<Kept>,
    /// What is counted.
    pub(crate) counters: Shown,
}

impl Super {
    /// Where the overlay's own attributes are kept.
    pub(crate) fn namespace(&self) -> Namespace {
        self.config.namespace
    }
}

impl Stacked for Overlay {
    fn layer_mount(sb: &Super, layer: u32) -> Option<&Mount> {
        sb.layers.mount(LayerIndex(layer)).ok()
    }
}

impl FileSystem for Overlay {
    const USERNS_MOUNT: bool = true;

    type Context = Context;
    type Super = Super;
    type Inode = Entry;
    type Rcu = RealDentries;

    fn new_context() -> Result<KBox<Context>> {
        Ok(KBox::new(Context::new(), GFP_KERNEL)?)
    }

    fn parse_param(
        context: &mut Context,
        fc: &FsContext,
        key: &CStr,
        value: ParamValue<'_>,
    ) -> Result<(), Refused> {
        context.parse(fc, key, value)
    }

    fn reparse_param(
        context: &mut Context,
        sb: &SuperBlockOf<Self>,
        fc: &FsContext,
        key: &CStr,
        value: ParamValue<'_>,
    ) -> Result<(), Refused> {
        reconfigure::parse(context, sb.data(), fc, key, value)
    }

    fn fill_super(
        context: &mut Context,
        fc: &FsContext,
        sb: &mut NewSuperBlock<Self>,
    ) -> Result<(), Refused> {
        mount::fill_super(context, fc, sb)
    }

    fn reconfigure(sb: &SuperBlockOf<Self>, fc: &FsContext) -> Result<(), Refused> {
        reconfigure::apply(sb, fc)
    }

    fn kill_super(sb: &SuperBlockOf<Self>) {
        sb.data().pending_switches.cancel();
        sb.data().pending_switches.clear();
    }

    fn private_mounts(data: &Super) -> impl Iterator<Item = &PrivateMount> {
        let upper = data.layers.upper().ok().map(|upper| &upper.mount);
        Iterator::chain(upper.into_iter(), data.layers.lower_mounts.iter())
    }

    fn put_super(data: KBox<Super>) {
        let Super {
            layers, written, ..
        } = KBox::into_inner(data);
        // Inodes go before the mounts that they are of.
        drop(written);
        drop(layers);
    }

    fn inode_data(depth: c_int) -> impl PinInit<Entry, Infallible> {
        Entry::new(depth)
    }

    fn statfs(dentry: &DentryOf<Self>, buf: &mut StatFs) -> Result {
        let sb = dentry.super_data();
        let root = sb.layers.highest_root()?;
        buf.fill_from(root)?;
        buf.set_type(MAGIC, sb.name_len);
        if sb.config.uuid.has_own() {
            buf.set_fsid_from(dentry.super_block_of().uuid());
        }
        Ok(())
    }

    fn cached_objects(data: &Super) -> usize {
        data.kept.size()
    }

    fn free_cached_objects(data: &Super, wanted: usize) -> usize {
        data.kept.shrink(wanted)
    }

    fn sync_fs(sb: &SuperBlockOf<Self>, wait: bool) -> Result {
        // `sync(2)` reaches upper's filesystem by itself; `syncfs(2)` calls with `wait` at last.
        let syncs = sb.data().syncs().map_err(|_| EIO)?;
        match sb.data().layers.upper() {
            Ok(upper) if wait && syncs => written::sync(sb.data(), upper.mount().super_block()),
            _ => Ok(()),
        }
    }

    fn show_options(sb: &SuperBlockOf<Self>, options: &Options<'_>) -> Result {
        params::show_options(sb, options);
        Ok(())
    }

    fn real(dentry: &DentryOf<Self>, kind: RealKind) -> Result<&Dentry> {
        let inode = dentry.inode_of().ok_or(ENOENT)?;
        let upper = match kind {
            RealKind::Data => inode.upper_data(),
            RealKind::Metadata => inode.upper(),
        };
        if let Some(upper) = upper {
            return Ok(upper);
        }
        let lower = match kind {
            RealKind::Data => {
                lower_data::find(dentry)?;
                inode.lower_data()
            }
            RealKind::Metadata => inode.lower().first(),
        };
        Ok(real_dentry(lower.ok_or(EIO)?.dentry, kind))
    }

    fn revalidate(dentry: &DentryOf<Self>, check: Revalidation) -> Result<bool> {
        let Some(inode) = dentry.inode_of() else {
            return Ok(true);
        };
        let layers = inode.objects();
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
