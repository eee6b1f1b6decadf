//! The command line: what can be asked for, and who does it.

pub mod bundle;
pub mod ctl;
pub mod doctor;
pub mod exit_status;
pub mod images;
pub mod linux;
pub mod observation;
pub mod report;
pub mod run;
pub mod table;
mod terminal;
pub mod top;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::error::Error;
use crate::image::size::Size;
use crate::image::slice::SliceLength;

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
    #[command(after_long_help = RUN_HELP, override_usage = "exo run [OPTIONS] IMAGE [ARG]...")]
    Run(Box<RunOptions>),
    /// Lists the images that can be run
    #[command(
        after_long_help = "Example:\n  exo images\n\nAn image is a file images/NAME.toml in the project's folder (EXO_HOME)."
    )]
    Images,
    /// Says what this host offers and lacks, and how to mend it
    #[command(
        after_long_help = "Example:\n  exo doctor && exo run hello\n\nThe exit status is 0 if images can run here."
    )]
    Doctor,
    /// Writes the boot module of an image to a file, for another VMM
    #[command(after_long_help = BUNDLE_HELP)]
    Bundle(BundleOptions),
    /// Shows the machines that run, and asks one of them to change
    #[command(after_long_help = ctl::HELP)]
    Ctl(ctl::CtlOptions),
    /// Shows what a running machine does: environments, functions and queues, live
    #[command(after_long_help = top::HELP)]
    Top(top::TopOptions),
    /// Tells of Linux programs
    #[command(after_long_help = linux::HELP)]
    Linux {
        /// What to tell
        #[command(subcommand)]
        what: linux::Question,
    },
    /// Prints a completion script for a shell
    #[command(
        after_long_help = "Example:\n  exo completions bash > ~/.local/share/bash-completion/completions/exo"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Prints the manual page
    #[command(after_long_help = "Example:\n  exo man > exo.1 && man ./exo.1")]
    Man,
}

/// Options of `exo bundle`.
#[derive(Debug, Args)]
pub struct BundleOptions {
    /// Name of an image, or path of a manifest
    pub image: String,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Arguments for the first program of the image, behind `--`
    #[arg(last = true, value_name = "ARG")]
    pub arguments: Vec<String>,
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
    /// Length of a time slice, from 100 us to 500 ms, or none, in place of the manifest's
    #[arg(long, value_name = "TIME")]
    pub slice: Option<SliceLength>,
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
    /// Name of the machine for `exo ctl` and `exo top`; without it that of the image and the process
    #[arg(long, value_name = "NAME", conflicts_with = "no_control")]
    pub name: Option<String>,
    /// Make no control socket: `exo ctl` and `exo top` do not find the machine
    #[arg(long)]
    pub no_control: bool,
    /// Wait for gdb before the first instruction: on PORT, HOST:PORT, or a socket with a / in its path
    #[arg(long, value_name = "ADDRESS")]
    pub gdb: Option<String>,
    /// Options of Linux programs.
    #[command(flatten, next_help_heading = "Linux programs")]
    pub linux: linux::LinuxOptions,
    /// Name of an image, as `exo images` lists them, or path of a manifest or of a static Linux program
    pub image: String,
    /// Arguments for the first program: all from the first on that is no option of exo's, or that follows `--`
    #[arg(
        value_name = "ARG",
        trailing_var_arg = true,
        allow_hyphen_values = true
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
  exo run ./busybox sh -c 'echo $((6*7))'  a static Linux program, unmodified
  exo run hash --interrupts              what is no option of exo's belongs to the program
  exo run hello -- --stats               and so does everything after --
  exo run --disk disk.img hash           SHA-256 of a file, read by the program's own driver
  exo run --disk a.img --disk b.img,readonly two-hashes
  exo run --stats hash                   what it cost: kernel calls, exits, interrupts
  exo run --json=report.json hash        the same for programs
  exo run --memory 1G --vcpus 4 ./my-image.toml

The JSON document has these keys; a value that nobody knows is null:
  status end failure    exit status of exo; orderly, kernel-panic, bad-boot-information,
                        unknown-exit-code or machine-failure; what the machine failed of
  environments[]        name, state, exit_status, abort {reason vector error_code instruction
                        address}, counters {kernel_entries by call, upcalls, interrupts,
                        doorbells, vm_exits, bytes, requests, ticks, turns, forced_switches,
                        penalties}, held and quotas
  functions[]           name, queues[] {doorbells interrupts requests bytes stop_reason}
  counters              vm_exits of all vCPUs, kvm: the counters of KVM itself
  timings               microseconds since origin: main, first_run, first_instruction (of a
                        libOS), end, total; origin is main, or the moment that a script put
                        into EXO_START_NS (date +%s%N) before it started exo
  memory host versions  KiB; kind of KVM, Linux, vCPUs, clock; exo and ABI

The exit status is that of the program; exo --help has the whole table.

Environment: EXO_HOME names the project's folder, EXO_GUEST the one with kernel and programs
in place of target/guest there.";

const BUNDLE_HELP: &str = "\
Examples:
  exo bundle hello -o hello.bundle
  exo bundle hello -o hello.bundle -- one two
  qemu-system-x86_64 -M q35 -m 64 -nographic -no-reboot -kernel target/guest/exo-kernel \\
      -initrd hello.bundle -device isa-debug-exit,iobase=0xf4,iosize=4

The bundle has no device functions: those are this VMM's.";

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
        Task::Images => images::list(),
        Task::Doctor => Ok(doctor::examine()),
        Task::Bundle(options) => bundle::write(&options),
        Task::Ctl(options) => ctl::execute(&options),
        Task::Top(options) => top::show(&options),
        Task::Linux {
            what: linux::Question::Calls,
        } => linux::print_calls(clock),
        Task::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Command::command(), "exo", &mut script);
            print(&String::from_utf8_lossy(&script));
            Ok(0)
        }
        Task::Man => manual().map(|page| {
            print(&page);
            0
        }),
    };
    done.unwrap_or_else(|error| {
        eprintln!("exo: {error}");
        exit_status::of_error(&error)
    })
}

/// Writes to standard output. A reader that has gone away does not want the rest.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// The manual page of `exo`, with one section for each subcommand behind it.
fn manual() -> Result<String, Error> {
    let failed = |error| Error::system("writing the manual page", error);
    let mut page = Vec::new();
    let mut command = Command::command();
    command.build();
    clap_mangen::Man::new(command.clone())
        .render(&mut page)
        .map_err(failed)?;
    for subcommand in command
        .get_subcommands()
        .filter(|one| one.get_name() != "help")
    {
        let title = format!(".SH \"EXO {}\"\n", subcommand.get_name().to_uppercase());
        page.extend_from_slice(title.as_bytes());
        let manual = clap_mangen::Man::new(subcommand.clone());
        manual
            .render_description_section(&mut page)
            .map_err(failed)?;
        manual.render_synopsis_section(&mut page).map_err(failed)?;
        manual.render_options_section(&mut page).map_err(failed)?;
        manual.render_extra_section(&mut page).map_err(failed)?;
    }
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_well_formed() {
        Command::command().debug_assert();
    }

    fn run_options(words: &[&str]) -> RunOptions {
        match Command::parse_from(["exo", "run"].iter().chain(words)).task {
            Task::Run(options) => *options,
            _ => panic!("another task"),
        }
    }

    #[test]
    fn options_may_follow_the_image_up_to_its_first_argument() {
        let options = run_options(&["--vcpus", "2", "hash", "--disk", "a.img", "-x", "--json"]);
        assert_eq!(options.vcpus, Some(2));
        assert_eq!(options.disks.len(), 1);
        assert_eq!(options.image, "hash");
        assert_eq!(options.arguments, ["-x", "--json"]);
        assert_eq!(options.json, None);
    }

    #[test]
    fn everything_after_two_dashes_belongs_to_the_program() {
        let options = run_options(&["hash", "--", "--disk", "a.img"]);
        assert_eq!(options.arguments, ["--disk", "a.img"]);
        assert_eq!(options.disks.len(), 0);
        let options = run_options(&["hello", "first", "--", "--stats"]);
        assert_eq!(options.arguments, ["first", "--", "--stats"]);
    }

    #[test]
    fn json_takes_its_file_behind_an_equals_sign_only() {
        for (word, file) in [("--json", "-"), ("--json=file", "file")] {
            let options = run_options(&[word, "hello"]);
            assert_eq!(options.json, Some(file.into()));
            assert_eq!(options.image, "hello");
        }
    }

    #[test]
    fn disks_may_be_readonly() {
        let disk: DiskOption = "a,b.img,readonly".parse().unwrap();
        assert_eq!(
            disk,
            DiskOption {
                path: "a,b.img".into(),
                readonly: true
            }
        );
    }

    #[test]
    fn manual_has_every_subcommand() {
        let page = manual().unwrap();
        for word in [
            "EXO RUN",
            "EXO DOCTOR",
            "EXO BUNDLE",
            "EXO CTL",
            "EXO TOP",
            "machine failed",
            "two\\-hashes",
        ] {
            assert!(page.contains(word), "{word}");
        }
    }
}
