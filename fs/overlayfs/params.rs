// SPDX-License-Identifier: GPL-2.0

//! Mount options.

use crate::{
    casefold,
    config::{Config, Layers},
    format::{
        lowerdir::{Lowerdir, LowerdirError, LAYERS_MAX},
        mount_option, //
    },
    mounter::Mounter,
    text::Text,
    Overlay, //
};
use kernel::{
    alloc::AllocError,
    prelude::*,
    str::{BStr, CString}, //
};
use vfs::{
    context::{FsContext, ParamValue, Refused},
    mount::{Path, PathRef}, //
};

/// A directory that an option names.
pub(crate) struct NamedPath {
    /// As the option has it, to show it.
    pub(crate) name: Text,
    /// What it is.
    pub(crate) path: Path,
}

/// How lower layers were given, to show it.
pub(crate) enum LowerOption {
    /// All in `lowerdir`.
    Whole(Text),
    /// Each in a `lowerdir+` or, the last ones, in a `datadir+`.
    Single(KVVec<Text>),
}

impl Default for LowerOption {
    fn default() -> Self {
        Self::Single(KVVec::new())
    }
}

/// The options of a mount that is being set up, or changed.
pub struct Context {
    /// How the lower layers were given.
    pub(crate) lowerdir: LowerOption,
    /// Their directories, the highest layer first.
    pub(crate) lower: KVVec<Path>,
    /// How many of them, the last ones, are data-only.
    pub(crate) data_only: usize,
    /// `upperdir`.
    pub(crate) upper: Option<NamedPath>,
    /// `workdir`.
    pub(crate) work: Option<NamedPath>,
    /// The features, as they were asked for.
    pub(crate) config: Config,
    /// Whose rights are used for the layers.
    pub(crate) mounter: Mounter,
    /// Of a change: how many `lowerdir+` and `datadir+` have been repeated.
    pub(crate) repeated: usize,
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

/// A directory of a layer, to be named in a message.
pub(crate) struct Shown(Option<CString>);

impl Shown {
    /// The path as whoever mounts sees it.
    pub(crate) fn new(path: PathRef<'_>) -> Self {
        Self(path.to_text().ok())
    }
}

impl kernel::fmt::Display for Shown {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        let text = self
            .0
            .as_deref()
            .unwrap_or(c"(a path too long to be shown)");
        kernel::fmt::Display::fmt(show(text), f)
    }
}

impl Context {
    /// Without any option.
    pub(crate) fn new() -> Self {
        Self {
            lowerdir: LowerOption::default(),
            lower: KVVec::new(),
            data_only: 0,
            upper: None,
            work: None,
            config: Config::new(),
            mounter: Mounter::default(),
            repeated: 0,
        }
    }

    /// Takes the option `key`; see `FileSystem::parse_param`.
    pub(crate) fn parse(
        &mut self,
        fc: &FsContext,
        key: &CStr,
        value: ParamValue<'_>,
    ) -> Result<(), Refused> {
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
            b"override_creds" => self.mounter.parse(fc, key, &value, true),
            b"nooverride_creds" => self.mounter.parse(fc, key, &value, false),
            _ => self.config.parse(fc, key, &value),
        }
    }

    /// Forgets all lower layers.
    fn reset_lower(&mut self) {
        self.lower.clear();
        self.data_only = 0;
        self.lowerdir = LowerOption::default();
    }

    /// Replaces the lower layers by those of `value`, which has none if it is empty. If it
    /// is refused, there are none either.
    fn parse_lowerdir(&mut self, fc: &FsContext, value: &CStr) -> Result<(), Refused> {
        self.reset_lower();
        let layers = Lowerdir::parse(value.to_bytes()).map_err(|err| fc.invalid(fmt!("{err}")))?;
        let (mut lower, mut data_only) = (KVVec::new(), 0);
        for layer in layers {
            data_only += usize::from(layer.data_only);
            let path = lookup(fc, c"lowerdir", layer.escaped)?;
            lower.push(path, GFP_KERNEL_ACCOUNT)?;
        }
        if !lower.is_empty() {
            self.lowerdir = LowerOption::Whole(protect(value)?);
            self.lower = lower;
            self.data_only = data_only;
        }
        Ok(())
    }

    /// Adds a layer below those that were given so far.
    fn add_lower(
        &mut self,
        fc: &FsContext,
        key: &CStr,
        value: ParamValue<'_>,
        data_only: bool,
    ) -> Result<(), Refused> {
        let layer = match value {
            // Unlike in `lowerdir`, a backslash is a character as any other.
            ParamValue::String(name) => NamedPath {
                path: resolve(fc, key, name)?,
                name: Text::new(name)?,
            },
            ParamValue::File(file) => {
                let path = Path::of_file(file);
                check(fc, key, &path)?;
                NamedPath {
                    name: path_text(fc, key, &path)?,
                    path,
                }
            }
            _ => return Err(no_path(fc, key)),
        };
        let LowerOption::Single(names) = &mut self.lowerdir else {
            return Err(fc.invalid(fmt!("lowerdir+ and datadir+ cannot follow lowerdir")));
        };
        if self.data_only > 0 && !data_only {
            return Err(fc.invalid(fmt!(
                "{}: '{}' is no data-only layer, and cannot follow one",
                show(key),
                show(&layer.name)
            )));
        }
        if self.lower.len() >= LAYERS_MAX {
            return Err(fc.invalid(fmt!(
                "{}: too many lower layers, the limit is {LAYERS_MAX}",
                show(key)
            )));
        }
        // Either both lists get longer or none does.
        self.lower.reserve(1, GFP_KERNEL_ACCOUNT)?;
        names.push(layer.name, GFP_KERNEL_ACCOUNT)?;
        self.lower.push(layer.path, GFP_KERNEL_ACCOUNT)?;
        self.data_only += usize::from(data_only);
        Ok(())
    }

    /// How many of the lower layers, the first ones, are merged.
    pub(crate) fn merged(&self) -> usize {
        self.lower.len().saturating_sub(self.data_only)
    }

    /// Checks what can be checked of all options together. Answers the features, with
    /// what depends on each other resolved.
    pub(crate) fn verify(&self, fc: &FsContext) -> Result<Config, Refused> {
        if let (None, Some(work)) = (&self.upper, &self.work) {
            let name = show(&work.name);
            fc.info(fmt!(
                "workdir '{name}' is useless without upperdir, ignored"
            ));
        }
        let layers = Layers {
            upper: self.upper.is_some(),
            data_only: self.data_only > 0,
        };
        let mut config = self.config;
        config.resolve(fc, &layers)?;
        if self.lower.is_empty() {
            return Err(fc.invalid(fmt!("missing 'lowerdir'")));
        }
        if let (Some(upper), None) = (&self.upper, &self.work) {
            return Err(fc.invalid(fmt!(
                "upperdir '{}' needs a 'workdir' on the same filesystem",
                show(&upper.name)
            )));
        }
        if self.upper.is_none() && self.lower.len() == 1 {
            return Err(fc.invalid(fmt!(
                "without upperdir at least two lower layers are needed"
            )));
        }
        if self.merged() == 0 {
            return Err(fc.invalid(fmt!("at least one lower layer must not be data-only")));
        }
        casefold::check_layers(self, fc)?;
        Ok(config)
    }
}

/// The text of a value that has to be one.
pub(crate) fn text<'a>(
    fc: &FsContext,
    key: &CStr,
    value: &ParamValue<'a>,
) -> Result<&'a CStr, Refused> {
    match value {
        ParamValue::String(text) => Ok(text),
        _ => Err(fc.invalid(fmt!("{}: a text is needed", show(key)))),
    }
}

/// Of an option that was given something that leads to no directory.
fn no_path(fc: &FsContext, key: &CStr) -> Refused {
    fc.invalid(fmt!("{}: a path or a descriptor is needed", show(key)))
}

/// The path to a directory that was given by a descriptor.
fn path_text(fc: &FsContext, key: &CStr, path: &Path) -> Result<Text, Refused> {
    let text = path.borrow().to_text().map_err(|err| {
        let errno = err.to_errno();
        fc.error(
            err,
            fmt!(
                "{}: the path of the descriptor cannot be told: error {errno}",
                show(key)
            ),
        )
    })?;
    Ok(Text::new(&text)?)
}

/// The directory of upper or the work directory, by text or by descriptor.
fn named_path(fc: &FsContext, key: &CStr, value: ParamValue<'_>) -> Result<NamedPath, Refused> {
    match value {
        ParamValue::File(file) => {
            let path = Path::of_file(file);
            check(fc, key, &path)?;
            Ok(NamedPath {
                name: escape(&path_text(fc, key, &path)?)?,
                path,
            })
        }
        ParamValue::String(text) => Ok(NamedPath {
            path: lookup(fc, key, text.to_bytes())?,
            name: protect(text)?,
        }),
        _ => Err(no_path(fc, key)),
    }
}

/// The value of an option that means `name`, so that what is shown of a mount can be
/// given to mount it again.
fn escape(name: &CStr) -> Result<Text, AllocError> {
    let bytes = name.to_bytes_with_nul();
    match bytes.contains(&b',') || bytes.contains(&b'\\') {
        true => Text::collect(mount_option::escape(bytes), bytes.len()),
        false => Text::new(name),
    }
}

/// A value of an option as `mount(2)` takes it: mount(8) repeats by that what is shown.
fn protect(value: &CStr) -> Result<Text, AllocError> {
    let bytes = value.to_bytes_with_nul();
    // There may be thousands of layers, and almost never a comma.
    match bytes.contains(&b',') {
        true => Text::collect(mount_option::protect(bytes), bytes.len()),
        false => Text::new(value),
    }
}

/// Resolves `escaped`, in which a backslash keeps the following character.
fn lookup(fc: &FsContext, key: &CStr, escaped: &[u8]) -> Result<Path, Refused> {
    resolve(fc, key, &unescape(escaped)?)
}

/// The path that is meant by `escaped`.
pub(crate) fn unescape(escaped: &[u8]) -> Result<Text, AllocError> {
    // One byte is for the NUL.
    let mut buffer = KVec::with_capacity(escaped.len() + 1, GFP_KERNEL_ACCOUNT)?;
    buffer.extend_from_slice(escaped, GFP_KERNEL_ACCOUNT)?;
    buffer.push(0, GFP_KERNEL_ACCOUNT)?;
    if escaped.contains(&b'\\') {
        // It is not longer than what it is made of, and options have no NUL.
        let len = mount_option::unescape(escaped, &mut buffer).map_or(0, |name| name.len());
        if let Some(end) = buffer.get_mut(len) {
            *end = 0;
        }
    }
    Ok(Text::of_buffer(buffer))
}

/// Resolves `name` as it is.
fn resolve(fc: &FsContext, key: &CStr, name: &CStr) -> Result<Path, Refused> {
    if name.is_empty() {
        return Err(fc.invalid(fmt!("{}: empty path", show(key))));
    }
    let path = Path::lookup(name).map_err(|err| {
        let (key, name, errno) = (show(key), show(name), err.to_errno());
        fc.error(err, fmt!("{key}: cannot resolve '{name}': error {errno}"))
    })?;
    check(fc, key, &path)?;
    Ok(path)
}

/// Checks that a directory can be a layer.
fn check(fc: &FsContext, key: &CStr, path: &Path) -> Result<(), Refused> {
    let dentry = path.dentry();
    let is_upper = matches!(key.to_bytes(), b"upperdir" | b"workdir");
    let shown = || Shown::new(path.borrow());
    let key = show(key);
    if !dentry.is_dir() {
        return Err(fc.invalid(fmt!("{key}: '{}' is not a directory", shown())));
    }
    if dentry.is_weird() {
        return Err(fc.invalid(fmt!(
            "{key}: the filesystem of '{}' is not supported",
            shown()
        )));
    }
    if is_upper && dentry.is_stacked() {
        return Err(fc.invalid(fmt!("{key}: '{}' is on an overlay", shown())));
    }
    if is_upper {
        check_writable(fc, key, path)?;
    }
    Ok(())
}

/// Checks that `path`, which `key` names, is not mounted read-only.
pub(crate) fn check_writable(fc: &FsContext, key: &BStr, path: &Path) -> Result<(), Refused> {
    if path.mount().is_readonly() {
        let shown = Shown::new(path.borrow());
        return Err(fc.invalid(fmt!("{key}: '{shown}' is read-only")));
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
