//! The command line: what can be asked for, and who does it.

pub mod exit_status;
pub mod observation;
pub mod report;
pub mod run;
pub mod table;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::error::Error;
use crate::image::size::Size;

/// Version of `exo` with that of the contract it speaks.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (ABI version 1)");
const _: () = assert!(
    exo_abi::ABI_VERSION == 1,
    "VERSION names another ABI version"
);

/// An exokernel on KVM: boots it with untrusted programs that manage their own memory and devices.
#[derive(Debug, Parser)]
#[command(name = "exo", version = VERSION, after_long_help = exit_status::TABLE)]
pub struct Command {
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Runs an image to its end
    #[command(after_long_help = RUN_HELP)]
    Run(RunOptions),
}

/// Options of `exo run`.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// Memory of the machine, as `64 MiB` or `2G`, in place of the manifest's
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<String>,
    /// Number of vCPUs, in place of the manifest's
    #[arg(long, value_name = "N")]
    pub vcpus: Option<u32>,
    /// File or block device to use as a disk; may be given several times, and numbers disks from 0 on
    ///
    /// Without it an image that needs a disk gets one of 16 MiB in memory, in which each little-endian 64-bit word
    /// holds its own offset in bytes.
    #[arg(long = "disk", value_name = "FILE[,readonly]")]
    pub disks: Vec<DiskOption>,
    /// Write a JSON report at the end: as the last line of standard output, or to FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub json: Option<PathBuf>,
    /// Write the report as a table to standard error at the end
    #[arg(long)]
    pub stats: bool,
    /// Name of an image, as `exo images` lists them, or path of a manifest
    pub image: String,
    /// Arguments for the first program of the image
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARG"
    )]
    pub arguments: Vec<String>,
}

/// A `--disk` option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskOption {
    /// The file.
    pub path: PathBuf,
    /// Refuse writes.
    pub readonly: bool,
}

impl std::str::FromStr for DiskOption {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (path, readonly) = match text.strip_suffix(",readonly") {
            Some(path) => (path, true),
            None => (text, false),
        };
        Ok(Self {
            path: path.into(),
            readonly,
        })
    }
}

const RUN_HELP: &str = "\
Examples:
  exo run hello                          boot, print a greeting, end
  exo run hash --help                    arguments after IMAGE belong to the program
  exo run --disk disk.img hash           SHA-256 of a file, read by the program's own driver
  exo run --disk a.img --disk b.img,readonly two-hashes
  exo run --stats hash                   what it cost: kernel calls, exits, interrupts
  exo run --json=report.json hash        the same for programs
  exo run --memory 1G --vcpus 4 ./my-image.toml

The exit status is that of the program; exo --help has the whole table.";

/// The size in a `--memory` option, which is checked like the manifest's.
fn memory_option(text: &str) -> Result<Size, Error> {
    text.parse::<Size>()
        .and_then(|size| crate::image::manifest::check_memory(size).map(|()| size))
        .map_err(|reason| Error::Usage(format!("--memory: {reason}; one like 64 MiB is right")))
}

/// The command line as `main` got it: does it, and gives the exit status.
pub fn execute(clock: run::StartClock) -> u8 {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => {
            let _ = error.print();
            return error.exit_code() as u8;
        }
    };
    let done = match command.task {
        Task::Run(options) => run::run(&options, clock),
    };
    done.unwrap_or_else(|error| {
        eprintln!("exo: {error}");
        exit_status::of_error(&error)
    })
}
