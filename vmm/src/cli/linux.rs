//! Options of `exo run` for a Linux program, and how they reach the libOS that runs it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::run::{self, StartClock};
use super::{Command, Task, terminal};
use crate::error::Error;

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
}

impl LinuxOptions {
    /// Whether any was given: then the image must be a Linux program.
    pub fn are_given(&self) -> bool {
        self.mode != Mode::Call || !self.variables.is_empty() || self.strace || self.core.is_some()
    }

    /// The arguments of the libOS: options, then the program's own name and arguments.
    pub fn arguments(&self, program: &str, arguments: &[String], statistics: bool) -> Vec<String> {
        // What is told of our streams, the program may ask of its own.
        let streams = [
            (terminal::is_there(), "--terminal"),
            (terminal::streams_are_one(), "--one-output"),
        ];
        let mode = match self.mode {
            Mode::Call => "--mode=call",
            Mode::Trap => "--mode=trap",
        };
        let mut all = vec![mode.to_owned()];
        let variables = self.variables.iter();
        all.extend(variables.map(|variable| format!("--env={variable}")));
        all.extend(self.strace.then(|| "--strace".to_owned()));
        all.extend(statistics.then(|| "--stats".to_owned()));
        for (holds, option) in streams {
            all.extend(holds.then(|| option.to_owned()));
        }
        all.extend(["--".to_owned(), program.to_owned()]);
        all.extend_from_slice(arguments);
        all
    }
}
