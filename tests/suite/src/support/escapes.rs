// SPDX-License-Identifier: GPL-2.0

//! What holds for names in the overlay's own namespace, whichever it is: below the
//! overlay they are escaped once more than above it.

use rustix::fs::{lgetxattr, listxattr, removexattr, setxattr, XattrFlags};
use rustix::io::Errno;

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::{must, refused};

/// The namespace of a mount's own attributes.
pub struct Namespace {
    /// What names in it begin with.
    pub prefix: &'static str,
    /// The option for it.
    pub option: Option<&'static str>,
}

/// That of a mount without the option `userxattr`.
pub const TRUSTED: Namespace = Namespace {
    prefix: "trusted.overlay.",
    option: None,
};

/// That of a mount with it.
pub const USER: Namespace = Namespace {
    prefix: "user.overlay.",
    option: Some("userxattr"),
};

impl Namespace {
    /// The prefix with this many escapes, and a name.
    pub fn name(&self, escapes: usize, rest: &str) -> String {
        format!("{}{}{rest}", self.prefix, "overlay.".repeat(escapes))
    }

    /// Mounts an overlay whose own attributes are in it.
    #[track_caller]
    pub fn mount(&self, bed: &Bed) -> Dir {
        match self.option {
            Some(option) => bed.mount_with(option),
            None => bed.mount(),
        }
    }

    /// A lower and an upper file, and the overlay over them.
    #[track_caller]
    pub fn files(&self, bed: &Bed) -> (Dir, [&'static str; 2]) {
        bed.lower.file("low", "content");
        bed.upper.file("up", "content");
        (self.mount(bed), ["low", "up"])
    }

    /// Names that are escaped below are shown with one escape less, beside others.
    #[track_caller]
    pub fn are_shown(&self, bed: &Bed, others: &[&str]) {
        for (layer, file) in [(&bed.lower, "low"), (&bed.upper, "up")] {
            layer.file(file, "content");
            for escapes in 0..4 {
                let value = [b'0' + escapes as u8];
                layer.set_xattr(file, &self.name(escapes, "note"), &value);
            }
            for other in others {
                layer.set_xattr(file, other, b"other");
            }
        }
        let m = self.mount(bed);
        for file in ["low", "up"] {
            let mut want: Vec<_> = (0..3).map(|escapes| self.name(escapes, "note")).collect();
            want.extend(others.iter().map(|other| (*other).to_owned()));
            want.sort();
            assert_eq!(m.xattr_names(file), want);
            for escapes in 0..3 {
                let value = m.xattr(file, &self.name(escapes, "note"));
                assert_eq!(value, Some(vec![b'1' + escapes as u8]));
            }
            assert_eq!(m.xattr(file, &self.name(3, "note")), None);
            for other in others {
                assert_eq!(m.xattr(file, other).as_deref(), Some(&b"other"[..]));
            }
        }
    }

    /// They are copied as they are below, beside others; private ones are not.
    #[track_caller]
    pub fn are_copied(&self, bed: &Bed, others: &[&str]) {
        bed.lower.file("low", "content");
        bed.lower.sub("dir");
        for path in ["low", "dir"] {
            for escapes in 0..3 {
                let name = self.name(escapes, "note");
                bed.lower.set_xattr(path, &name, b"value");
            }
            for other in others {
                bed.lower.set_xattr(path, other, b"value");
            }
        }
        let m = self.mount(bed);
        for path in ["low", "dir"] {
            m.chmod(path, 0o700);
            assert_eq!(bed.upper.xattr(path, &self.name(0, "note")), None);
            let mut copied = vec![self.name(1, "note"), self.name(2, "note")];
            copied.extend(others.iter().map(|other| (*other).to_owned()));
            for key in copied {
                let value = bed.upper.xattr(path, &key);
                assert_eq!(value.as_deref(), Some(&b"value"[..]), "{key}");
            }
        }
    }

    /// Flags mean what they mean on any filesystem.
    #[track_caller]
    pub fn with_flags(&self, bed: &Bed) {
        let (m, files) = self.files(bed);
        for file in files {
            for escapes in 0..2 {
                let key = self.name(escapes, "note");
                let set = |flags| setxattr(m.at(file), &key, b"value", flags);
                refused(Errno::NODATA, set(XattrFlags::REPLACE));
                must("create", set(XattrFlags::CREATE));
                refused(Errno::EXIST, set(XattrFlags::CREATE));
                must("replace", set(XattrFlags::REPLACE));
                let below = self.name(escapes + 1, "note");
                assert!(bed.upper.xattr(file, &below).is_some());
            }
            assert_eq!(bed.upper.xattr(file, &self.name(0, "note")), None);
        }
    }

    /// Private ones cannot be removed.
    #[track_caller]
    pub fn are_removed(&self, bed: &Bed) {
        for (layer, file) in [(&bed.lower, "low"), (&bed.upper, "up")] {
            layer.file(file, "content");
            layer.set_xattr(file, &self.name(0, "private"), b"value");
            layer.set_xattr(file, &self.name(1, "note"), b"value");
        }
        let m = self.mount(bed);
        for file in ["low", "up"] {
            for missing in [self.name(0, "private"), self.name(1, "note")] {
                refused(Errno::NODATA, removexattr(m.at(file), missing.as_str()));
            }
            assert!(file == "up" || !bed.upper.exists(file));
            m.remove_xattr(file, &self.name(0, "note"));
            assert_eq!(bed.upper.xattr(file, &self.name(1, "note")), None);
        }
        assert!(bed.upper.xattr("up", &self.name(0, "private")).is_some());
        assert!(bed.lower.xattr("low", &self.name(1, "note")).is_some());
    }

    /// A name has to have room for one escape more.
    #[track_caller]
    pub fn too_long(&self, bed: &Bed) {
        let (m, files) = self.files(bed);
        for file in files {
            for (length, fits) in [(255 - 8, true), (255 - 7, false), (255, false)] {
                let key = self.name(0, &"n".repeat(length - self.prefix.len()));
                let set = setxattr(m.at(file), &key, b"value", XattrFlags::empty());
                let mut value = [0_u8; 8];
                if fits {
                    must("setxattr", set);
                    assert_eq!(lgetxattr(m.at(file), &key, &mut value), Ok(5));
                    assert!(m.xattr_names(file).contains(&key));
                    m.remove_xattr(file, &key);
                } else {
                    refused(Errno::OPNOTSUPP, set);
                    refused(Errno::OPNOTSUPP, lgetxattr(m.at(file), &key, &mut value));
                    refused(Errno::OPNOTSUPP, removexattr(m.at(file), &key));
                }
            }
        }
    }

    /// The size that is told holds whatever the filter leaves, as does a buffer of
    /// that size.
    #[track_caller]
    pub fn lists(&self, bed: &Bed) {
        for (layer, file) in [(&bed.lower, "low"), (&bed.upper, "up")] {
            layer.file(file, "content");
            layer.set_xattr(file, "user.note", b"value");
            layer.set_xattr(file, &self.name(0, "private"), b"value");
            layer.set_xattr(file, &self.name(1, "note"), b"value");
        }
        let m = self.mount(bed);
        for (layer, file) in [(&bed.lower, "low"), (&bed.upper, "up")] {
            let size = layer.xattr_list_size(file);
            assert_eq!(m.xattr_list_size(file), size);
            let shown: usize = m.xattr_names(file).iter().map(|key| key.len() + 1).sum();
            assert_eq!(shown, "user.note\0".len() + self.name(0, "note").len() + 1);
            for room in [1, shown - 1, shown, size - 1] {
                refused(Errno::RANGE, listxattr(m.at(file), &mut vec![0_u8; room]));
            }
            for room in [size, size + 1, 65536] {
                let mut list = vec![0xff_u8; room];
                assert_eq!(must("listxattr", listxattr(m.at(file), &mut list)), shown);
                assert_eq!(list[shown - 1], 0);
            }
        }
    }
}
