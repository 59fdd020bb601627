// SPDX-License-Identifier: GPL-2.0

//! Names in `workdir`.
//!
//! ```text
//! work/                         objects being built, removed when the overlay is mounted
//! work/incompat/FEATURE         whatever FEATURE is, the overlay must not be mounted
//! work/incompat/volatile/dirty  upper was in use without sync, and may be torn
//! index/                        one entry a copied-up object, with index=on
//! #HEX                          temporary, in either of work/ and index/
//! ```

use super::{
    writer::Writer,
    FormatError,
    Result, //
};
use core::{
    ffi::CStr,
    fmt::Write as _, //
};

/// Directory of the objects being built.
pub const WORK: &CStr = c"work";
/// Directory of the index.
pub const INDEX: &CStr = c"index";
/// Directory in [`WORK`] whose entries forbid mounting.
pub const INCOMPAT: &CStr = c"incompat";

/// The file that marks a volatile overlay, from `workdir` down: directories and then the file.
pub const VOLATILE_DIRTY: [&CStr; 4] = [WORK, INCOMPAT, c"volatile", c"dirty"];

/// Room for a temporary name and its NUL: a number sign and eight digits.
pub type TempName = [u8; 10];

/// Writes the temporary name with number `id`.
pub fn write_temp_name(id: u32, buffer: &mut TempName) -> Result<&CStr> {
    let mut writer = Writer::new(buffer);
    write!(writer, "#{id:x}\0").map_err(|_| FormatError::TooLong)?;
    CStr::from_bytes_with_nul(writer.finish()).map_err(|_| FormatError::Invalid)
}

/// Tells whether an entry of the index is a temporary object left behind.
pub fn is_temp_name(name: &[u8]) -> bool {
    name.starts_with(b"#")
}
