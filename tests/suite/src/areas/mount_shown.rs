// SPDX-License-Identifier: GPL-2.0

//! What a mount shows of its options can be given to mount it again.

use crate::harness::bed::Bed;
use crate::support::dir::Dir;
use crate::support::must::must;
use crate::support::newmount::Context;
use crate::support::shown;

tests! {
    TWICE:
        odd_names_by_mount,
        odd_names_by_fsconfig,
        odd_names_one_by_one,
        odd_names_by_descriptor,
        odd_names_by_descriptor_for_mount,
        commas_by_fsconfig_for_mount,
        every_feature;
    ONCE: statmount_tells_the_same, many_layers_by_statmount;
}

/// Names with each character that has a meaning somewhere.
const NAMES: [&str; 8] = [
    "a:b", "c,d", "e\\f", "g h", "i\nj", "k\\,l", "m=n#o", "p\tq\\",
];

struct Odd {
    lower: Vec<Dir>,
    upper: Dir,
    work: Dir,
}

#[track_caller]
fn odd(bed: &Bed) -> Odd {
    let lower: Vec<_> = NAMES
        .iter()
        .map(|name| {
            let dir = bed.lower.sub(name);
            dir.file(&format!("in {name:?}").replace('/', "_"), "");
            dir
        })
        .collect();
    let base = bed.aside("base");
    Odd {
        lower,
        upper: base.sub("up, \\: \n\t\\"),
        work: base.sub("wo:rk,\\"),
    }
}

/// As options of mount(2) want it.
fn escape(dir: &Dir) -> String {
    let mut escaped = String::new();
    for character in dir.to_string().chars() {
        if ":,\\".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

impl Odd {
    fn options(&self) -> [String; 3] {
        let lower: Vec<_> = self.lower.iter().map(escape).collect();
        [
            format!("lowerdir={}", lower.join(":")),
            format!("upperdir={}", escape(&self.upper)),
            format!("workdir={}", escape(&self.work)),
        ]
    }

    #[track_caller]
    fn check(&self, m: &Dir) {
        assert_eq!(m.names("").len(), NAMES.len());
        m.file("new", "");
        assert!(self.upper.exists("new"));
        m.unlink("new");
    }
}

fn odd_names_by_mount(bed: &Bed) {
    let odd = odd(bed);
    let m = must("mount", bed.try_mount(&odd.options().join(",")));
    odd.check(&m);
    let shown = shown::list(&m);
    assert_eq!(shown[..3], odd.options());
    bed.umount();
    let m = must("mount again", bed.try_mount(&shown.join(",")));
    odd.check(&m);
    assert_eq!(shown::list(&m), shown);
}

/// Mounts what was shown by `fsconfig`, as mount(8) does.
#[track_caller]
fn feed_back(bed: &Bed, shown: &[String]) -> Dir {
    bed.umount();
    let context = Context::open(bed);
    let result = context.options(shown.iter().map(String::as_str));
    assert_eq!(result, Ok(()), "{shown:?}: {:?}", context.log());
    let m = must("mount again", context.mount(&bed.mnt));
    assert_eq!(shown::list(&m), shown);
    m
}

fn odd_names_by_fsconfig(bed: &Bed) {
    let mut odd = odd(bed);
    // A value of fsconfig(2) is no longer than 255 bytes.
    odd.lower.truncate(2);
    let context = Context::open(bed);
    must(
        "options",
        context.options(odd.options().iter().map(String::as_str)),
    );
    let m = must("mount", context.mount(&bed.mnt));
    assert_eq!(m.names("").len(), 2);
    let shown = shown::list(&m);
    let m = feed_back(bed, &shown);
    assert_eq!(m.names("").len(), 2);
}

fn odd_names_one_by_one(bed: &Bed) {
    let odd = odd(bed);
    let context = Context::open(bed);
    for lower in &odd.lower {
        must("lowerdir+", context.string("lowerdir+", &lower.to_string()));
    }
    must(
        "options",
        context.options(odd.options()[1..].iter().map(String::as_str)),
    );
    let m = must("mount", context.mount(&bed.mnt));
    odd.check(&m);
    let shown = shown::list(&m);
    odd.check(&feed_back(bed, &shown));
}

#[track_caller]
fn by_descriptor(bed: &Bed, odd: &Odd) -> Dir {
    let context = Context::open(bed);
    for lower in &odd.lower {
        must("lowerdir+", context.fd("lowerdir+", lower.open_read("")));
    }
    must("upperdir", context.fd("upperdir", odd.upper.open_read("")));
    must("workdir", context.fd("workdir", odd.work.open_read("")));
    must("mount", context.mount(&bed.mnt))
}

fn odd_names_by_descriptor(bed: &Bed) {
    let odd = odd(bed);
    let m = by_descriptor(bed, &odd);
    odd.check(&m);
    let shown = shown::list(&m);
    odd.check(&feed_back(bed, &shown));
}

fn odd_names_by_descriptor_for_mount(bed: &Bed) {
    let odd = odd(bed);
    let m = by_descriptor(bed, &odd);
    let upper: Vec<_> = shown::list(&m)
        .into_iter()
        .filter(|option| !option.starts_with("lowerdir+"))
        .collect();
    bed.umount();
    let options = format!("{},{}", odd.options()[0], upper.join(","));
    odd.check(&must("mount again", bed.try_mount(&options)));
}

/// fsconfig(2) takes commas as they are, mount(2) does not.
fn commas_by_fsconfig_for_mount(bed: &Bed) {
    let base = bed.aside("a,b");
    let dirs = ["l", "u,", "w"].map(|name| base.sub(name));
    dirs[0].file("low", "content");
    let context = Context::open(bed);
    for (key, dir) in ["lowerdir", "upperdir", "workdir"].iter().zip(&dirs) {
        must(key, context.string(key, &dir.to_string()));
    }
    let m = must("mount", context.mount(&bed.mnt));
    let shown = shown::list(&m);
    let options = shown.join(",");
    let data = must("options", std::ffi::CString::new(options.as_str()));
    let flags = rustix::mount::MountFlags::RDONLY;
    must(
        "remount read-only",
        rustix::mount::mount_remount(m.path(), flags, data.as_c_str()),
    );
    bed.umount();
    let m = must("mount again", bed.try_mount(&options));
    m.append("low", b"!");
    assert_eq!(dirs[1].text("low"), "content!");
    feed_back(bed, &shown);
}

fn every_feature(bed: &Bed) {
    bed.below(1);
    for options in [
        "redirect_dir=on,index=on,uuid=on",
        "redirect_dir=nofollow,nfs_export=on",
        "metacopy=on,xino=on,fsync=strict",
        "default_permissions,uuid=null,xino=off",
        "redirect_dir=on,metacopy=on,verity=on",
    ] {
        let base = bed.aside(&format!("for {options}").replace(',', "+"));
        let (upper, work) = (base.sub("u"), base.sub("w"));
        let data = format!(
            "lowerdir={},upperdir={},workdir={},{options}",
            bed.lowerdir(),
            upper,
            work
        );
        let m = must(options, bed.try_mount(&data));
        let shown = shown::list(&m);
        feed_back(bed, &shown);
        bed.umount();
    }
}

fn statmount_tells_the_same(bed: &Bed) {
    let odd = odd(bed);
    let m = must("mount", bed.try_mount(&odd.options().join(",")));
    let (text, list) = shown::by_statmount(&m);
    assert_eq!(list, shown::list(&m));
    assert_eq!(text, shown::raw(&m));
}

fn many_layers_by_statmount(bed: &Bed) {
    let context = Context::open(bed);
    for number in 0..400 {
        let layer = bed.lower.sub(&format!("layer-{number}"));
        must("lowerdir+", context.string("lowerdir+", &layer.to_string()));
    }
    let m = must("mount", context.mount(&bed.mnt));
    let (_, list) = shown::by_statmount(&m);
    assert_eq!(list, shown::list(&m));
    assert_eq!(
        list.iter()
            .filter(|option| option.starts_with("lowerdir+="))
            .count(),
        400
    );
}
