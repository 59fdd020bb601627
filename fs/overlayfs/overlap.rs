// SPDX-License-Identifier: GPL-2.0

//! Layers that lie within each other: a change of the one would change the other.

use crate::{
    addresses::Addresses,
    config::Config,
    layers::{in_use, LayerStack},
    params::{Context, NamedPath, Shown}, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    context::{FsContext, Refused},
    dentry::Dentry,
    file::killed,
    inode::Inode,
    mount::Path, //
};

/// Refuses a lower layer that is another layer, or lies within one. Says so if a layer
/// lies within what another overlay writes to.
pub(crate) fn check(context: &Context, config: &Config, fc: &FsContext) -> Result<(), Refused> {
    let upper = context.upper.as_ref();
    // Without upper it is ignored.
    let work = context.work.as_ref().filter(|_| upper.is_some());
    let mut roots = Addresses::<Dentry>::with_capacity(context.lower.len().saturating_add(2))
        .map_err(fc.failed("remember the layers"))?;
    let mut add = |path: &Path| {
        let root: &Dentry = path.dentry();
        roots.insert(root).map_err(fc.failed("remember the layers"))
    };
    for named in [upper, work].into_iter().flatten() {
        add(&named.path)?;
    }
    for path in &context.lower {
        if !add(path)? {
            return Err(is_layer_twice(fc, path));
        }
    }
    let check_use = |key: &str, path: &Path, parent: &Dentry| match parent
        .inode()
        .is_some_and(|inode| inode.is_in_use())
    {
        true => in_use(fc, config, key, path),
        false => Ok(()),
    };
    let mut before = Nearest::default();
    for path in &context.lower {
        before = for_each_ancestor(fc, path.dentry(), &before, |parent| {
            if roots.contains(parent) {
                let shown = Shown::new(path.borrow());
                return Err(fc.error(ELOOP, fmt!("lowerdir: '{shown}' is within another layer")));
            }
            check_use("lowerdir", path, parent)
        })?;
    }
    for (key, named) in [("upperdir", upper), ("workdir", work)] {
        if let Some(NamedPath { path, .. }) = named {
            let check_use = |parent: &Dentry| check_use(key, path, parent);
            for_each_ancestor(fc, path.dentry(), &Nearest::default(), check_use)?;
        }
    }
    Ok(())
}

fn is_layer_twice(fc: &FsContext, path: &Path) -> Refused {
    let shown = Shown::new(path.borrow());
    fc.error(
        ELOOP,
        fmt!("lowerdir: '{shown}' is given for another layer too"),
    )
}

/// The nearest ancestors of a layer. Most layers lie side by side, or each in a directory of
/// its own, and these side by side: what is above is looked at once.
#[derive(Default)]
struct Nearest([Option<ARef<Dentry>>; 2]);

/// Calls `f` with the ancestors of `dentry`, but from those on that were `seen` before. Answers
/// what the nearest ones are.
fn for_each_ancestor(
    fc: &FsContext,
    dentry: &ARef<Dentry>,
    seen: &Nearest,
    mut f: impl FnMut(&Dentry) -> Result<(), Refused>,
) -> Result<Nearest, Refused> {
    let mut nearest = Nearest::default();
    let mut places = nearest.0.iter_mut();
    let mut dentry = dentry.clone();
    loop {
        let parent = dentry.parent();
        if *parent == *dentry {
            return Ok(nearest);
        }
        // There may be thousands of layers, each as deep.
        if killed() {
            return Err(fc.failed("look at the parents of a layer")(EINTR));
        }
        if let Some(place) = places.next() {
            *place = Some(parent.clone());
        }
        if seen.0.iter().flatten().any(|seen| **seen == *parent) {
            return Ok(nearest);
        }
        f(&parent)?;
        dentry = parent;
    }
}

/// The roots of the layers and what is in the work directory: a lookup that meets one of these
/// met a layer within another, which somebody moved there.
pub(crate) fn traps(layers: &LayerStack, fc: &FsContext) -> Result<Addresses<Inode>, Refused> {
    let count = layers.lower_roots.len().saturating_add(4);
    let mut traps = Addresses::with_capacity(count).map_err(fc.failed("set the mount up"))?;
    let mut trap = |dentry: &Dentry| -> Result<(), Refused> {
        let inode = dentry.inode().ok_or(ENOENT);
        let inserted = inode.and_then(|inode| traps.insert(inode));
        match inserted.map_err(fc.failed("set the mount up"))? {
            true => Ok(()),
            false => Err(fc.error(
                ELOOP,
                fmt!("one directory is given for two layers, by two mounts of it"),
            )),
        }
    };
    if let Ok(upper) = layers.upper() {
        trap(upper.mount().root())?;
        trap(&upper.workbase)?;
        let made = [upper.workdir.as_ref(), upper.index.as_ref()];
        for dentry in made.into_iter().flatten() {
            trap(dentry)?;
        }
    }
    for root in layers.lower_roots.iter() {
        trap(root.dentry())?;
    }
    Ok(traps)
}
