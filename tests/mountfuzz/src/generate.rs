// SPDX-License-Identifier: GPL-2.0

//! Random programs. Half of what they say makes sense, so that the other half is seen
//! in all places.

use crate::rng::Rng;
use crate::stage::{Stage, POINTS};
use crate::step::{Step, Value};

const KEYS: &[&str] = &[
    "lowerdir",
    "lowerdir+",
    "datadir+",
    "upperdir",
    "workdir",
    "default_permissions",
    "redirect_dir",
    "rename_dir",
    "index",
    "uuid",
    "nfs_export",
    "userxattr",
    "xino",
    "metacopy",
    "verity",
    "fsync",
    "volatile",
    "override_creds",
    "nooverride_creds",
];

/// What is not the filesystem's. `mand` and `dirsync` are left out: the VFS warns of the one as of a
/// fault, and refuses to change the other without a word.
const OTHER_KEYS: &[&str] = &[
    "source",
    "ro",
    "rw",
    "sync",
    "lazytime",
    "nonsense",
    "lowerdir++",
    "LOWERDIR",
    "index ",
    "",
    "=",
    "no",
    "noindex",
    "context",
    "smackfsdef",
    "check_copy_up",
];

const WORDS: &[&str] = &[
    "on", "off", "auto", "null", "follow", "nofollow", "require", "strict", "volatile", "copy",
    "exdev", "maybe", "1", "0", "Y", "", "ON", "on off", "\u{fc}",
];

/// The program that a generator's seed stands for.
pub fn program(rng: &mut Rng, stage: &Stage) -> Vec<Step> {
    let mut steps = Vec::new();
    if rng.percent(50) {
        steps.push(Step::Clean);
    }
    for _ in 0..1 + rng.below(4) {
        match rng.below(10) {
            0..=2 => steps.push(Step::Mount {
                at: rng.below(POINTS),
                flags: flags(rng),
                options: options(rng, stage),
            }),
            3 => {
                let at = rng.below(POINTS);
                steps.push(sensible(rng, stage, at));
                steps.push(Step::Remount {
                    at,
                    flags: flags(rng),
                    options: options(rng, stage),
                });
            }
            4 => {
                let at = rng.below(POINTS);
                steps.push(sensible(rng, stage, at));
                steps.push(Step::Pick(at));
                settings(rng, stage, &mut steps);
                steps.push(Step::Reconfigure);
            }
            _ => {
                steps.push(Step::Open);
                if rng.percent(60) {
                    let (lower, upper, work) = layers(rng, stage);
                    for (key, path) in
                        [("lowerdir+", lower), ("upperdir", upper), ("workdir", work)]
                    {
                        let value = directory(rng, path);
                        steps.push(Step::Set(key.into(), value));
                    }
                }
                settings(rng, stage, &mut steps);
                if rng.percent(5) {
                    steps.push(Step::Reconfigure);
                }
                steps.push(Step::Create);
                if rng.percent(10) {
                    settings(rng, stage, &mut steps);
                }
                steps.push(Step::Attach(rng.below(POINTS)));
                if rng.percent(20) {
                    settings(rng, stage, &mut steps);
                    steps.push(Step::Reconfigure);
                }
            }
        }
        if rng.percent(60) {
            steps.push(Step::Use(rng.below(POINTS)));
        }
        if rng.percent(30) {
            steps.push(Step::Unmount(rng.below(POINTS)));
        }
    }
    steps
}

/// Layers that fit each other, mostly.
fn layers(rng: &mut Rng, stage: &Stage) -> (String, String, String) {
    // The first paths of a stage are its directories.
    let path = |number: usize| stage.paths[number].clone();
    let lower = path(rng.below(5));
    match rng.below(3) {
        0 => (lower, path(7), path(9)),
        1 => (lower, path(8), path(10)),
        _ => (lower, path(21), path(22)),
    }
}

/// A mount that works, mostly.
fn sensible(rng: &mut Rng, stage: &Stage, at: usize) -> Step {
    let (lower, upper, work) = layers(rng, stage);
    let mut options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    for _ in 0..rng.below(3) {
        options = format!(
            "{options},{}={}",
            rng.pick(&KEYS[5..]),
            rng.pick(&WORDS[..4])
        );
    }
    Step::Mount {
        at,
        flags: 0,
        options: options.into_bytes(),
    }
}

fn flags(rng: &mut Rng) -> u32 {
    match rng.below(6) {
        0 => 1,
        1 => rng.next() as u32 & 0x0280_1fff & !(0x20 | 0x40),
        _ => 0,
    }
}

/// A string for `mount(2)`.
fn options(rng: &mut Rng, stage: &Stage) -> Vec<u8> {
    let mut text = Vec::new();
    if rng.percent(60) {
        let (lower, upper, work) = layers(rng, stage);
        text.extend_from_slice(format!("lowerdir={lower}").as_bytes());
        if rng.percent(80) {
            text.extend_from_slice(format!(",upperdir={upper},workdir={work}").as_bytes());
        }
    }
    for _ in 0..rng.below(6) {
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(&key(rng));
        if rng.percent(85) {
            text.push(b'=');
            let mut value = text_value(rng, stage);
            if rng.percent(50) {
                value = escape(&value);
            }
            text.extend_from_slice(&value);
        }
    }
    if rng.percent(20) && !text.is_empty() {
        mutate(rng, &mut text);
    }
    // A NUL ends it.
    text.retain(|&byte| byte != 0);
    text.truncate(4094);
    text
}

fn escape(value: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::new();
    for &byte in value {
        if b":,\\".contains(&byte) {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    escaped
}

/// Changes some bytes.
fn mutate(rng: &mut Rng, text: &mut Vec<u8>) {
    for _ in 0..1 + rng.below(4) {
        let at = rng.below(text.len());
        match rng.below(4) {
            0 => text[at] = rng.next() as u8,
            1 => text.insert(at, rng.pick(b":,\\=+ \n\xff")),
            2 if text.len() > 1 => {
                text.remove(at);
            }
            _ => {
                let piece = text[at..].to_vec();
                text.extend_from_slice(&piece);
            }
        }
    }
}

fn key(rng: &mut Rng) -> Vec<u8> {
    let mut key = match rng.percent(85) {
        true => rng.pick(KEYS),
        false => rng.pick(OTHER_KEYS),
    }
    .as_bytes()
    .to_vec();
    if rng.percent(3) && !key.is_empty() {
        mutate(rng, &mut key);
    }
    // A NUL would end it.
    key.retain(|&byte| byte != 0);
    if rng.percent(1) {
        key = vec![b'k'; 200 + rng.below(100)];
    }
    key
}

fn path(rng: &mut Rng, stage: &Stage) -> String {
    rng.pick(&stage.paths)
}

fn text_value(rng: &mut Rng, stage: &Stage) -> Vec<u8> {
    match rng.below(10) {
        0..=3 => path(rng, stage).into_bytes(),
        4 | 5 => {
            let count = 1 + rng.below(5);
            let mut list = Vec::new();
            for _ in 0..count {
                list.extend_from_slice(&escape(path(rng, stage).as_bytes()));
                list.extend_from_slice(rng.pick(&[":", ":", ":", "::", ":::", ""]).as_bytes());
            }
            if rng.percent(70) {
                while list.last() == Some(&b':') {
                    list.pop();
                }
            }
            list
        }
        6 => (0..rng.below(40))
            .map(|_| 1 + (rng.next() % 255) as u8)
            .collect(),
        7 => vec![rng.pick(b"/:\\a."); rng.below(300)],
        _ => rng.pick(WORDS).as_bytes().to_vec(),
    }
}

/// A directory, in one of the ways to name it.
fn directory(rng: &mut Rng, path: String) -> Value {
    match rng.below(5) {
        0 => Value::File(path, true),
        1 => Value::File(path, false),
        _ => Value::Text(path.into_bytes()),
    }
}

fn settings(rng: &mut Rng, stage: &Stage, steps: &mut Vec<Step>) {
    for _ in 0..rng.below(6) {
        let key = key(rng);
        let value = match rng.below(12) {
            0 => Value::Flag,
            1 => {
                let path = path(rng, stage);
                directory(rng, path)
            }
            2 => Value::Detached(path(rng, stage)),
            3 => Value::Binary(rng.pick(&[0, 1, 16, 4096, 1 << 20, (1 << 20) + 1])),
            4 => Value::Path(path(rng, stage)),
            5 => Value::Nothing,
            _ => {
                let mut text = text_value(rng, stage);
                text.retain(|&byte| byte != 0);
                Value::Text(text)
            }
        };
        steps.push(Step::Set(key, value));
    }
}
