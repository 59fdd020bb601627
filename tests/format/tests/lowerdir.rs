// SPDX-License-Identifier: GPL-2.0

//! The option `lowerdir`, after `ovl_parse_param_lowerdir()` and
//! `ovl_parse_param_split_lowerdirs()` of fs/overlayfs/params.c.

use proptest::prelude::*;
use rovl_format::check;
use rovl_format::format::{
    lowerdir::{
        Lowerdir,
        LowerdirError,
        LAYERS_MAX, //
    },
    mount_option::unescape, //
};

/// Layers as strings, data-only ones behind a `+`.
fn layers(value: &str) -> Result<Vec<String>, LowerdirError> {
    Ok(Lowerdir::parse(value.as_bytes())?
        .map(|layer| {
            let path = String::from_utf8(layer.escaped.to_vec()).unwrap();
            if layer.data_only {
                format!("+{path}")
            } else {
                path
            }
        })
        .collect())
}

#[test]
fn accepted() {
    for (value, expected) in [
        ("", &[] as &[&str]),
        ("/a", &["/a"]),
        ("relative", &["relative"]),
        ("/a:/b:/c", &["/a", "/b", "/c"]),
        ("/l1:/l2::/d1::/d2", &["/l1", "/l2", "+/d1", "+/d2"]),
        ("/a::/d", &["/a", "+/d"]),
        (r"/a\:b:/c", &[r"/a\:b", "/c"]),
        (r"/a\:lower\:\:dir", &[r"/a\:lower\:\:dir"]),
        (r"\:/a", &[r"\:/a"]),
        (r"/a\::/b", &[r"/a\:", "/b"]),
        (r"/a\:::/d", &[r"/a\:", "+/d"]),
        (r"/a\\:/b", &[r"/a\\", "/b"]),
        (r"/a\\", &[r"/a\\"]),
        (r"/a,b:/c", &["/a,b", "/c"]),
    ] {
        assert_eq!(
            layers(value).as_deref(),
            Ok(&expected.iter().map(|s| s.to_string()).collect::<Vec<_>>()[..]),
            "{value}"
        );
    }
}

#[test]
fn refused() {
    use LowerdirError::*;
    for (value, error) in [
        (":", LeadingColon),
        (":/a", LeadingColon),
        ("::/a", LeadingColon),
        ("/a:", TrailingColon),
        ("/a::", TrailingColon),
        (r"/a\::", TrailingColon),
        ("/a:::", TooManyColons),
        ("/a:::/b", TooManyColons),
        ("/a::::/b", TooManyColons),
        (r"\", TrailingBackslash),
        (r"/a:/b\", TrailingBackslash),
        (r"/a\\\", TrailingBackslash),
        ("/a::/d:/b", LayerAfterData),
    ] {
        assert_eq!(layers(value), Err(error), "{value}");
    }
}

#[test]
fn most_layers() {
    let value = vec!["/l"; LAYERS_MAX].join(":");
    assert_eq!(layers(&value).unwrap().len(), 4096);
    let value = format!("{value}::/l");
    assert_eq!(layers(&value), Err(LowerdirError::TooManyLayers));
}

#[test]
fn every_refusal_says_why() {
    assert_eq!(
        LowerdirError::TooManyLayers.to_string(),
        "lowerdir: too many layers, the limit is 4096"
    );
    assert_eq!(
        LowerdirError::LayerAfterData.to_string(),
        "lowerdir: a regular layer cannot follow a data-only layer"
    );
}

fn escape(path: &str) -> String {
    path.replace('\\', r"\\").replace(':', r"\:")
}

proptest! {
    /// Any paths can be layers, once escaped.
    #[test]
    fn joined_is_split(
        layers in prop::collection::vec("[a:\\\\,/ ]{1,6}", 1..6),
        data in prop::collection::vec("[a:\\\\,/ ]{1,6}", 0..4),
    ) {
        let mut value = layers.iter().map(|l| escape(l)).collect::<Vec<_>>().join(":");
        for path in &data {
            value += "::";
            value += &escape(path);
        }
        let parsed: Vec<_> = Lowerdir::parse(value.as_bytes()).unwrap().collect();
        prop_assert_eq!(parsed.len(), layers.len() + data.len());
        for (i, (layer, path)) in parsed.iter().zip(layers.iter().chain(&data)).enumerate() {
            prop_assert_eq!(layer.data_only, i >= layers.len());
            let mut buffer = [0; 64];
            prop_assert_eq!(unescape(layer.escaped, &mut buffer).unwrap(), path.as_bytes());
        }
    }

    #[test]
    fn any_value(value in "[:a\\\\]{0,16}") {
        check::lowerdir(value.as_bytes());
    }
}
