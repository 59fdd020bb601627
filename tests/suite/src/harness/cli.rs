// SPDX-License-Identifier: GPL-2.0

//! The command line.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// What `--help` prints.
pub const HELP: &str = "\
usage: rovl-suite --fs TYPE [option]..
       rovl-suite --make-image-tree DIR

  --fs TYPE            filesystem type under test: rovl, or overlay as the oracle
  --other TYPE         second type that must understand TYPE's layers, and TYPE its
  --matrix NAME[,..]   only these layer filesystems (lower/upper, such as ext4/tmpfs)
  --filter SUBSTR      only tests whose name contains SUBSTR
  --quick              each test on fewer layer filesystems
  --every N            only every Nth of the tests that would run
  --first K            beginning with the Kth of them: 1 (default) to N; all K make all tests
  --intended FILE      tests listed there must fail: those where TYPE differs
  --timeout SECONDS    time limit of one test (default 60)
  --list               print the names of the tests and stop
  --make-image-tree DIR  fill DIR with the tree that read-only images are made of

ROVL_SCRATCH (default /mnt/scratch) holds the layer filesystems, each mounted on a
directory that has its name. ROVL_OPTIONS are mount options to add to those of most mounts,
to see that tests that know nothing of them pass.
";

/// What the user asked for.
pub enum Command {
    /// Run tests, or list them.
    Run(Options),
    /// Fill a directory with the tree of the read-only images.
    MakeImageTree(PathBuf),
    /// Print the help.
    Help,
    /// Print a greeting: what tests of `execve` run.
    Probe,
    /// Print a greeting and read the input to its end: a program that keeps running.
    Wait,
}

/// Which tests to run, and on what.
pub struct Options {
    /// Filesystem type under test.
    pub fs: String,
    /// Filesystem type that shares layers with the one under test.
    pub other: Option<String>,
    /// Names of layer combinations; empty means all.
    pub matrix: Vec<String>,
    /// Part of a test's name.
    pub filter: Option<String>,
    /// Fewer layer combinations a test.
    pub quick: bool,
    /// Only every one of this many tests.
    pub every: NonZeroUsize,
    /// The first of these, counted from 1.
    pub first: NonZeroUsize,
    /// Only print the names.
    pub list: bool,
    /// List of the tests that must fail.
    pub intended: Option<PathBuf>,
    /// Time limit of one test.
    pub timeout: Duration,
    /// Where the layer filesystems are.
    pub scratch: PathBuf,
}

/// Parses the command line.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    use lexopt::prelude::*;

    let mut parser = lexopt::Parser::from_iter(args);
    let mut fs = None;
    let mut options = Options {
        fs: String::new(),
        other: None,
        matrix: Vec::new(),
        filter: None,
        quick: false,
        every: NonZeroUsize::MIN,
        first: NonZeroUsize::MIN,
        list: false,
        intended: None,
        timeout: Duration::from_secs(60),
        scratch: std::env::var_os("ROVL_SCRATCH")
            .map_or_else(|| PathBuf::from("/mnt/scratch"), PathBuf::from),
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("fs") => fs = Some(parser.value()?.string()?),
            Long("other") => options.other = Some(parser.value()?.string()?),
            Long("matrix") => {
                let names = parser.value()?.string()?;
                options.matrix.extend(names.split(',').map(String::from));
            }
            Long("filter") => options.filter = Some(parser.value()?.string()?),
            Long("quick") => options.quick = true,
            Long("every") => options.every = parser.value()?.parse()?,
            Long("first") => options.first = parser.value()?.parse()?,
            Long("list") => options.list = true,
            Long("intended") => options.intended = Some(parser.value()?.into()),
            Long("timeout") => {
                options.timeout = Duration::from_secs(parser.value()?.parse()?);
            }
            Long("make-image-tree") => {
                return Ok(Command::MakeImageTree(parser.value()?.into()));
            }
            Long("probe") => return Ok(Command::Probe),
            Long("wait") => return Ok(Command::Wait),
            Long("help") | Short('h') => return Ok(Command::Help),
            _ => return Err(arg.unexpected()),
        }
    }
    if options.first > options.every {
        return Err("--first K is 1 to the N of --every".into());
    }
    options.fs = fs.ok_or("--fs TYPE is missing; see --help")?;
    Ok(Command::Run(options))
}
