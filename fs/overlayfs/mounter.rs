// SPDX-License-Identifier: GPL-2.0

//! Whose rights are used for the layers: the mounter's.
//!
//! That is whoever completes the mount, or the task that gave the option
//! `override_creds`, which may have dropped capabilities before, so that the
//! overlay never has them. The overlay checks what a user may do with its own
//! inode, and then does it in the layer with these credentials: what is done is
//! what both may do.

use crate::config::flag;
use kernel::{
    cred::Credential,
    prelude::*,
    sync::aref::ARef, //
};
use vfs::{
    context::{FsContext, ParamValue, Refused},
    cred::NewCred, //
};

/// The credentials that options have chosen, if they have.
#[derive(Default)]
pub(crate) struct Mounter(Option<ARef<Credential>>);

impl Mounter {
    /// Takes the option `override_creds`, or `nooverride_creds` if not `overrides`.
    ///
    /// Fails with `EINVAL` if the current task is outside of the user namespace that
    /// the mount is made in.
    pub(crate) fn parse(
        &mut self,
        fc: &FsContext,
        key: &CStr,
        value: &ParamValue<'_>,
        overrides: bool,
    ) -> Result<(), Refused> {
        flag(fc, key, value)?;
        self.0 = match overrides {
            true if !fc.current_is_in_user_ns() => {
                return Err(fc.invalid(fmt!(
                    "override_creds: the task is outside of the user namespace of the mount"
                )));
            }
            true => Some(current().map_err(fc.failed("prepare credentials"))?),
            false => None,
        };
        Ok(())
    }

    /// The credentials: by default those of the current task.
    pub(crate) fn cred(&self) -> Result<ARef<Credential>> {
        self.0.clone().map_or_else(current, Ok)
    }
}

/// What the current task acts with, without the right to take what is reserved for
/// others on a disk.
fn current() -> Result<ARef<Credential>> {
    let mut cred = NewCred::prepare()?;
    cred.drop_sys_resource();
    Ok(cred.freeze())
}
