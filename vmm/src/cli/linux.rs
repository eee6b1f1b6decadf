//! Options of `exo run` for a Linux program, and how they reach the libOS that runs it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand, ValueEnum};
use exo_abi::address::FRAME_WINDOW;

use super::run::{self, StartClock};
use super::{Command, RunOptions, Task, terminal};
use crate::error::Error;
use crate::image::attachment::AttachedFiles;
use crate::image::root::{AttachedRoot, Root};

/// Help of `exo linux`.
pub const HELP: &str = "\
Example:
  exo linux calls | grep epoll

The table comes from the personality itself, which is booted for it.";

/// What `exo linux` can be asked.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Question {
    /// Prints the system calls that Linux programs can make
    Calls,
}

/// Boots the personality, which prints its table.
pub fn print_calls(clock: StartClock) -> Result<u8, Error> {
    let words = ["exo", "run", "--no-control", "linux", "--", "--calls"];
    match Command::parse_from(words).task {
        Task::Run(options) => run::run(&options, clock),
        _ => unreachable!("the words say `run`"),
    }
}

/// How calls of a Linux program reach the libOS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// System call instructions become procedure calls
    #[default]
    Call,
    /// The binary stays as it is; each system call traps and the kernel reflects it
    Trap,
}

/// Options that only a Linux program has.
#[derive(Debug, Default, Args)]
pub struct LinuxOptions {
    /// How calls of a Linux program reach the libOS
    #[arg(long, value_enum, default_value_t)]
    pub mode: Mode,
    /// Variable of a Linux program's environment; may be given several times
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub variables: Vec<String>,
    /// Print the calls of a Linux program to standard error, as strace does
    #[arg(long)]
    pub strace: bool,
    /// Write a core file of a Linux program that crashes; the number of the process is added to the names of further ones
    #[arg(long, value_name = "FILE")]
    pub core: Option<PathBuf>,
    /// Root file system: a directory, a tar archive or an ext4 image; PROGRAM is a path in it
    ///
    /// Nothing is copied, and nothing there is changed: what the program writes stays in the memory of its machine. Files must not
    /// become shorter meanwhile. Without it there are /dev and an empty /tmp.
    #[arg(long, value_name = "DIR|FILE.tar|IMAGE")]
    pub root: Option<PathBuf>,
    /// Working directory of a Linux program, a path in its root file system
    #[arg(long, value_name = "PATH")]
    pub workdir: Option<String>,
    /// User that a Linux program runs as, and group if it is another number; without it the superuser
    #[arg(long, value_name = "UID[:GID]")]
    pub user: Option<User>,
}

/// A `--user` option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    user: u32,
    group: u32,
}

impl FromStr for User {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "numbers are wanted, as 1000 or 1000:100";
        let (user, group) = text.split_once(':').unwrap_or((text, text));
        let number = |text: &str| text.parse().ok().filter(|&number| number != u32::MAX);
        match (number(user), number(group)) {
            (Some(user), Some(group)) => Ok(Self { user, group }),
            _ => Err(WRONG),
        }
    }
}

/// Largest program that is attached.
const PROGRAM_BYTES_MAX: u64 = 1 << 30;

impl LinuxOptions {
    /// Whether any was given: then the image must be a Linux program.
    fn are_given(&self) -> bool {
        self.mode != Mode::Call
            || !self.variables.is_empty()
            || self.strace
            || self.workdir.is_some()
            || self.user.is_some()
            || self.core.is_some()
    }
}

/// Where a program comes from.
#[derive(Debug)]
enum Source<'a> {
    /// A file of the host, and its size.
    Host(File, u64),
    /// A path in this root file system.
    Root(Root<'a>),
}

/// A Linux program that `exo run` names.
#[derive(Debug)]
pub struct LinuxProgram<'a> {
    options: &'a RunOptions,
    source: Source<'a>,
}

impl<'a> LinuxProgram<'a> {
    /// The program; `None` where an image is named.
    pub fn find(options: &'a RunOptions) -> Result<Option<Self>, Error> {
        if let Some(path) = &options.linux.root {
            let source = Source::Root(Root::open(path)?);
            return Ok(Some(Self { options, source }));
        }
        let found = match options.image.contains('/') {
            true => executable(Path::new(&options.image))?,
            false => None,
        };
        match found {
            Some((file, bytes)) => Ok(Some(Self {
                options,
                source: Source::Host(file, bytes),
            })),
            None if options.linux.are_given() => Err(Error::Usage(format!(
                "--mode, --env, --strace, --core, --workdir and --user are for Linux programs, and {} is none; leave them out, or name an ELF file with a / in its path",
                options.image
            ))),
            None => Ok(None),
        }
    }

    /// Where the host has its file, if it is a file there.
    pub fn path(&self) -> Option<PathBuf> {
        let name = &self.options.image;
        match &self.source {
            Source::Host(..) => Some(name.into()),
            Source::Root(Root::Directory(root)) => Some(root.join(name.strip_prefix('/')?)),
            Source::Root(_) => None,
        }
    }

    /// Attaches files, and gives the arguments of the libOS: options, then the program's own name and arguments.
    pub fn attach(self, files: &mut AttachedFiles) -> Result<Vec<String>, Error> {
        let linux = &self.options.linux;
        let mut all = match self.source {
            Source::Host(file, bytes) => {
                let offset = files.add_file(Arc::new(file), bytes);
                vec![format!("--program={:#x},{bytes}", window(files, offset))]
            }
            Source::Root(root) => {
                let attached = root.attach(files)?;
                let base = format!("--files={:#x}", window(files, 0));
                let root = match attached {
                    AttachedRoot::Index(offset, bytes) => {
                        format!("--index={:#x},{bytes}", window(files, offset))
                    }
                    AttachedRoot::Image(offset, bytes) => {
                        format!("--image={:#x},{bytes}", window(files, offset))
                    }
                };
                vec![base, root]
            }
        };
        all.push(match linux.mode {
            Mode::Call => "--mode=call".to_owned(),
            Mode::Trap => "--mode=trap".to_owned(),
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        all.push(format!("--now={}", now.unwrap_or_default().as_nanos()));
        let variables = linux.variables.iter();
        all.extend(variables.map(|variable| format!("--env={variable}")));
        all.extend(linux.workdir.iter().map(|path| format!("--workdir={path}")));
        all.extend(
            linux
                .user
                .map(|user| format!("--user={},{}", user.user, user.group)),
        );
        all.extend(linux.strace.then(|| "--strace".to_owned()));
        all.extend(self.options.stats.then(|| "--stats".to_owned()));
        // What is told of our streams, the program may ask of its own.
        all.extend(terminal::is_there().then(|| "--terminal".to_owned()));
        all.extend(terminal::streams_are_one().then(|| "--one-output".to_owned()));
        all.extend(["--".to_owned(), self.options.image.clone()]);
        all.extend_from_slice(&self.options.arguments);
        Ok(all)
    }
}

/// Where the guest sees what lies at an offset of the attached blocks.
fn window(files: &AttachedFiles, offset: u64) -> u64 {
    FRAME_WINDOW + files.start() + offset
}

/// The executable at `path` and its size; `None` where the file is no ELF file, or there is none.
fn executable(path: &Path) -> Result<Option<(File, u64)>, Error> {
    let Ok(mut file) = File::open(path) else {
        return Ok(None);
    };
    let mut magic = [0; 4];
    if file.read_exact(&mut magic).is_err() || magic != *b"\x7fELF" {
        return Ok(None);
    }
    let failed = |error| Error::file("program", path, &error, "name another");
    let bytes = file.metadata().map_err(failed)?.len();
    if bytes > PROGRAM_BYTES_MAX {
        return Err(Error::BadInput(format!(
            "program {} has {bytes} bytes, more than the {PROGRAM_BYTES_MAX} that fit; strip it",
            path.display()
        )));
    }
    Ok(Some((file, bytes)))
}
