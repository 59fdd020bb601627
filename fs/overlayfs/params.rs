// SPDX-License-Identifier: GPL-2.0

//! Mount options.

use crate::{
    casefold,
    config::{Config, Layers},
    format::{
        lowerdir::{Lowerdir, LowerdirError, LAYERS_MAX},
        mount_option, //
    },
    Overlay, //
};
use kernel::{
    prelude::*,
    str::{BStr, CString}, //
};
use vfs::{
    context::{FsContext, ParamValue},
    mount::Path, //
};

/// A directory that an option names.
pub(crate) struct NamedPath {
    /// As the option has it, to show it.
    pub(crate) name: CString,
    /// What it is.
    pub(crate) path: Path,
}

/// How lower layers were given, to show it.
pub(crate) enum LowerOption {
    /// All in `lowerdir`.
    Whole(CString),
    /// Each in a `lowerdir+` or, the last ones, in a `datadir+`.
    Single(KVec<CString>),
}

impl Default for LowerOption {
    fn default() -> Self {
        Self::Single(KVec::new())
    }
}

/// The options of a mount that is being set up.
pub struct Context {
    /// How the lower layers were given.
    pub(crate) lowerdir: LowerOption,
    /// Their directories, the highest layer first.
    pub(crate) lower: KVec<Path>,
    /// How many of them, the last ones, are data-only.
    pub(crate) data_only: usize,
    /// `upperdir`.
    pub(crate) upper: Option<NamedPath>,
    /// `workdir`.
    pub(crate) work: Option<NamedPath>,
    /// The features.
    pub(crate) config: Config,
}

impl kernel::fmt::Display for LowerdirError {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        core::fmt::Display::fmt(self, f)
    }
}

/// Text of whoever mounts, to be shown.
pub(crate) fn show(text: &CStr) -> &BStr {
    BStr::from_bytes(text.to_bytes())
}

impl Context {
    /// Without any option.
    pub(crate) fn new() -> Self {
        Self {
            lowerdir: LowerOption::default(),
            lower: KVec::new(),
            data_only: 0,
            upper: None,
            work: None,
            config: Config::new(),
        }
    }

    /// Takes the option `key`; see `FileSystem::parse_param`.
    pub(crate) fn parse(&mut self, fc: &FsContext, key: &CStr, value: ParamValue<'_>) -> Result {
        match key.to_bytes() {
            b"lowerdir" => self.parse_lowerdir(fc, text(fc, key, &value)?),
            b"lowerdir+" => self.add_lower(fc, key, value, false),
            b"datadir+" => self.add_lower(fc, key, value, true),
            b"upperdir" => {
                self.upper = Some(named_path(fc, key, value)?);
                Ok(())
            }
            b"workdir" => {
                self.work = Some(named_path(fc, key, value)?);
                Ok(())
            }
            _ => {
                let value = match value {
                    ParamValue::Flag => None,
                    value => Some(text(fc, key, &value)?),
                };
                self.config.parse(fc, key, value)
            }
        }
    }

    fn parse_lowerdir(&mut self, fc: &FsContext, value: &CStr) -> Result {
        self.lower.clear();
        self.data_only = 0;
        self.lowerdir = LowerOption::default();
        let layers = Lowerdir::parse(value.to_bytes()).map_err(|err| fc.invalid(fmt!("{err}")))?;
        for layer in layers {
            self.data_only += usize::from(layer.data_only);
            let path = lookup(fc, c"lowerdir", layer.escaped)?;
            self.lower.push(path, GFP_KERNEL)?;
        }
        self.lowerdir = LowerOption::Whole(value.try_into()?);
        Ok(())
    }

    /// Adds a layer below those that were given so far.
    fn add_lower(
        &mut self,
        fc: &FsContext,
        key: &CStr,
        value: ParamValue<'_>,
        data_only: bool,
    ) -> Result {
        let LowerOption::Single(names) = &mut self.lowerdir else {
            return Err(fc.invalid(fmt!("lowerdir+ and datadir+ cannot follow lowerdir")));
        };
        if self.data_only > 0 && !data_only {
            return Err(fc.invalid(fmt!("regular lower layers cannot follow data layers")));
        }
        if self.lower.len() >= LAYERS_MAX {
            return Err(fc.invalid(fmt!("too many lower layers, the limit is {LAYERS_MAX}")));
        }
        let layer = match value {
            // Unlike in `lowerdir`, a backslash is a character as any other.
            ParamValue::String(name) => NamedPath {
                path: resolve(fc, key, name)?,
                name: name.try_into()?,
            },
            value => named_path(fc, key, value)?,
        };
        names.push(layer.name, GFP_KERNEL)?;
        self.lower.push(layer.path, GFP_KERNEL)?;
        self.data_only += usize::from(data_only);
        Ok(())
    }

    /// How many of the lower layers, the first ones, are merged.
    pub(crate) fn merged(&self) -> usize {
        self.lower.len().saturating_sub(self.data_only)
    }

    /// Checks what can be checked of all options together, and resolves what
    /// depends on each other.
    pub(crate) fn verify(&mut self, fc: &FsContext) -> Result {
        if self.lower.is_empty() {
            return Err(fc.invalid(fmt!("missing 'lowerdir'")));
        }
        match (&self.upper, &self.work) {
            (Some(_), None) => Err(fc.invalid(fmt!("upperdir needs 'workdir'"))),
            (None, _) if self.lower.len() == 1 => Err(fc.invalid(fmt!(
                "at least 2 lowerdir are needed while upperdir nonexistent"
            ))),
            _ if self.merged() == 0 => {
                Err(fc.invalid(fmt!("at least one non-data lowerdir is required")))
            }
            _ => Ok(()),
        }?;
        casefold::check_layers(self, fc)?;
        let layers = Layers {
            upper: self.upper.is_some(),
            data_only: self.data_only > 0,
        };
        self.config.resolve(fc, &layers)
    }
}

/// The text of a value that has to be one.
fn text<'a>(fc: &FsContext, key: &CStr, value: &ParamValue<'a>) -> Result<&'a CStr> {
    match value {
        ParamValue::String(text) => Ok(text),
        _ => Err(fc.invalid(fmt!("{}: a text is needed", show(key)))),
    }
}

/// A directory, by text or by descriptor.
fn named_path(fc: &FsContext, key: &CStr, value: ParamValue<'_>) -> Result<NamedPath> {
    match value {
        ParamValue::File(file) => {
            let path = Path::of_file(file);
            check(fc, key, &path)?;
            Ok(NamedPath {
                name: path.to_text()?,
                path,
            })
        }
        value => {
            let text = text(fc, key, &value)?;
            Ok(NamedPath {
                path: lookup(fc, key, text.to_bytes())?,
                name: text.try_into()?,
            })
        }
    }
}

/// Resolves `escaped`, in which a backslash keeps the following character.
fn lookup(fc: &FsContext, key: &CStr, escaped: &[u8]) -> Result<Path> {
    let mut buffer = KVec::new();
    // One byte is for the NUL.
    buffer.resize(escaped.len() + 1, 0, GFP_KERNEL)?;
    let text = escaped.len();
    let name_len = {
        let room = buffer.get_mut(..text).ok_or(EINVAL)?;
        mount_option::unescape(escaped, room)
            .map_err(|_| EINVAL)?
            .len()
    };
    let name = buffer.get(..=name_len).ok_or(EINVAL)?;
    let name = CStr::from_bytes_until_nul(name).map_err(|_| EINVAL)?;
    resolve(fc, key, name)
}

/// Resolves `name` as it is.
fn resolve(fc: &FsContext, key: &CStr, name: &CStr) -> Result<Path> {
    if name.is_empty() {
        return Err(fc.invalid(fmt!("{}: empty path", show(key))));
    }
    let path = Path::lookup(name).map_err(|err| {
        let err_no = err.to_errno();
        fc.error(
            err,
            fmt!(
                "{}: cannot resolve '{}': error {}",
                show(key),
                show(name),
                err_no
            ),
        )
    })?;
    check(fc, key, &path)?;
    Ok(path)
}

/// Checks that a directory can be a layer.
fn check(fc: &FsContext, key: &CStr, path: &Path) -> Result {
    let dentry = path.dentry();
    if !dentry.is_dir() {
        return Err(fc.invalid(fmt!("{}: not a directory", show(key))));
    }
    if dentry.is_weird() {
        return Err(fc.invalid(fmt!("{}: filesystem not supported", show(key))));
    }
    if matches!(key.to_bytes(), b"upperdir" | b"workdir") {
        if dentry.is_stacked() {
            return Err(fc.invalid(fmt!("{}: cannot be on an overlay", show(key))));
        }
        if path.mount().is_readonly() {
            return Err(fc.invalid(fmt!("{}: filesystem is read-only", show(key))));
        }
    }
    Ok(())
}

/// Shows the options of a mounted overlay.
pub(crate) fn show_options(
    sb: &vfs::super_block::SuperBlockOf<Overlay>,
    options: &vfs::super_block::Options<'_>,
) {
    let data = sb.data();
    match &data.lowerdir {
        LowerOption::Whole(lowerdir) => options.value(c"lowerdir", lowerdir),
        LowerOption::Single(names) => {
            for (index, name) in names.iter().enumerate() {
                let is_merged = index < data.layers.lower.len();
                options.value(if is_merged { c"lowerdir+" } else { c"datadir+" }, name);
            }
        }
    }
    if let Ok(upper) = data.layers.upper() {
        options.value(c"upperdir", &upper.upperdir);
        options.value(c"workdir", &upper.workdir_option);
    }
    data.config.show(options, data.identity.has_several());
}
