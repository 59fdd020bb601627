// SPDX-License-Identifier: GPL-2.0

//! Changes of a mount: by remounting, or by `fspick(2)` and `fsconfig(2)`.
//!
//! Whether it is read-only can change; what the options say cannot. mount(8) repeats the
//! options of a mount when it changes flags, so what says how it is already is accepted.
//! Anything else is refused.

use crate::{
    config::FsyncMode,
    format::lowerdir::Lowerdir,
    params::{self, show, Context, LowerOption},
    super_block::Super,
    Overlay, //
};
use kernel::prelude::*;
use vfs::{
    context::{FsContext, ParamValue, Refused},
    dentry::Dentry,
    fs::FileSystem,
    mount::Path,
    super_block::SuperBlockOf, //
};

/// See `FileSystem::reparse_param`.
pub(crate) fn parse(
    context: &mut Context,
    sb: &Super,
    fc: &FsContext,
    key: &CStr,
    value: ParamValue<'_>,
) -> Result<(), Refused> {
    let same = match key.to_bytes() {
        b"lowerdir" => is_lowerdir(sb, &value)?,
        b"lowerdir+" => is_next_lower(context, sb, &value, false),
        b"datadir+" => is_next_lower(context, sb, &value, true),
        b"upperdir" => match sb.layers.upper() {
            Ok(upper) => is_directory(&upper.upperdir, upper.mount().root(), &value, true)?,
            Err(_) => false,
        },
        b"workdir" => match sb.layers.upper() {
            Ok(upper) => is_directory(&upper.workdir_option, &upper.workbase, &value, true)?,
            // It had no meaning before either.
            Err(_) => true,
        },
        // Whose they were is not known any more.
        b"override_creds" | b"nooverride_creds" => false,
        _ => {
            // As it is, or as it was asked for before something had to be turned off.
            let (mut now, mut requested) = (sb.config, sb.requested);
            now.parse(fc, key, &value)?;
            requested.parse(fc, key, &value)?;
            now.does_as(&sb.config) || requested.does_as(&sb.requested)
        }
    };
    match same {
        true => Ok(()),
        false => Err(fc.invalid(fmt!("{}: it cannot be changed while mounted", show(key)))),
    }
}

/// Whether `value` names the directory `dentry`, which was named by `name`. In some options
/// a backslash keeps the following character.
fn is_directory(
    name: &CStr,
    dentry: &Dentry,
    value: &ParamValue<'_>,
    escaped: bool,
) -> Result<bool, Refused> {
    Ok(match value {
        ParamValue::String(text) if **text == *name => true,
        ParamValue::String(text) if escaped => {
            leads_to(&params::unescape(text.to_bytes())?, dentry)
        }
        ParamValue::String(text) => leads_to(text, dentry),
        ParamValue::File(file) => **Path::of_file(file).dentry() == *dentry,
        _ => false,
    })
}

fn leads_to(name: &CStr, dentry: &Dentry) -> bool {
    Path::lookup(name).is_ok_and(|path| **path.dentry() == *dentry)
}

/// Whether `value` names all lower layers.
fn is_lowerdir(sb: &Super, value: &ParamValue<'_>) -> Result<bool, Refused> {
    let ParamValue::String(text) = value else {
        return Ok(false);
    };
    if matches!(&sb.lowerdir, LowerOption::Whole(lowerdir) if **lowerdir == **text) {
        return Ok(true);
    }
    let Ok(mut layers) = Lowerdir::parse(text.to_bytes()) else {
        return Ok(false);
    };
    for (index, root) in sb.layers.lower_roots.iter().enumerate() {
        let Some(layer) = layers.next() else {
            return Ok(false);
        };
        let name = params::unescape(layer.escaped)?;
        let is_data_only = index >= sb.layers.merged();
        if layer.data_only != is_data_only || !leads_to(&name, root.dentry()) {
            return Ok(false);
        }
    }
    Ok(layers.next().is_none())
}

/// Whether `value` names the lower layer below those that were named so far.
fn is_next_lower(
    context: &mut Context,
    sb: &Super,
    value: &ParamValue<'_>,
    data_only: bool,
) -> bool {
    let index = context.repeated;
    let Some(root) = sb.layers.lower_roots.get(index) else {
        return false;
    };
    let name = match &sb.lowerdir {
        LowerOption::Single(names) => names.get(index).map_or(c"", |name| name),
        LowerOption::Whole(_) => c"",
    };
    context.repeated = index.saturating_add(1);
    let is_data_only = index >= sb.layers.merged();
    is_data_only == data_only && matches!(is_directory(name, root.dentry(), value, false), Ok(true))
}

/// See `FileSystem::reconfigure`.
pub(crate) fn apply(sb: &SuperBlockOf<Overlay>, fc: &FsContext) -> Result<(), Refused> {
    let data = sb.data();
    if !fc.readonly() {
        if data.layers.upper.is_none() {
            return Err(fc.error(EROFS, fmt!("without upperdir the mount stays read-only")));
        }
        if data.layers.forces_readonly() {
            return Err(fc.error(
                EROFS,
                fmt!(
                    "without a work directory, which could not be made, the mount stays read-only"
                ),
            ));
        }
    }
    let volatile = data.config.fsync == FsyncMode::Volatile;
    if fc.readonly() && !sb.is_readonly() && !volatile {
        Overlay::sync_fs(sb, true).map_err(fc.failed("sync upperdir before it gets read-only"))?;
    }
    Ok(())
}
