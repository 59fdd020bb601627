// SPDX-License-Identifier: GPL-2.0

//! What holds for any bytes whatever.
//!
//! Each function feeds untrusted bytes to a part of the format and panics if what comes back
//! breaks a promise. The property tests call them with generated input, the fuzz targets with
//! input that grew to reach every branch.

use crate::format::{
    file_handle::{
        FileHandle,
        FID_MAX,
        LEN_MAX,
        WIRE_MAX,
        WIRE_TYPE,
        WIRE_TYPE_UNALIGNED, //
    },
    index,
    lowerdir::Lowerdir,
    metacopy::{
        self,
        Metacopy, //
    },
    mount_option,
    nlink::{
        self,
        Nlink, //
    },
    opaque::Opaque,
    protattr::ProtAttr,
    redirect::{
        Redirect,
        RedirectBuilder, //
    },
    uuid::Uuid,
    xattr::{
        Attribute,
        NameBuffer,
        NameClass,
        Namespace,
        NAME_MAX, //
    },
    FormatError, //
};
use core::ffi::CStr;

/// The most input that is looked at where the output needs a buffer.
const INPUT_MAX: usize = 4096;

/// The front of `bytes`, no longer than `max`.
fn front(bytes: &[u8], max: usize) -> &[u8] {
    &bytes[..bytes.len().min(max)]
}

/// A handle that is read is written as it was, and survives every other form it has.
pub fn file_handle(bytes: &[u8]) {
    for (wire_type, skipped) in [(WIRE_TYPE, 3), (WIRE_TYPE_UNALIGNED, 0)] {
        let mut words = [0u32; 80];
        let mut count = 0;
        for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_ne_bytes(chunk.try_into().unwrap());
            count += 1;
        }
        let from_wire = FileHandle::from_wire(wire_type, &words[..count]);
        let len = (count * 4).saturating_sub(3);
        let inner = bytes.get(skipped..skipped + len).unwrap_or_default();
        assert_eq!(from_wire, FileHandle::parse(inner));
    }

    let Ok(handle) = FileHandle::parse(bytes) else {
        return;
    };
    assert!(handle.fid().len() <= FID_MAX);

    let mut buffer = [0xaa; LEN_MAX];
    let written = handle.write(&mut buffer).unwrap();
    assert_eq!(written, &bytes[..usize::from(bytes[2])]);
    assert_eq!(written.len(), handle.disk_len());
    assert_eq!(
        handle.write(&mut [0; LEN_MAX][..handle.disk_len() - 1]),
        Err(FormatError::TooLong)
    );

    let mut words = [0xaaaa_aaaa; WIRE_MAX];
    let len = handle.write_wire(&mut words).unwrap();
    assert_eq!(FileHandle::from_wire(WIRE_TYPE, &words[..len]), Ok(handle));

    let mut name = [0; index::NAME_MAX];
    match index::write_name(&handle, &mut name) {
        Ok(name) => assert_eq!(index::parse_name(name), Ok(handle)),
        Err(error) => {
            assert_eq!(error, FormatError::TooLong);
            assert!(handle.disk_len() * 2 > index::NAME_MAX);
        }
    }
}

/// An index entry's name, in whatever case and however odd, is that of its handle.
pub fn index_name(name: &[u8]) {
    let Ok(handle) = index::parse_name(name) else {
        return;
    };
    let mut buffer = [0; index::NAME_MAX];
    let written = index::write_name(&handle, &mut buffer).unwrap();
    assert!(name[..written.len()].eq_ignore_ascii_case(written));
}

/// A list of names is filtered as its names are one by one, and only gets shorter.
pub fn xattr_list(list: &[u8]) {
    let list = front(list, INPUT_MAX);
    for namespace in [Namespace::Trusted, Namespace::User] {
        for show_trusted in [false, true] {
            let mut buffer = [0; INPUT_MAX];
            let filtered = &mut buffer[..list.len()];
            filtered.copy_from_slice(list);
            let Ok(len) = namespace.filter_list(filtered, show_trusted) else {
                assert!(!list.ends_with(&[0]));
                continue;
            };
            let mut seen = &filtered[..len];
            let private = namespace.private_in(list);

            for name in list.split_inclusive(|&byte| byte == 0) {
                let name = CStr::from_bytes_with_nul(name).unwrap();
                xattr_name(namespace, name);
                for attribute in Attribute::ALL {
                    assert!(namespace.name(attribute) != name || private.contains(attribute));
                }
                let class = namespace.classify(name.to_bytes());
                let hidden = class == NameClass::Private
                    || !show_trusted && name.to_bytes().starts_with(b"trusted.");
                if hidden {
                    continue;
                }
                let mut buffer: NameBuffer = [0; NAME_MAX + 1];
                if let Ok(visible) = namespace.overlay_name(name, &mut buffer) {
                    seen = seen
                        .strip_prefix(visible.unwrap().to_bytes_with_nul())
                        .unwrap();
                } else {
                    // Longer than any name can be: only the list, which has no limit, has it.
                    let end = seen.iter().position(|&byte| byte == 0).unwrap();
                    seen = &seen[end + 1..];
                }
            }
            assert!(seen.is_empty());
        }
    }
}

/// A name that went down is not private there, and comes up as it was.
fn xattr_name(namespace: Namespace, name: &CStr) {
    let (mut down, mut up): (NameBuffer, NameBuffer) = ([0; NAME_MAX + 1], [0; NAME_MAX + 1]);
    if let Ok(below) = namespace.layer_name(name, &mut down) {
        assert_ne!(namespace.classify(below.to_bytes()), NameClass::Private);
        assert_eq!(namespace.overlay_name(below, &mut up), Ok(Some(name)));
    }
}

/// Layers and their separators are the whole value, and no layer is empty.
pub fn lowerdir(value: &[u8]) {
    let Ok(lowerdir) = Lowerdir::parse(value) else {
        return;
    };
    let mut rest = value;
    let mut seen_data = false;
    for (i, layer) in lowerdir.enumerate() {
        let separator: &[u8] = match (i, layer.data_only) {
            (0, false) => b"",
            (0, true) => panic!("the first layer is data-only"),
            (_, false) => b":",
            (_, true) => b"::",
        };
        rest = rest.strip_prefix(separator).unwrap();
        rest = rest.strip_prefix(layer.escaped).unwrap();
        assert!(!layer.escaped.is_empty());
        assert!(layer.data_only || !seen_data);
        seen_data = layer.data_only;
    }
    assert!(rest.is_empty());
}

/// The bytes, at the front of a buffer that has room for them.
fn collect(bytes: impl Iterator<Item = u8>, buffer: &mut [u8]) -> &[u8] {
    let mut len = 0;
    for byte in bytes {
        buffer[len] = byte;
        len += 1;
    }
    &buffer[..len]
}

/// Options and commas are the whole; escapes shorten; what is shown can be read back.
pub fn mount_option(options: &[u8]) {
    let options = front(options, INPUT_MAX);

    let mut rest = options;
    for (i, option) in mount_option::split(options).enumerate() {
        if i > 0 {
            rest = rest.strip_prefix(b",").unwrap();
        }
        rest = rest.strip_prefix(option).unwrap();
    }
    assert!(rest.is_empty());

    let mut buffer = [0; INPUT_MAX];
    let unescaped = mount_option::unescape(options, &mut buffer[..options.len()]).unwrap();
    let backslashes = options.iter().filter(|&&byte| byte == b'\\').count();
    assert!(unescaped.len() >= options.len() - backslashes);

    let mut buffers = [[0; 2 * INPUT_MAX]; 3];
    let [escaped, protected, again] = &mut buffers;
    let escaped = collect(mount_option::escape(options), escaped);
    assert_eq!(mount_option::split(escaped).count(), 1);
    assert_eq!(mount_option::unescape(escaped, again), Ok(options));
    let protected = collect(mount_option::protect(options), protected);
    assert_eq!(mount_option::split(protected).count(), 1);
    assert_eq!(mount_option::unescape(protected, again), Ok(unescaped));

    let mut shown = mount_option::show(options);
    for &byte in options {
        let mut first = shown.next().unwrap();
        assert!(!b", \t\n".contains(&first));
        if first == b'\\' {
            first = (0..3).fold(0, |value, _| value << 3 | (shown.next().unwrap() - b'0'));
        }
        assert_eq!(first, byte);
    }
    assert_eq!(shown.next(), None);
}

/// No redirect has a name that leads out of its directory, and it can be built from its names.
pub fn redirect(value: &[u8]) {
    let value = front(value, INPUT_MAX);
    let Ok(redirect) = Redirect::parse(value) else {
        return;
    };
    assert!(value.starts_with(redirect.as_bytes()));
    assert_eq!(Redirect::parse(redirect.as_bytes()), Ok(redirect));
    for name in redirect.names() {
        assert!(!name.is_empty() && name != b"." && name != b"..");
        assert!(!name.contains(&b'/') && !name.contains(&0));
    }

    let mut buffer = [0; INPUT_MAX + 8];
    let applied = redirect.apply(b"/a/", b"/b", &mut buffer).unwrap();
    let mut applied = applied.names();
    if !redirect.is_absolute() {
        assert_eq!(applied.next(), Some(&b"a"[..]));
    }
    for name in redirect.names() {
        assert_eq!(applied.next(), Some(name));
    }
    assert_eq!(applied.next(), Some(&b"b"[..]));
    assert_eq!(applied.next(), None);

    if redirect.is_absolute() {
        let mut names = [&b""[..]; INPUT_MAX];
        let count = redirect.names().count();
        for (slot, name) in names.iter_mut().zip(redirect.names()) {
            *slot = name;
        }
        let mut buffer = [0; INPUT_MAX];
        let len = redirect.as_bytes().len();
        let mut builder = RedirectBuilder::new(&mut buffer[..len]);
        for name in names[..count].iter().rev() {
            builder.prepend(Redirect::parse(name).unwrap()).unwrap();
        }
        assert_eq!(builder.finish(), Ok(redirect));
    }
}

/// A small value that is read, of whichever attribute, is read again from what is written for it.
pub fn small_values(value: &[u8]) {
    if let Ok(nlink) = Nlink::parse(value) {
        let mut buffer = [0; nlink::LEN_MAX];
        assert_eq!(Nlink::parse(nlink.write(&mut buffer).unwrap()), Ok(nlink));
        assert_ne!(nlink.union(1, 1), Some(0));
    }
    if let Ok(metacopy) = Metacopy::parse(value) {
        assert_eq!(Metacopy::check_size(value.len()), Ok(()));
        let mut buffer = [0; metacopy::LEN_MAX];
        let written = metacopy.write(&mut buffer).unwrap();
        let again = Metacopy::parse(written).unwrap();
        assert_eq!(again.digest(), metacopy.digest());
        // Nothing is lost but a digest that says of itself that there is none.
        assert!(written == value || written.is_empty() && metacopy.digest().is_none());
    }
    if let Ok(flags) = ProtAttr::parse(value) {
        assert_eq!(ProtAttr::parse(flags.as_bytes()), Ok(flags));
    }
    if let Some(opaque) = Opaque::parse(value) {
        assert_eq!(opaque.as_bytes(), value);
    }
    if let Ok(uuid) = Uuid::parse(value) {
        assert_eq!(uuid.as_bytes(), value);
    }
}
