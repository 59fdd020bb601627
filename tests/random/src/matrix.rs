// SPDX-License-Identifier: GPL-2.0

//! The sets of mount options that are tried by default.

/// One set.
#[derive(Clone, Debug)]
pub struct OptionSet {
    /// The options, as in `mount -o`; the name of the set too.
    pub options: String,
    /// Options of the overlays that make lower layers, where these options can mount
    /// what comes of it.
    pub layers: String,
}

/// OPTIONS, OPTIONS FOR LAYERS.
const TABLE: &[(&str, &str)] = &[
    ("", "redirect_dir=off"),
    ("redirect_dir=off", "redirect_dir=off"),
    ("redirect_dir=nofollow", "redirect_dir=off"),
    ("redirect_dir=follow", "redirect_dir=on"),
    ("redirect_dir=on", "redirect_dir=on"),
    ("index=on", "redirect_dir=off"),
    ("redirect_dir=on,index=on", "redirect_dir=on"),
    ("metacopy=on", "metacopy=on"),
    ("redirect_dir=on,index=on,metacopy=on", "metacopy=on"),
    ("index=on,nfs_export=on", "redirect_dir=off"),
    ("redirect_dir=on,index=on,nfs_export=on", "redirect_dir=on"),
    ("xino=on", "redirect_dir=off"),
    ("xino=off", "redirect_dir=off"),
    (
        "xino=auto,redirect_dir=on,index=on,metacopy=on",
        "metacopy=on",
    ),
    ("uuid=on", "redirect_dir=off"),
    ("uuid=null", "redirect_dir=off"),
    ("uuid=off", "redirect_dir=off"),
    ("userxattr", "userxattr"),
    ("volatile", "redirect_dir=off"),
];

/// All sets.
pub fn all() -> Vec<OptionSet> {
    TABLE
        .iter()
        .map(|(options, layers)| OptionSet {
            options: (*options).to_owned(),
            layers: (*layers).to_owned(),
        })
        .collect()
}

/// A set by its options, which need not be in the table.
pub fn named(options: &str) -> OptionSet {
    // So that the default can be named on a command line.
    let options = if options == "default" { "" } else { options };
    all()
        .into_iter()
        .find(|set| set.options == options)
        .unwrap_or_else(|| OptionSet {
            options: options.to_owned(),
            layers: String::from("redirect_dir=off"),
        })
}

impl OptionSet {
    /// What reports call it.
    pub fn name(&self) -> &str {
        if self.options.is_empty() {
            "default"
        } else {
            &self.options
        }
    }
}
