//! `exo run`: boots an image, and reports how it went.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use exo_abi::control::CONTROL_VECTOR;
use exo_abi::environment::{AbortReason, State};
use exo_abi::port::ExitCode;
use exo_abi::upcall::Vector;
use exo_abi::virtio::DEVICE_CONSOLE;

use super::linux::LinuxProgram;
use super::observation::Run;
use super::report::Report;
use super::table::Table;
use super::terminal::{self, RawLines, Terminal};
use super::{RunOptions, exit_status, memory_option};
use crate::crash::Crashes;
use crate::debugger::Debugger;
use crate::devices::block::disk::Disk;
use crate::devices::console::WindowSize;
use crate::devices::{DeviceSpecification, Devices, FunctionSpecification};
use crate::error::Error;
use crate::image::attachment::AttachedFiles;
use crate::image::bundle::Bundle;
use crate::image::executable::Executable;
use crate::image::home::Home;
use crate::image::manifest::{Device, Manifest, check_vcpus};
use crate::image::planner::Choices;
use crate::machine::ending::End;
use crate::machine::environments::{self, Environment};
use crate::machine::host::HostKind;
use crate::machine::interrupts::Message;
use crate::machine::{Machine, Parts};
use crate::observe::folder::{check_name, default_name};
use crate::observe::server::ControlSocket;
use crate::observe::watched::Watched;

/// The interrupt by which the kernel learns that the host has a request: on vCPU 0 (Intel SDM volume 3, section 11.11.1).
const CONTROL_MESSAGE: Message = Message {
    address: 0xfee0_0000,
    data: CONTROL_VECTOR as u32,
};
/// Sectors of a disk in memory: 16 MiB.
const MEMORY_DISK_SECTORS: u64 = (16 << 20) / 512;

/// When `main` began, by two clocks.
#[derive(Clone, Copy, Debug)]
pub struct StartClock {
    /// For differences.
    pub instant: Instant,
    /// For comparing with what a script measured before.
    pub wall: SystemTime,
}

impl StartClock {
    /// Now.
    pub fn now() -> Self {
        Self {
            instant: Instant::now(),
            wall: SystemTime::now(),
        }
    }
}

/// Runs an image; gives the exit status.
pub fn run(options: &RunOptions, clock: StartClock) -> Result<u8, Error> {
    let home = Home::find();
    let program = LinuxProgram::find(options)?;
    let image = program.as_ref().map_or(options.image.as_str(), |_| "linux");
    let manifest_path = home.manifest(image)?;
    let manifest = Manifest::read(&manifest_path)?;
    let memory = options
        .memory
        .as_deref()
        .map_or(Ok(manifest.memory), memory_option)?;
    let mut files = AttachedFiles::behind(memory.0);
    let is_linux = program.is_some();
    let program_file = program.as_ref().and_then(LinuxProgram::path);
    let arguments = match program {
        Some(program) => &program.attach(&mut files)?,
        None => &options.arguments,
    };
    let shown = files.range();
    let vcpus = options.vcpus.unwrap_or(manifest.vcpus);
    check_vcpus(vcpus)
        .map_err(|reason| Error::Usage(format!("--vcpus: {reason}; give another number")))?;
    let slice = options.slice.unwrap_or(manifest.slice);
    let slice = slice.check(HostKind::detect).map_err(Error::Usage)?;
    let kernel = Executable::read("kernel", &home.kernel()?)?;
    let disks = open_disks(options, &manifest)?;
    let sectors: Vec<u64> = disks.iter().map(|disk| disk.sectors()).collect();
    let bundle = Bundle::plan(
        &manifest,
        Choices {
            origin: &manifest_path.display().to_string(),
            programs: &home.programs()?,
            arguments,
            vcpus,
            slice,
            functions: true,
            files,
            disks: &sectors,
        },
    )?;
    if let Some(name) = &options.name {
        check_name(name)?;
    }
    let size = Arc::new(WindowSize::default());
    let specifications = specify(&manifest, &disks, &size);
    let raw = is_linux && terminal::is_there();
    let debugger = options
        .gdb
        .as_deref()
        .map(|address| Debugger::listen(address, vcpus))
        .transpose()?;
    let mut made = None;
    let mut machine = Machine::new(
        Parts {
            kernel: &kernel,
            bundle,
            memory,
            vcpus,
            command_line: &options.image,
            output: port_stream(raw, std::io::stdout()),
            errors: port_stream(raw, std::io::stderr()),
            statistics: options.json.is_some() || options.stats,
            crashes: Crashes::new(program_file, options.linux.core.clone()),
            stops: debugger.as_ref().map(Debugger::stops),
        },
        |memory, router| {
            made.insert(Devices::new(specifications, &memory, &router)?)
                .attach(shown)
        },
    )?;
    let devices = made.map(Arc::new);
    let terminal = match devices.clone() {
        Some(devices) if raw => {
            let resized = move || devices.tell_change(DEVICE_CONSOLE);
            Some(Terminal::take(size, resized)?)
        }
        _ => None,
    };
    if let Some(devices) = &devices {
        let router = machine.router().clone();
        // An interrupt that KVM does not take is repeated: whoever asked looks for the answer again and again.
        let interrupt = move || drop(router.send(CONTROL_MESSAGE));
        devices.requests().connect(Box::new(interrupt));
    }
    let symbols: Vec<PathBuf> = match &debugger {
        Some(_) => symbol_files(&kernel, &home.programs()?, &manifest),
        None => Vec::new(),
    };
    let gdb = debugger
        .map(|debugger| debugger.accept(&symbols))
        .transpose()?;
    let started = machine.start()?;
    let session = gdb
        .map(|gdb| gdb.debug(&machine, &kernel.path))
        .transpose()?;
    let control = (!options.no_control).then(|| {
        let name = options.name.clone();
        let name = name.unwrap_or_else(|| default_name(&options.image));
        let watched = Watched::new(&name, &options.image, started, &machine, devices.clone());
        ControlSocket::open(name, watched)
    });
    let outcome = machine.wait(started);
    if let Some(control) = control {
        control.close();
    }
    drop(terminal);
    let environments = environments::read(machine.memory(), &machine.map.layout);
    // A Linux program's status is what a shell would report, signals included.
    let largest = match is_linux {
        true => u8::MAX,
        false => exit_status::PROGRAM_MAX,
    };
    let status = status(&outcome.end, &environments, largest);
    if let Some(session) = session {
        session.finish(status);
    }
    explain(&outcome.end, &environments);
    if options.json.is_some() || options.stats {
        let run = Run {
            image: &options.image,
            status,
            clock,
            outcome: &outcome,
            environments: &environments,
            functions: devices.as_ref().map_or(Vec::new(), |devices| {
                devices.count_doorbells();
                devices.statistics()
            }),
        };
        write_report(options, &run.report(&machine))?;
    }
    if let Err(error) = &outcome.output {
        return Err(Error::System(format!(
            "standard output: {error}; some of what the programs wrote is lost: write to where there is room"
        )));
    }
    // The operating system closes everything at once when the process ends, and faster than we can one by one.
    std::mem::forget((machine, devices));
    Ok(status)
}

/// Where a console port writes to.
fn port_stream(raw: bool, stream: impl Write + Send + 'static) -> Box<dyn Write + Send> {
    match raw {
        true => Box::new(RawLines(stream)),
        false => Box::new(stream),
    }
}

/// The exit status that the table in [`exit_status`] prescribes; `largest` is the largest that a program can have.
fn status(end: &End, environments: &[Environment], largest: u8) -> u8 {
    match end {
        End::Failed { .. } => exit_status::MACHINE_FAILURE,
        End::Asked(ExitCode::Orderly) => environments
            .iter()
            .filter(|one| one.was_used() && !one.is_made())
            .map(|one| match one.state() {
                Some(State::Exited) => u8::try_from(one.entry.exit_status)
                    .unwrap_or(u8::MAX)
                    .min(largest),
                Some(
                    State::Absent
                    | State::Runnable
                    | State::Waiting
                    | State::AwaitingReply
                    | State::Prepared
                    | State::Aborted,
                )
                | None => exit_status::ABORTED,
            })
            .find(|&status| status != 0)
            .unwrap_or(0),
        End::Asked(_) | End::AskedStrangely(_) => exit_status::KERNEL_PANIC,
    }
}

/// Tells, on standard error, of every end that a program did not choose.
fn explain(end: &End, environments: &[Environment]) {
    match end {
        End::Asked(ExitCode::Orderly) => {
            for (number, one) in (1..).zip(environments) {
                let Some(line) = complaint(one).filter(|_| one.was_used()) else {
                    continue;
                };
                let name = one.name();
                match one.is_made() {
                    false => eprintln!("exo: environment `{name}`: {line}"),
                    true => eprintln!("exo: environment {number}, made for `{name}`: {line}"),
                }
            }
        }
        End::Asked(code) => eprintln!(
            "exo: {code}: the kernel's last words are on standard output; report them as a bug"
        ),
        End::AskedStrangely(code) => {
            eprintln!(
                "exo: the kernel ended with {code}, which means nothing; rebuild it with scripts/build"
            );
        }
        End::Failed { what, registers } => eprintln!("exo: {what}\n{registers}"),
    }
}

/// What the user should know of an environment that did not end by itself.
fn complaint(environment: &Environment) -> Option<String> {
    let entry = &environment.entry;
    match environment.state() {
        Some(State::Exited) => None,
        Some(State::Aborted) if environment.abort_reason() == Some(AbortReason::OwnerEnded) => None,
        Some(State::Aborted) => Some(format!(
            "{}: {} (error code {:#x}) at {:#x}, address {:#x}; objdump -d its program to see what is there",
            environment
                .abort_reason()
                .map_or("unknown reason", AbortReason::name),
            Vector::from_number(entry.abort_vector).map_or("unknown vector", Vector::name),
            entry.abort_error_code,
            entry.abort_instruction,
            entry.abort_address,
        )),
        state => Some(format!(
            "still {} at the end; this is a fault of the kernel, report it as a bug",
            state.map_or("in an unknown state", State::name)
        )),
    }
}

/// Opens the disks that the image uses; those that were not given are in memory.
fn open_disks(options: &RunOptions, manifest: &Manifest) -> Result<Vec<Arc<Disk>>, Error> {
    let blocks = || {
        let functions = manifest.functions.iter();
        functions
            .filter(|function| function.device == Device::Block)
            .map(|function| (function.disk.unwrap_or(0) as usize, function.readonly))
    };
    let environments = manifest.environments.iter();
    let extents = environments.flat_map(|environment| &environment.extents);
    let named = extents.map(|extent| extent.disk as usize);
    let disks = blocks().map(|(disk, _)| disk).chain(named);
    let wanted = disks.map(|disk| disk + 1).max().unwrap_or(0);
    // Most likely another image was meant.
    if options.disks.len() > wanted {
        return Err(Error::Usage(format!(
            "{} --disk given, but image {} uses {wanted}; leave the rest out",
            options.disks.len(),
            &options.image
        )));
    }
    (0..wanted)
        .map(|index| match options.disks.get(index) {
            Some(given) => {
                // What nobody can write need not be writable for us.
                let written = blocks().any(|(disk, readonly)| disk == index && !readonly);
                Disk::open(&given.path, given.readonly || !written)
            }
            None => Disk::in_memory(MEMORY_DISK_SECTORS),
        })
        .map(|disk| disk.map(Arc::new))
        .collect()
}

/// The files with the symbols of kernel and programs.
fn symbol_files(kernel: &Executable, programs: &Path, manifest: &Manifest) -> Vec<PathBuf> {
    let names: BTreeSet<&str> = manifest
        .environments
        .iter()
        .map(|environment| environment.program.as_str())
        .collect();
    let programs = names.into_iter().map(|name| programs.join(name));
    std::iter::once(kernel.path.clone())
        .chain(programs)
        .collect()
}

/// What the image's functions are.
fn specify(
    manifest: &Manifest,
    disks: &[Arc<Disk>],
    size: &Arc<WindowSize>,
) -> Vec<FunctionSpecification> {
    let functions = manifest.functions.iter();
    functions
        .filter_map(|function| {
            let device = match function.device {
                Device::Console => DeviceSpecification::Console(size.clone()),
                Device::Block => DeviceSpecification::Block {
                    disk: disks.get(function.disk.unwrap_or(0) as usize)?.clone(),
                    number: function.disk.unwrap_or(0),
                    extent: function.extent.map(|extent| (extent.first, extent.sectors)),
                    read_only: function.readonly,
                    queues: function.queues,
                },
            };
            Some(FunctionSpecification {
                name: function.name.clone(),
                device,
            })
        })
        .collect()
}

/// Writes what `--json` and `--stats` ask for.
fn write_report(options: &RunOptions, report: &Report) -> Result<(), Error> {
    if options.stats {
        eprint!("{}", Table(report));
    }
    let Some(path) = &options.json else {
        return Ok(());
    };
    let mut text =
        serde_json::to_string(report).map_err(|error| Error::system("writing JSON", error))?;
    text.push('\n');
    if path.as_os_str() == "-" {
        // A reader that has gone away does not want it.
        let _ = std::io::stdout().write_all(text.as_bytes());
        return Ok(());
    }
    std::fs::write(path, text)
        .map_err(|error| Error::file("report", path, &error, "make its folder first"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(states: &[(State, u64)]) -> Vec<Environment> {
        let blank = Environment::blank();
        states
            .iter()
            .map(|&(state, exit_status)| {
                let mut one = blank.clone();
                one.entry.state = state as u32;
                one.entry.exit_status = exit_status;
                one
            })
            .collect()
    }

    #[test]
    fn the_first_status_that_is_not_zero_counts() {
        let orderly = End::Asked(ExitCode::Orderly);
        for (states, expected) in [
            (vec![(State::Exited, 0), (State::Exited, 0)], 0),
            (
                vec![(State::Exited, 0), (State::Exited, 7), (State::Aborted, 0)],
                7,
            ),
            (vec![(State::Aborted, 0), (State::Exited, 7)], 120),
            (vec![(State::Exited, 120)], 119),
            (vec![(State::Exited, 1 << 32)], 119),
        ] {
            assert_eq!(
                status(&orderly, &ended(&states), exit_status::PROGRAM_MAX),
                expected,
                "{states:?}"
            );
        }
        assert_eq!(
            status(
                &End::Asked(ExitCode::Panic),
                &ended(&[(State::Exited, 0)]),
                exit_status::PROGRAM_MAX
            ),
            121
        );
        let failed = End::Failed {
            what: String::new(),
            registers: String::new(),
        };
        assert_eq!(status(&failed, &[], exit_status::PROGRAM_MAX), 122);
    }
}
