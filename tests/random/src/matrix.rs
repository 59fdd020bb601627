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
    /// Whether a driver may refuse to mount.
    pub may_refuse: bool,
}

/// OPTIONS, OPTIONS FOR LAYERS, WHETHER A DRIVER MAY REFUSE. Whoever adds a feature takes its
/// `true` away.
const TABLE: &[(&str, &str, bool)] = &[
    ("", "redirect_dir=off", false),
    ("redirect_dir=off", "redirect_dir=off", false),
    ("redirect_dir=nofollow", "redirect_dir=off", false),
    ("redirect_dir=follow", "redirect_dir=on", false),
    ("redirect_dir=on", "redirect_dir=on", false),
    ("index=on", "redirect_dir=off", false),
    ("redirect_dir=on,index=on", "redirect_dir=on", false),
    ("metacopy=on", "metacopy=on", false),
    ("redirect_dir=on,index=on,metacopy=on", "metacopy=on", false),
    ("index=on,nfs_export=on", "redirect_dir=off", false),
    (
        "redirect_dir=on,index=on,nfs_export=on",
        "redirect_dir=on",
        false,
    ),
    ("xino=on", "redirect_dir=off", false),
    ("xino=off", "redirect_dir=off", false),
    (
        "xino=auto,redirect_dir=on,index=on,metacopy=on",
        "metacopy=on",
        false,
    ),
    ("uuid=on", "redirect_dir=off", false),
    ("uuid=null", "redirect_dir=off", false),
    ("uuid=off", "redirect_dir=off", false),
    ("userxattr", "userxattr", true),
    ("volatile", "redirect_dir=off", false),
];

/// All sets.
pub fn all() -> Vec<OptionSet> {
    TABLE
        .iter()
        .map(|(options, layers, may_refuse)| OptionSet {
            options: (*options).to_owned(),
            layers: (*layers).to_owned(),
            may_refuse: *may_refuse,
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
            may_refuse: false,
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
