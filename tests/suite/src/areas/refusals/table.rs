// SPDX-License-Identifier: GPL-2.0

//! The table of the documentation, and the messages in the module's source, as they were
//! when this program was built.

use rustix::io::Errno;

const DOCUMENT: &str = include_str!("../../../../../Documentation/filesystems/rovl-refusals.rst");

/// Sources that refuse mounts.
macro_rules! sources {
    ($( $name:literal ),+ $(,)?) => {
        &[ $( ($name, include_str!(concat!("../../../../../fs/overlayfs/", $name, ".rs"))) ),+ ]
    };
}

const SOURCES: &[(&str, &str)] = sources![
    "casefold",
    "config",
    "durability",
    "filesystems",
    "index_mount",
    "layers",
    "mount",
    "mounter",
    "overlap",
    "params",
    "reconfigure",
    "remote",
    "super_block",
    "uuid",
    "workdir",
];

const LOWERDIR: &str = include_str!("../../../../../fs/overlayfs/format/lowerdir.rs");

/// A row of the table.
pub struct Row {
    /// The name of the error that a test sees.
    pub errno: String,
    /// The message, with `<..>` for what differs.
    pub message: String,
}

/// The rows of the table of errors.
pub fn rows() -> Vec<Row> {
    let (_, table) = DOCUMENT
        .split_once("\nErrors\n")
        .expect("a section 'Errors'");
    let (table, _) = table
        .split_once("\nWarnings\n")
        .expect("a section 'Warnings'");
    let mut rows = Vec::new();
    for row in table.split("\n   * - ").skip(2) {
        let (errno, rest) = row.split_once('\n').expect("a message");
        let (_, message) = rest.split_once("``").expect("a message in quotes");
        let (message, _) = message.split_once("``").expect("the end of a message");
        let errno: String = errno.chars().take_while(char::is_ascii_uppercase).collect();
        rows.push(Row {
            errno,
            message: message.split_whitespace().collect::<Vec<_>>().join(" "),
        });
    }
    rows
}

/// The name of an error, of those in the table.
pub fn name(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::INVAL => "EINVAL",
        Errno::NOENT => "ENOENT",
        Errno::PERM => "EPERM",
        Errno::LOOP => "ELOOP",
        Errno::BUSY => "EBUSY",
        Errno::IO => "EIO",
        Errno::ACCESS => "EACCES",
        Errno::NOTDIR => "ENOTDIR",
        Errno::STALE => "ESTALE",
        Errno::NODATA => "ENODATA",
        Errno::ROFS => "EROFS",
        Errno::NOSPC => "ENOSPC",
        Errno::NAMETOOLONG => "ENAMETOOLONG",
        _ => return None,
    })
}

/// The parts of a message between what differs: `<..>` in the documentation, `{..}` in the code.
fn parts(message: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut within = false;
    for character in message.chars() {
        match character {
            '<' | '{' => within = true,
            '>' | '}' => {
                within = false;
                parts.push(String::new());
            }
            _ if within => {}
            character => parts.last_mut().expect("a part").push(character),
        }
    }
    parts
}

/// A message with `<>` for what differs.
pub fn normal(message: &str) -> String {
    parts(message).join("<>")
}

/// Whether `text` is the message of a row.
pub fn fits(message: &str, text: &str) -> bool {
    let parts = parts(message);
    let (first, rest) = parts.split_first().expect("a part");
    let Some(mut text) = text.strip_prefix(first.as_str()) else {
        return false;
    };
    for (number, part) in rest.iter().enumerate() {
        let at = match number + 1 == rest.len() {
            true => text
                .len()
                .checked_sub(part.len())
                .filter(|_| text.ends_with(part.as_str())),
            false => text.find(part.as_str()),
        };
        match at {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.is_empty()
}

/// All messages in the code, as [`normal`] makes them.
pub fn messages() -> Vec<String> {
    let mut messages = Vec::new();
    for (_, source) in SOURCES {
        for call in [".invalid(fmt!(", ".error(", ".failed("] {
            for (at, _) in source.match_indices(call) {
                // What is said stands in the first text behind.
                let behind = &source[at + call.len()..];
                let text = literal(behind).expect("a message");
                match call {
                    ".failed(" => messages.push("cannot <>: error <>".to_owned()),
                    // Says what the format of `lowerdir` says.
                    _ if text == "{err}" => {}
                    _ => messages.push(normal(&text)),
                }
            }
        }
    }
    for call in ["f.write_str(", "write!("] {
        for (at, _) in LOWERDIR.match_indices(call) {
            let text = literal(&LOWERDIR[at..]).expect("a message");
            messages.push(normal(&text));
        }
    }
    messages.sort();
    messages.dedup();
    messages
}

/// The first text in a piece of Rust.
fn literal(code: &str) -> Option<String> {
    let (_, rest) = code.split_once('"')?;
    let mut text = String::new();
    let mut characters = rest.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Some(text),
            '\\' if characters.peek() == Some(&'\n') => {
                while characters.next_if(|next| next.is_whitespace()).is_some() {}
            }
            '\\' => text.extend(characters.next()),
            character => text.push(character),
        }
    }
    None
}
