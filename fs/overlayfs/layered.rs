// SPDX-License-Identifier: GPL-2.0

//! What the layers have of a name.
//!
//! Layers are asked from the highest to the lowest. An object may be found under
//! another name below than above, since redirects are followed: of directories,
//! and of files whose data is in a layer below (*metacopies*).

use crate::{
    casefold,
    config::RedirectMode,
    copy_up,
    entry::OverlayInode,
    format::{
        opaque::Opaque,
        xattr::{Attribute, Attributes, Namespace}, //
    },
    layer_names::{self, Asked},
    layers::{LayerIndex, LayerPath},
    lookup::is_whiteout,
    metacopy,
    origin::{self, Origin},
    redirect::{self, Wanted},
    stack::Stack,
    xattr,
    Overlay, //
};
use core::ops::Range;
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    dentry::{Dentry, Name},
    inode::{Inode, InodeOf},
    mount::PathRef,
    super_block::SuperBlockOf, //
};

/// What the layers have of an object.
#[derive(Default)]
pub(crate) struct Objects {
    /// Upper's object.
    pub(crate) upper: Option<ARef<Dentry>>,
    /// Objects of lower layers, the highest first.
    ///
    /// Of a directory those that are merged. Of a file in upper, and of an opaque
    /// directory, what it was copied from, if that is known. Of a metacopy see
    /// `data`.
    pub(crate) lower: Stack,
    /// Of a regular file whose highest object is a metacopy, which has the
    /// attributes: where the data is.
    ///
    /// Other metacopies between it and the data are left out of `lower`, but for
    /// the highest one that is in a lower layer: with it the stack is upper's
    /// metacopy, a lower layer's, the data, of which the first or the second may be
    /// missing.
    pub(crate) data: Option<DataPlace>,
    /// The redirect that upper's object has.
    pub(crate) redirect: Option<KVec<u8>>,
    /// Whether upper's object is a directory that hides those of lower layers.
    pub(crate) opaque: bool,
    /// Whether the index has an entry for it.
    pub(crate) indexed: bool,
    /// Whether upper's object was made just now: it says nothing of itself yet.
    pub(crate) is_new: bool,
}

/// Where data of a metacopy is.
pub(crate) enum DataPlace {
    /// In the last object of `lower`.
    Lower,
    /// In one of the data-only layers, at this absolute path. `lower` ends with
    /// the metacopy that says so.
    DataOnly(KVec<u8>),
}

impl Objects {
    /// An object that upper alone has.
    pub(crate) fn of_upper(upper: ARef<Dentry>) -> Self {
        Self {
            upper: Some(upper),
            ..Self::default()
        }
    }
}

/// Looks for `name` in the layers of `dir`, with the mounter's credentials. What there is
/// goes to `found`, which has nothing yet; `searched` counts how many were looked at.
///
/// Fails with `EPERM` when it would have to follow what options say is not to be
/// followed, `EINVAL` for an invalid redirect, `EIO` for a metacopy without data,
/// `EREMOTE` for what cannot be in a layer, `ELOOP` for layers within each other.
pub(crate) fn find(
    dir: &InodeOf<Overlay>,
    name: Name<'_>,
    found: &mut Objects,
    searched: &mut u32,
) -> Result {
    let sb = dir.super_block_of();
    let search = Search {
        sb,
        dir,
        asked: None,
        wanted: Wanted::Name(name),
        found,
        is_dir: false,
        metacopy: false,
        absolute: false,
        in_upper: false,
        upper_attributes: Attributes::ALL,
        last_in_upper: false,
        stop: false,
        last: false,
        searched,
    };
    search.run()
}

/// A layer's directory in which something is looked for.
struct Source<'a> {
    layer: LayerIndex,
    dir: PathRef<'a>,
}

/// The state of a lookup between two layers.
struct Search<'a> {
    sb: &'a SuperBlockOf<Overlay>,
    dir: &'a InodeOf<Overlay>,
    /// Which of the parent's lower objects are asked for what is wanted, once that matters.
    asked: Option<Asked<'a>>,
    wanted: Wanted<'a>,
    found: &'a mut Objects,
    /// Whether a directory was found.
    is_dir: bool,
    /// Whether the last object found was a metacopy: its data is below.
    metacopy: bool,
    /// Whether the last object that was asked for a redirect has an absolute one.
    absolute: bool,
    /// Whether it is upper that is being looked at.
    in_upper: bool,
    /// Which of the overlay's own attributes upper's object may have.
    upper_attributes: Attributes,
    /// Whether no layer below upper is looked at.
    last_in_upper: bool,
    /// Whether nothing below is looked at.
    stop: bool,
    /// Whether this is the lowest layer that is looked at, so that what an object
    /// says of those below makes no difference.
    last: bool,
    /// How many layers were looked at.
    searched: &'a mut u32,
}

impl<'a> Search<'a> {
    fn run(mut self) -> Result {
        let layers = &self.sb.data().layers;
        let follows = self.follows_redirects() || layers.data_only > 0;
        self.last = !follows && self.is_last(0);
        if let Some(upper) = self.dir.upper_path()? {
            self.in_upper(upper)?;
        }
        let in_upper = self.found.upper.is_some();
        let upper_metacopy = self.metacopy;
        let mut lower_metacopy = false;

        // The parent's objects, or after an absolute redirect the roots of the layers.
        let mut from_root = self.wanted.is_absolute();
        let mut index = 0;
        let mut in_vain = 0;
        while !self.stop {
            if !from_root {
                index = self.asked().from(index);
            }
            let Some(source) = self.source(from_root, index)? else {
                break;
            };
            self.check_follow()?;
            if !follows {
                self.last = self.is_last(index.saturating_add(1));
            } else if self.is_dir || layers.data_only == 0 {
                // A redirect may lead out of the parent's objects.
                self.last = source.layer.0 as usize == layers.merged();
            }
            index += 1;
            let Some(dentry) = self.in_layer(source.dir)? else {
                in_vain += 1;
                continue;
            };
            if !self.belongs(&dentry)? {
                break;
            }
            if !self.metacopy || self.found.lower.is_empty() {
                if self.found.lower.is_empty() {
                    lower_metacopy = self.metacopy;
                }
                let layer = source.layer;
                self.found.lower.push(LayerPath { layer, dentry })?;
            }
            if !from_root && self.wanted.is_absolute() {
                from_root = true;
                index = source.layer.0 as usize;
            }
        }
        if in_vain > 0 {
            layer_names::asked_in_vain(self.dir, in_vain);
        }

        let is_metacopy = if in_upper {
            upper_metacopy
        } else {
            lower_metacopy
        };
        let lower_is_empty = self.found.lower.is_empty();
        let in_data_only =
            self.metacopy && self.absolute && layers.data_only > 0 && !lower_is_empty;
        if in_data_only {
            // What is there is looked up when the data is needed. That needs no option.
            self.metacopy = false;
        } else {
            self.check_follow()?;
        }
        if self.metacopy || upper_metacopy && lower_is_empty {
            vfs::pr_warn_ratelimited!("lookup: there is no data for a metacopy\n");
            return Err(EIO);
        }
        if is_metacopy {
            self.found.data = Some(match self.wanted {
                Wanted::Redirected(path) if in_data_only => DataPlace::DataOnly(path),
                _ => DataPlace::Lower,
            });
        } else if let Some(upper) = self.found.upper.clone().filter(|_| lower_is_empty) {
            let path = layers.upper()?.path(&upper)?;
            if self.upper_attributes.contains(Attribute::Origin) && self.may_have_moved(path)? {
                if let Some(origin) = origin::find(self.sb.data(), path)? {
                    self.found.lower.push(origin)?;
                }
            }
        }
        Ok(())
    }

    /// Whether an object that upper alone has may be a copy of one that lower
    /// layers have under another name. A directory is only if it was made opaque
    /// to be moved.
    fn may_have_moved(&mut self, path: PathRef<'_>) -> Result<bool> {
        if self.is_dir
            && self.last_in_upper
            && xattr::has_own(self.namespace(), path, Attribute::Origin)?
        {
            // It has not been asked for, since nothing is below.
            self.found.opaque = is_opaque(self.namespace(), path)?;
        }
        Ok(!self.is_dir || self.found.opaque)
    }

    /// Whether an object that was found in a lower layer belongs to upper's, if there is
    /// one and it is the first: upper's has to have been copied from it, where the index
    /// relies on that. `ESTALE` if a metacopy was not.
    ///
    /// A directory that was merged by hand gets its origin, as with C overlayfs.
    fn belongs(&self, lower: &Dentry) -> Result<bool> {
        let sb = self.sb.data();
        let Some(upper) = self.found.upper.as_ref() else {
            return Ok(true);
        };
        let relies = match self.is_dir {
            true => sb.config.nfs_export,
            false => sb.config.index,
        };
        if !self.found.lower.is_empty() || !relies && !self.is_dir {
            return Ok(true);
        }
        let upper = sb.layers.upper()?.path(upper)?;
        let lower = lower.inode().ok_or(ENOENT)?;
        if !self.is_dir {
            return match origin::find(sb, upper)? {
                Some(_) => origin::verify(sb, upper, lower).map(|()| true),
                None => Ok(true),
            };
        }
        if !relies {
            if !self.sb.is_readonly() {
                // Nobody needs it now: a failure is of no consequence.
                let _ = self.note_origin(upper, lower);
            }
            return Ok(true);
        }
        self.note_origin(upper, lower)?;
        match origin::verify(sb, upper, lower) {
            Ok(()) => Ok(true),
            Err(err) if err == ESTALE || err == ENODATA => Ok(false),
            Err(err) => Err(err),
        }
    }

    /// Writes the origin of a directory that has none. Takes write access to upper.
    fn note_origin(&self, dir: PathRef<'_>, lower: &Inode) -> Result {
        let sb = self.sb.data();
        if !sb.layers.upper()?.features.xattr
            || self.upper_attributes.contains(Attribute::Origin)
                && xattr::has_own(sb.namespace(), dir, Attribute::Origin)?
        {
            return Ok(());
        }
        Origin::of(sb, lower)?.store_now(sb, dir.dentry())?;
        copy_up::set_impure(self.dir)
    }

    fn in_upper(&mut self, dir: PathRef<'_>) -> Result {
        self.in_upper = true;
        self.last_in_upper = self.last;
        let found = self.in_layer(dir)?;
        self.in_upper = false;
        let Some(dentry) = found else {
            return Ok(());
        };
        if dentry.is_stacked() {
            return Err(EREMOTE);
        }
        if let Wanted::Redirected(path) = &self.wanted {
            let mut redirect = KVec::new();
            redirect.extend_from_slice(path, GFP_KERNEL_ACCOUNT)?;
            self.found.redirect = Some(redirect);
        }
        self.found.opaque = self.is_dir && self.stop;
        self.found.upper = Some(dentry);
        Ok(())
    }

    /// Whether none of the parent's lower objects from this place on is asked.
    fn is_last(&mut self, place: usize) -> bool {
        self.asked().from(place) >= self.dir.merged().len()
    }

    fn asked(&mut self) -> &mut Asked<'a> {
        let (dir, wanted) = (self.dir, &self.wanted);
        self.asked
            .get_or_insert_with(|| Asked::new(dir, wanted.as_sibling()))
    }

    /// The layer's directory at `index`.
    fn source(&self, from_root: bool, index: usize) -> Result<Option<Source<'a>>> {
        let layers = &self.sb.data().layers;
        if from_root {
            if index >= layers.merged() {
                return Ok(None);
            }
            let layer = LayerIndex(u32::try_from(index + 1).map_err(|_| EINVAL)?);
            let dir = layers.root(layer)?;
            return Ok(Some(Source { layer, dir }));
        }
        let lower = self.dir.merged();
        let Some(path) = lower.get(index) else {
            return Ok(None);
        };
        Ok(Some(Source {
            layer: path.layer,
            dir: layers.path(path)?,
        }))
    }

    fn namespace(&self) -> Namespace {
        self.sb.data().namespace()
    }

    fn follows_redirects(&self) -> bool {
        self.sb.data().config.redirect_dir != RedirectMode::NoFollow
    }

    /// Checks that what was found so far may be followed to lower layers: it is
    /// like a symbolic link without a check of permissions, which an upper layer
    /// that is not trusted could have anywhere.
    fn check_follow(&self) -> Result {
        if self.metacopy && !self.sb.data().config.metacopy {
            vfs::pr_warn_ratelimited!("refusing to follow metacopy origin\n");
            return Err(EPERM);
        }
        if matches!(self.wanted, Wanted::Redirected(_)) && !self.follows_redirects() {
            vfs::pr_warn_ratelimited!("refusing to follow redirect\n");
            return Err(EPERM);
        }
        Ok(())
    }

    /// Looks for what is wanted in one layer, from its directory `dir` on.
    fn in_layer(&mut self, dir: PathRef<'_>) -> Result<Option<ARef<Dentry>>> {
        *self.searched = self.searched.saturating_add(1);
        let mut base: Option<ARef<Dentry>> = None;
        // Counted from the end: a redirect changes what is before.
        let slash = usize::from(self.wanted.is_absolute());
        let mut left = self.wanted.as_bytes().len().checked_sub(slash).ok_or(EIO)?;
        loop {
            let place = self.wanted.name_at(left)?;
            let len = place.len();
            let at = match &base {
                Some(base) => PathRef::new(dir.mount(), base)?,
                None => dir,
            };
            let Some(found) = self.one_name(at, place)? else {
                return Ok(None);
            };
            if len == left {
                return Ok(Some(found));
            }
            // The name, and the slash behind it.
            left = left.checked_sub(len + 1).ok_or(EIO)?;
            base = Some(found);
        }
    }

    /// Looks for the name at `place` of what is wanted. `None` is what the layer
    /// has nothing of that counts.
    fn one_name(&mut self, dir: PathRef<'_>, place: Range<usize>) -> Result<Option<ARef<Dentry>>> {
        casefold::check(self.sb, dir.dentry())?;
        let is_last_name = place.end == self.wanted.as_bytes().len();
        let name = self.wanted.name(&place);
        let dentry = match name.and_then(|name| dir.lookup(name)) {
            Ok(dentry) => dentry,
            Err(err) if err == ENOENT || err == ENAMETOOLONG => return Ok(None),
            Err(err) => return Err(err),
        };
        let Some(inode) = dentry.inode() else {
            if self.in_upper {
                // Nobody looks for it there again while the overlay has it cached. Lower layers
                // are shared with other mounts.
                dentry.unhash_unused_negative();
            }
            return Ok(None);
        };
        if dentry.is_weird() || casefold::check(self.sb, &dentry).is_err() {
            vfs::pr_warn_ratelimited!("lookup: unsupported object in a layer\n");
            return Err(EREMOTE);
        }
        let path = PathRef::new(dir.mount(), &dentry)?;
        let mode = inode.mode();
        if !mode.is_dir() && is_whiteout(self.namespace(), path)? {
            self.stop = true;
            return Ok(None);
        }
        if is_last_name && self.metacopy && !mode.is_reg() {
            // No data.
            self.stop = true;
            return Ok(None);
        }
        // Of a lower file one thing is asked, and of the lowest directory nothing.
        let asks = if mode.is_dir() {
            !self.last
        } else {
            self.in_upper
        };
        let attributes = if asks {
            xattr::possible(self.namespace(), &dentry)
        } else {
            Attributes::ALL
        };
        if self.in_upper {
            self.upper_attributes = attributes;
        }
        if !mode.is_dir() {
            if self.is_dir || !is_last_name {
                // Below a directory it is hidden.
                self.stop = true;
                return Ok(None);
            }
            self.metacopy = mode.is_reg()
                && attributes.contains(Attribute::Metacopy)
                && metacopy::is_one(self.namespace(), path)?;
            self.stop = !self.metacopy;
            if self.stop || self.last {
                return Ok(Some(dentry));
            }
        } else {
            if self.sb.data().traps.contains(inode) {
                vfs::pr_warn_ratelimited!("lookup: a layer is within another layer\n");
                return Err(ELOOP);
            }
            self.is_dir |= is_last_name;
            if self.last {
                return Ok(Some(dentry));
            }
            if attributes.contains(Attribute::Opaque) && is_opaque(self.namespace(), path)? {
                self.stop = true;
                return Ok(Some(dentry));
            }
        }
        self.absolute = false;
        if attributes.contains(Attribute::Redirect) {
            self.follow(path, &place)?;
        }
        Ok(Some(dentry))
    }

    /// Follows the redirect of the object at `path`, whose name is at `place`.
    fn follow(&mut self, path: PathRef<'_>, place: &Range<usize>) -> Result {
        let Some(redirect) = redirect::read(self.namespace(), path)? else {
            return Ok(());
        };
        self.wanted = self.wanted.redirected(place, &redirect)?;
        if let Some(asked) = &mut self.asked {
            asked.set_name(self.wanted.as_sibling());
        }
        if redirect.starts_with(b"/") {
            self.absolute = true;
            // A directory above may have been opaque, but the object came from elsewhere.
            self.stop = false;
        }
        Ok(())
    }
}

/// Whether a directory of a layer hides those of lower layers.
fn is_opaque(namespace: Namespace, path: PathRef<'_>) -> Result<bool> {
    let mut value = [0; 2];
    match xattr::get_own(namespace, path, Attribute::Opaque, &mut value) {
        Ok(value) => Ok(value.and_then(Opaque::parse) == Some(Opaque::Opaque)),
        Err(err) if err == ERANGE => Ok(false),
        Err(err) => Err(err),
    }
}
