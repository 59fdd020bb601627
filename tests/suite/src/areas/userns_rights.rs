// SPDX-License-Identifier: GPL-2.0

//! What a mount in a user namespace has no rights to: it is refused, given up, or leads
//! nowhere.

use rustix::fs::{lgetxattr, lremovexattr, lsetxattr, FileType, Mode, XattrFlags};
use rustix::io::Errno;

use crate::areas::mount_options::shown_options;
use crate::areas::userns::{tree, work_on};
use crate::areas::userxattr::{own, ON};
use crate::harness::bed::{assert_work_is_empty, Bed};
use crate::support::dir::Dir;
use crate::support::must::{must, refused};
use crate::support::userns::{self, give_layers, inside, BASE, CONTAINER};

tests! {
    TWICE:
        features_that_need_rights,
        features_that_need_rights_are_refused,
        conflicts,
        a_hostile_layer,
        a_hostile_upper,
        unreadable_objects,
        devices,
        trusted_attributes;
}

/// Features that are given up without being asked for.
fn features_that_need_rights(bed: &Bed) {
    tree(bed);
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        for more in ["", ",userxattr"] {
            let options = format!("{},index=on,nfs_export=on{more}", bed.options());
            let m = must("mount", bed.try_mount(&options));
            let shown = shown_options(&m);
            assert!(shown.contains(",redirect_dir=nofollow"), "{shown}");
            assert!(!shown.contains("index=on"), "{shown}");
            assert!(!shown.contains("nfs_export=on"), "{shown}");
            assert!(!shown.contains("metacopy=on"), "{shown}");
            assert_eq!(shown.contains(",userxattr"), !more.is_empty());
            assert_eq!(shown.contains(",uuid=null"), more.is_empty(), "{shown}");
            work_on(&m);
            bed.umount();
            assert!(!bed.work.exists("index"));
            for name in bed.upper.names("") {
                let path = bed.upper.at(&name);
                let _ = std::fs::remove_dir_all(&path);
                let _ = std::fs::remove_file(&path);
            }
        }
    });
}

fn features_that_need_rights_are_refused(bed: &Bed) {
    let data = bed.aside("data");
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        for more in [
            "redirect_dir=on",
            "redirect_dir=follow",
            "metacopy=on",
            "redirect_dir=on,metacopy=on",
            "verity=on",
            "verity=require",
        ] {
            let options = format!("{},{more}", bed.options());
            refused(Errno::PERM, bed.try_mount(&options));
        }
        let options = format!("lowerdir={}::{data}", bed.lowerdir());
        refused(Errno::PERM, bed.try_mount(&options));
        for more in ["redirect_dir=nofollow", "metacopy=off", "verity=off"] {
            bed.mount_with(more);
            bed.umount();
        }
        assert_work_is_empty(&bed.work);
    });
}

fn conflicts(bed: &Bed) {
    let data = bed.aside("data");
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        for more in ["redirect_dir=on", "redirect_dir=follow", "metacopy=on"] {
            let options = format!("{},{ON},{more}", bed.options());
            refused(Errno::INVAL, bed.try_mount(&options));
        }
        let options = format!("lowerdir={}::{data},{ON},verity=on", bed.lowerdir());
        must("mount", bed.try_mount(&options));
        bed.umount();
    });
}

/// What is not given: root of the host has it for itself.
const SECRET: &str = "for root of the host alone";

/// Everything that an attribute could say to lead somewhere, in a lower layer that
/// somebody else has made.
fn a_hostile_layer(bed: &Bed) {
    hostile(bed, &bed.lower);
}

fn a_hostile_upper(bed: &Bed) {
    hostile(bed, &bed.upper);
}

#[track_caller]
fn hostile(bed: &Bed, layer: &Dir) {
    let lowest = bed.below(2);
    lowest.sub("shadow").file("inside", SECRET);
    lowest.file("shadow-file", SECRET);
    for dir in ["to", "up-to", "relative"] {
        lowest.sub(dir).file("ordinary", "");
        bed.below(1).sub(dir);
    }
    // What an origin can mean: any object of the filesystem.
    let handle = {
        let m = bed.mount_with(ON);
        m.append("shadow-file", b"");
        m.chmod("shadow-file", 0o600);
        bed.umount();
        let origin = bed.upper.xattr("shadow-file", &own("origin"));
        bed.upper.unlink("shadow-file");
        bed.upper.remove_xattr("", &own("impure"));
        origin.expect("an origin")
    };
    for (dir, redirect) in [
        ("to", &b"/shadow"[..]),
        ("up-to", b"/../../etc"),
        ("relative", b"shadow"),
        ("dots", b".."),
        ("long", &[b'/'; 200]),
    ] {
        layer.sub(dir).set_xattr("", &own("redirect"), redirect);
        layer.set_xattr(dir, &own("origin"), &handle);
    }
    for (file, redirect) in [("file", "/shadow-file"), ("outside", "/../../etc/passwd")] {
        layer.file(file, "");
        layer.set_xattr(file, &own("metacopy"), b"");
        layer.set_xattr(file, &own("redirect"), redirect.as_bytes());
    }
    layer.file("copied", "content");
    layer.set_xattr("copied", &own("origin"), &handle);
    layer.set_xattr("copied", &own("nlink"), b"U+1000");
    layer.file("plain", "content");
    layer.set_xattr("plain", &own("protattr"), b"zzzz");
    layer.set_xattr("plain", &own("upper"), &handle);
    layer.set_xattr("", &own("uuid"), b"short");
    give_layers(bed, BASE);
    lowest.chown("shadow", 0, 0);
    lowest.chmod("shadow", 0o700);
    lowest.chown("shadow-file", 0, 0);
    lowest.chmod("shadow-file", 0o600);
    inside(CONTAINER, || {
        for more in [ON, "redirect_dir=nofollow"] {
            let m = bed.mount_with(more);
            for name in ["shadow/inside", "shadow-file"] {
                refused(Errno::ACCESS, std::fs::read(m.at(name)));
            }
            for name in ["to", "up-to", "relative", "dots", "long", "file", "outside"] {
                if let Ok(content) = std::fs::read(m.at(name)) {
                    assert_eq!(content, b"", "{name}");
                }
                for name in std::fs::read_dir(m.at(name))
                    .into_iter()
                    .flatten()
                    .flatten()
                {
                    assert_eq!(name.file_name(), "ordinary");
                }
            }
            if more == ON {
                for name in ["to", "relative", "file"] {
                    refused(Errno::PERM, std::fs::metadata(m.at(name)));
                }
                for name in ["up-to", "dots", "long", "outside"] {
                    assert!(std::fs::metadata(m.at(name)).is_err(), "{name}");
                }
            }
            assert_eq!(m.text("copied"), "content");
            assert_eq!(m.stat("copied").st_nlink, 1);
            m.append("plain", b"");
            m.append("copied", b"");
            bed.umount();
        }
    });
    assert_eq!(lowest.text("shadow-file"), SECRET);
    assert_eq!(lowest.names("shadow"), ["inside"]);
}

/// What the mounter may not read, nor what attributes say there.
fn unreadable_objects(bed: &Bed) {
    for layer in [&bed.lower, &bed.below(1)] {
        layer.sub_mode("dir", 0o700).file("inside", "");
        layer.sub_mode("open", 0o711).file("inside", "");
        layer.sub_mode("marked", 0o711).file("inside", "");
        layer.file_mode("file", "content", 0o600);
    }
    bed.lower.set_xattr("marked", "user.overlay.opaque", b"y");
    bed.below(1).sub_mode("lowest", 0o700);
    give_layers(bed, BASE);
    for layer in [&bed.lower, &bed.below(1)] {
        for name in ["dir", "open", "marked", "file"] {
            let mode = layer.mode(name);
            layer.chown(name, 0, 0);
            layer.chmod(name, mode);
        }
    }
    bed.below(1).chown("lowest", 0, 0);
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        assert_eq!(m.names(""), ["dir", "file", "lowest", "marked", "open"]);
        // There are no attributes.
        assert_eq!(m.mode("dir"), 0o700);
        assert_eq!(m.text("open/inside"), "");
        refused(Errno::ACCESS, std::fs::read_dir(m.at("dir")));
        // There is one, so what hides or leads elsewhere cannot be known.
        refused(Errno::ACCESS, rustix::fs::lstat(m.at("marked")));
        // Nothing is below it.
        assert_eq!(m.stat("lowest").st_uid, userns::NOBODY);
        refused(Errno::ACCESS, std::fs::read_dir(m.at("lowest")));
        assert_eq!(m.mode("file"), 0o600);
        refused(Errno::ACCESS, std::fs::read(m.at("file")));
        m.unlink("file");
        assert!(!m.exists("file"));
        bed.umount();
        // Attributes of the other namespace are there for nobody.
        let m = bed.mount();
        assert_eq!(m.mode("dir"), 0o700);
        assert_eq!(m.text("open/inside"), "");
        refused(Errno::ACCESS, std::fs::read_dir(m.at("dir")));
        bed.umount();
    });
}

fn devices(bed: &Bed) {
    bed.lower
        .node("null", FileType::CharacterDevice, 0o666, (1, 3));
    bed.lower.file("file", "content");
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        let m = bed.mount_with(ON);
        assert_eq!(m.kind("null"), FileType::CharacterDevice);
        refused(Errno::ACCESS, std::fs::read(m.at("null")));
        refused(
            Errno::PERM,
            rustix::fs::chmod(m.at("null"), Mode::from_raw_mode(0o600)),
        );
        m.unlink("null");
        assert!(!m.exists("null"));
        assert!(bed.upper.is_whiteout("null"));
        bed.umount();
    });
}

fn trusted_attributes(bed: &Bed) {
    for (layer, file) in [(&bed.lower, "low"), (&bed.upper, "up")] {
        layer.file(file, "content");
        for key in ["trusted.note", "trusted.overlay.overlay.note", "user.note"] {
            layer.set_xattr(file, key, b"value");
        }
    }
    give_layers(bed, BASE);
    inside(CONTAINER, || {
        for more in [ON, "uuid=null"] {
            let m = bed.mount_with(more);
            for file in ["low", "up"] {
                m.chmod(file, 0o600);
                // The other mount does not know the overlay's own for what they are.
                let mut names = m.xattr_names(file);
                names.retain(|name| *name != own("origin"));
                assert_eq!(names, ["user.note"]);
                for key in ["trusted.note", "trusted.overlay.note"] {
                    let set = lsetxattr(m.at(file), key, b"v", XattrFlags::empty());
                    refused(Errno::PERM, set);
                    refused(Errno::PERM, lremovexattr(m.at(file), key));
                    let mut value = [0_u8; 8];
                    refused(Errno::NODATA, lgetxattr(m.at(file), key, &mut value));
                }
            }
            bed.umount();
        }
    });
    // Copied by who does not see them.
    assert_eq!(bed.upper.xattr("low", "trusted.note"), None);
    assert!(bed.upper.xattr("up", "trusted.note").is_some());
}
