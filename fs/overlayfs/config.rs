// SPDX-License-Identifier: GPL-2.0

//! What a mount does: the options that choose features, what they are without
//! being given, and which exclude each other.
//!
//! Conflicts are resolved as C overlayfs does: between two options that were
//! given it refuses, an option that was given wins against a default.

use crate::{
    format::xattr::Namespace,
    params::{show, text},
    uuid::UuidMode, //
};
use kernel::prelude::*;
use vfs::{
    context::{FsContext, ParamValue, Refused},
    cred::capable_sys_admin,
    params,
    super_block::Options, //
};

/// A value of an option that takes one of several words.
pub(crate) trait Choice: Copy + PartialEq + 'static {
    /// The words, and what they mean.
    const WORDS: &'static [(&'static CStr, Self)];

    /// What a word means.
    fn parse(word: &CStr) -> Option<Self> {
        Self::WORDS
            .iter()
            .find(|(name, _)| *name == word)
            .map(|(_, value)| *value)
    }

    /// The word for a value.
    fn word(self) -> &'static CStr {
        Self::WORDS
            .iter()
            .find(|(_, value)| *value == self)
            .map_or(c"", |(name, _)| name)
    }
}

impl Choice for bool {
    const WORDS: &'static [(&'static CStr, Self)] = &[(c"on", true), (c"off", false)];
}

/// `redirect_dir`: directories that were renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedirectMode {
    /// What `off` means by the module parameter: `follow` or `nofollow`.
    Off,
    /// Redirects in layers are followed, none is made.
    Follow,
    /// Nor are they followed.
    NoFollow,
    /// They are followed and made.
    On,
}

impl Choice for RedirectMode {
    const WORDS: &'static [(&'static CStr, Self)] = &[
        (c"off", Self::Off),
        (c"follow", Self::Follow),
        (c"nofollow", Self::NoFollow),
        (c"on", Self::On),
    ];
}

impl RedirectMode {
    fn default_mode() -> Self {
        if params::redirect_dir() {
            Self::On
        } else {
            Self::without()
        }
    }

    /// What it is for redirects not to be made.
    fn without() -> Self {
        if params::redirect_always_follow() {
            Self::Follow
        } else {
            Self::NoFollow
        }
    }
}

/// `rename_dir`: what is done to rename a directory that lower layers have, where
/// it gets no redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RenameDirMode {
    /// All that is in it is copied up first.
    Copy,
    /// It is refused with `EXDEV`, as by C overlayfs.
    Exdev,
}

impl Choice for RenameDirMode {
    const WORDS: &'static [(&'static CStr, Self)] =
        &[(c"copy", Self::Copy), (c"exdev", Self::Exdev)];
}

impl RenameDirMode {
    fn default_mode() -> Self {
        if params::rename_dir_copy() {
            Self::Copy
        } else {
            Self::Exdev
        }
    }
}

/// `xino`: whether numbers tell the layer's filesystem.
///
/// On rovl numbers are unique and on the overlay's device in any case; the
/// option is shown as it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum XinoMode {
    /// As below.
    Off,
    /// As below.
    Auto,
    /// As above.
    On,
}

impl Choice for XinoMode {
    const WORDS: &'static [(&'static CStr, Self)] = &[
        (c"off", Self::Off),
        (c"auto", Self::Auto),
        (c"on", Self::On),
    ];
}

impl XinoMode {
    fn default_mode() -> Self {
        if params::xino_auto() {
            Self::Auto
        } else {
            Self::Off
        }
    }
}

/// `verity`: whether digests in metacopy attributes are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VerityMode {
    /// They are not.
    Off,
    /// They are, where there are some.
    On,
    /// There must be one.
    Require,
}

impl Choice for VerityMode {
    const WORDS: &'static [(&'static CStr, Self)] = &[
        (c"off", Self::Off),
        (c"on", Self::On),
        (c"require", Self::Require),
    ];
}

/// `fsync`: what of the overlay's doing is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FsyncMode {
    /// Nothing, not even what users ask for.
    Volatile,
    /// The data of a copy before it gets its name.
    Auto,
    /// Its attributes too.
    Strict,
}

impl Choice for FsyncMode {
    const WORDS: &'static [(&'static CStr, Self)] = &[
        (c"volatile", Self::Volatile),
        (c"auto", Self::Auto),
        (c"strict", Self::Strict),
    ];
}

/// Options that were given, whatever they say.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Given {
    redirect_dir: bool,
    index: bool,
    nfs_export: bool,
    metacopy: bool,
}

/// The features of a mount.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Config {
    /// `redirect_dir`; never [`RedirectMode::Off`].
    pub(crate) redirect_dir: RedirectMode,
    /// `rename_dir`.
    pub(crate) rename_dir: RenameDirMode,
    /// `index`: hard links are kept by copy-up.
    pub(crate) index: bool,
    /// `uuid`.
    pub(crate) uuid: UuidMode,
    /// `nfs_export`: objects are found by file handles.
    pub(crate) nfs_export: bool,
    /// `xino`.
    pub(crate) xino: XinoMode,
    /// `metacopy`: a change of attributes alone copies no data.
    pub(crate) metacopy: bool,
    /// `verity`.
    pub(crate) verity: VerityMode,
    /// `fsync`, `volatile`.
    pub(crate) fsync: FsyncMode,
    /// `userxattr`: where the overlay's own attributes are kept.
    pub(crate) namespace: Namespace,
    /// `default_permissions`. Permissions are checked in any case.
    pub(crate) default_permissions: bool,
    given: Given,
}

/// What the layers are, as far as options depend on it.
pub(crate) struct Layers {
    /// Whether there is `upperdir`.
    pub(crate) upper: bool,
    /// Whether there are data-only layers.
    pub(crate) data_only: bool,
}

impl Config {
    /// What a mount does without options.
    pub(crate) fn new() -> Self {
        Self {
            redirect_dir: RedirectMode::default_mode(),
            rename_dir: RenameDirMode::default_mode(),
            index: params::index(),
            uuid: UuidMode::default(),
            nfs_export: params::nfs_export(),
            xino: XinoMode::default_mode(),
            metacopy: params::metacopy(),
            verity: VerityMode::Off,
            fsync: FsyncMode::Auto,
            namespace: Namespace::Trusted,
            default_permissions: false,
            given: Given::default(),
        }
    }

    /// Whether a mount with `other` does the same.
    pub(crate) fn does_as(&self, other: &Self) -> bool {
        let given = self.given;
        *self == Self { given, ..*other }
    }

    /// Takes the option `key`, which names no directory. [`Refused::UNKNOWN_OPTION`] if
    /// it is none of these options.
    pub(crate) fn parse(
        &mut self,
        fc: &FsContext,
        key: &CStr,
        value: &ParamValue<'_>,
    ) -> Result<(), Refused> {
        match key.to_bytes() {
            b"redirect_dir" => {
                self.redirect_dir = match choice(fc, key, value)? {
                    RedirectMode::Off => RedirectMode::without(),
                    mode => mode,
                };
                self.given.redirect_dir = true;
            }
            b"rename_dir" => self.rename_dir = choice(fc, key, value)?,
            b"index" => {
                self.index = choice(fc, key, value)?;
                self.given.index = true;
            }
            b"nfs_export" => {
                self.nfs_export = choice(fc, key, value)?;
                self.given.nfs_export = true;
            }
            b"metacopy" => {
                self.metacopy = choice(fc, key, value)?;
                self.given.metacopy = true;
            }
            b"uuid" => self.uuid = choice(fc, key, value)?,
            b"xino" => self.xino = choice(fc, key, value)?,
            b"verity" => self.verity = choice(fc, key, value)?,
            b"fsync" => self.fsync = choice(fc, key, value)?,
            b"volatile" => {
                flag(fc, key, value)?;
                self.fsync = FsyncMode::Volatile;
            }
            b"userxattr" => {
                flag(fc, key, value)?;
                self.namespace = Namespace::User;
            }
            b"default_permissions" => {
                flag(fc, key, value)?;
                self.default_permissions = true;
            }
            _ => return Err(Refused::UNKNOWN_OPTION),
        }
        Ok(())
    }

    /// Resolves what excludes or needs each other, before the mount is set up.
    pub(crate) fn resolve(&mut self, fc: &FsContext, layers: &Layers) -> Result<(), Refused> {
        if !layers.upper {
            self.without_upper(fc);
        }
        self.resolve_metacopy(fc)?;
        self.resolve_nfs_export(fc, layers)?;
        match self.namespace {
            Namespace::User => self.resolve_userxattr(fc),
            Namespace::Trusted if capable_sys_admin() => Ok(()),
            Namespace::Trusted => self.check_privileges(fc, layers),
        }
    }

    /// Options that only a writable overlay has a use for.
    fn without_upper(&mut self, fc: &FsContext) {
        if self.index && self.given.index {
            fc.info(fmt!("index=on is useless without upperdir, ignored"));
            self.given.index = false;
        }
        self.index = false;
        if self.fsync == FsyncMode::Volatile {
            fc.info(fmt!("volatile is meaningless without upperdir, ignored"));
            self.fsync = FsyncMode::Auto;
        }
        if self.uuid == UuidMode::On {
            fc.info(fmt!("uuid=on needs upperdir, falling back to uuid=null"));
            self.uuid = UuidMode::Null;
        }
        // None is made anyway, and metacopy needs no more than following.
        if self.redirect_dir == RedirectMode::Follow {
            self.redirect_dir = RedirectMode::On;
        }
    }

    /// A renamed file without data is found by its redirect only.
    fn resolve_metacopy(&mut self, fc: &FsContext) -> Result<(), Refused> {
        if !self.metacopy || self.redirect_dir == RedirectMode::On {
            return Ok(());
        }
        if !self.given.redirect_dir {
            self.redirect_dir = RedirectMode::On;
            return Ok(());
        }
        let mode = show(self.redirect_dir.word());
        if self.given.metacopy {
            return Err(fc.invalid(fmt!("conflicting options: metacopy=on,redirect_dir={mode}")));
        }
        fc.info(fmt!("disabling metacopy due to redirect_dir={mode}"));
        self.metacopy = false;
        Ok(())
    }

    /// A copied-up object is found by its handle through the index only, and a
    /// handle leads to an object that has its data.
    fn resolve_nfs_export(&mut self, fc: &FsContext, layers: &Layers) -> Result<(), Refused> {
        if self.nfs_export && !self.index {
            if !layers.upper && self.redirect_dir != RedirectMode::NoFollow {
                fc.info(fmt!(
                    "nfs_export needs redirect_dir=nofollow without upperdir, falling back to \
                     nfs_export=off"
                ));
                self.nfs_export = false;
            } else if self.given.nfs_export && self.given.index {
                return Err(fc.invalid(fmt!("conflicting options: nfs_export=on,index=off")));
            } else if self.given.index {
                fc.info(fmt!("disabling nfs_export due to index=off"));
                self.nfs_export = false;
            } else {
                self.index = true;
            }
        }
        if self.nfs_export && self.metacopy {
            if self.given.nfs_export && self.given.metacopy {
                return Err(fc.invalid(fmt!("conflicting options: nfs_export=on,metacopy=on")));
            } else if self.given.metacopy {
                fc.info(fmt!("disabling nfs_export due to metacopy=on"));
                self.nfs_export = false;
            } else if self.verity != VerityMode::Off {
                let mode = show(self.verity.word());
                fc.info(fmt!("disabling nfs_export due to verity={mode}"));
                self.nfs_export = false;
            } else {
                fc.info(fmt!("disabling metacopy due to nfs_export=on"));
                self.metacopy = false;
            }
        }
        Ok(())
    }

    /// Whoever may write to a layer can give it attributes of users, which are not
    /// to lead anywhere else in the layers then.
    fn resolve_userxattr(&mut self, fc: &FsContext) -> Result<(), Refused> {
        if self.given.redirect_dir && self.redirect_dir != RedirectMode::NoFollow {
            let mode = show(self.redirect_dir.word());
            return Err(fc.invalid(fmt!("conflicting options: userxattr,redirect_dir={mode}")));
        }
        if self.given.metacopy && self.metacopy {
            return Err(fc.invalid(fmt!("conflicting options: userxattr,metacopy=on")));
        }
        self.redirect_dir = RedirectMode::NoFollow;
        self.metacopy = false;
        Ok(())
    }

    /// Features that were asked for and need attributes that the mounter cannot
    /// reach.
    fn check_privileges(&self, fc: &FsContext, layers: &Layers) -> Result<(), Refused> {
        let follows = self.redirect_dir != RedirectMode::NoFollow;
        let what = if self.given.redirect_dir && follows {
            "redirect_dir"
        } else if self.given.metacopy && self.metacopy {
            "metacopy"
        } else if self.verity != VerityMode::Off {
            "verity"
        } else if layers.data_only {
            "a data-only lower layer"
        } else {
            return Ok(());
        };
        Err(fc.error(
            EPERM,
            fmt!("{what} requires permission to access trusted xattrs"),
        ))
    }

    /// Turns off what keeps attributes in upper, whose filesystem takes none.
    pub(crate) fn without_xattr(&mut self, fc: &FsContext) {
        if self.redirect_dir != RedirectMode::NoFollow {
            self.redirect_dir = RedirectMode::NoFollow;
            fc.warn(fmt!("falling back to redirect_dir=nofollow"));
        }
        if self.metacopy {
            self.metacopy = false;
            fc.warn(fmt!("falling back to metacopy=off"));
        }
        if self.index {
            self.index = false;
            fc.warn(fmt!("falling back to index=off"));
        }
        self.without_xino(fc, "there are no attributes in upperdir");
    }

    /// Turns off what finds objects by file handles, in words that say why, and of which
    /// layer.
    pub(crate) fn without_index(&mut self, fc: &FsContext, why: kernel::fmt::Arguments<'_>) {
        if self.index || self.nfs_export {
            fc.warn(fmt!("{why}, falling back to index=off,nfs_export=off"));
            self.index = false;
            self.nfs_export = false;
        }
    }

    /// Turns `xino=auto` off, which it is where numbers are not to be found again.
    pub(crate) fn without_xino(&mut self, fc: &FsContext, why: &str) {
        if self.xino == XinoMode::Auto {
            fc.warn(fmt!("{why}, falling back to xino=off"));
            self.xino = XinoMode::Off;
        }
    }

    /// Turns off what needs an index, of a mount that has upper and cannot have one.
    pub(crate) fn without_workdir(&mut self, fc: &FsContext) {
        self.index = false;
        if self.nfs_export {
            fc.warn(fmt!(
                "nfs_export needs an index, falling back to nfs_export=off"
            ));
            self.nfs_export = false;
        }
    }

    /// Whether what is added to lower layers while they are not mounted is to be
    /// shown: only if no feature depends on what they were.
    pub(crate) fn lower_may_grow(&self) -> bool {
        let redirects = self.redirect_dir == RedirectMode::On;
        !(self.index || self.metacopy || redirects || self.xino == XinoMode::On)
    }

    /// Shows what differs from a mount without options. `several` says that the
    /// layers are on several filesystems.
    pub(crate) fn show(&self, options: &Options<'_>, several: bool) {
        if self.default_permissions {
            options.flag(c"default_permissions");
        }
        show_choice(
            options,
            c"redirect_dir",
            self.redirect_dir,
            RedirectMode::default_mode(),
        );
        show_choice(
            options,
            c"rename_dir",
            self.rename_dir,
            RenameDirMode::default_mode(),
        );
        show_choice(options, c"index", self.index, params::index());
        show_choice(options, c"uuid", self.uuid, UuidMode::default());
        show_choice(
            options,
            c"nfs_export",
            self.nfs_export,
            params::nfs_export(),
        );
        if several {
            show_choice(options, c"xino", self.xino, XinoMode::default_mode());
        }
        show_choice(options, c"metacopy", self.metacopy, params::metacopy());
        show_choice(options, c"fsync", self.fsync, FsyncMode::Auto);
        if self.namespace == Namespace::User {
            options.flag(c"userxattr");
        }
        show_choice(options, c"verity", self.verity, VerityMode::Off);
    }
}

fn show_choice<T: Choice>(options: &Options<'_>, key: &CStr, value: T, default: T) {
    if value != default {
        options.value(key, value.word());
    }
}

/// A value that is one of several words.
fn choice<T: Choice>(fc: &FsContext, key: &CStr, value: &ParamValue<'_>) -> Result<T, Refused> {
    if let ParamValue::Flag = value {
        return Err(fc.invalid(fmt!("{}: a value is missing", show(key))));
    }
    let value = text(fc, key, value)?;
    T::parse(value).ok_or_else(|| {
        let words = Words(T::WORDS);
        fc.invalid(fmt!("{}={}: it is {words}", show(key), show(value)))
    })
}

/// An option that has no value.
pub(crate) fn flag(fc: &FsContext, key: &CStr, value: &ParamValue<'_>) -> Result<(), Refused> {
    match value {
        ParamValue::Flag => Ok(()),
        _ => Err(fc.invalid(fmt!("{}: it takes no value", show(key)))),
    }
}

/// Shows the words of a choice: "off, on or require".
struct Words<T: 'static>(&'static [(&'static CStr, T)]);

impl<T> kernel::fmt::Display for Words<T> {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        for (index, (word, _)) in self.0.iter().enumerate() {
            let between = match index {
                0 => "",
                _ if index + 1 == self.0.len() => " or ",
                _ => ", ",
            };
            f.write_str(between)?;
            kernel::fmt::Display::fmt(show(word), f)?;
        }
        Ok(())
    }
}
