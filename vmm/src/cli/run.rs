//! `exo run`: boots an image, and reports how it went.

use std::io::Write;
use std::time::{Instant, SystemTime};

use exo_abi::port::ExitCode;

use super::{RunOptions, exit_status, memory_option};
use crate::error::Error;
use crate::image::bundle::{Bundle, Choices};
use crate::image::executable::Executable;
use crate::image::home::Home;
use crate::image::manifest::{Manifest, check_vcpus};
use crate::machine::ending::End;
use crate::machine::{Attachments, Machine, Parts};

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
pub fn run(options: &RunOptions, _clock: StartClock) -> Result<u8, Error> {
    let home = Home::find();
    let manifest_path = home.manifest(&options.image)?;
    let manifest = Manifest::read(&manifest_path)?;
    let memory = options
        .memory
        .as_deref()
        .map_or(Ok(manifest.memory), memory_option)?;
    let vcpus = options.vcpus.unwrap_or(manifest.vcpus);
    check_vcpus(vcpus)
        .map_err(|reason| Error::Usage(format!("--vcpus: {reason}; give another number")))?;
    let kernel = Executable::read("kernel", &home.kernel()?)?;
    let bundle = Bundle::plan(
        &manifest,
        &Choices {
            origin: &manifest_path.display().to_string(),
            programs: &home.programs()?,
            arguments: &options.arguments,
            vcpus,
            functions: false,
        },
    )?;
    let mut machine = Machine::new(
        Parts {
            kernel: &kernel,
            bundle,
            memory,
            vcpus,
            command_line: &options.image,
            output: Box::new(std::io::stdout()),
        },
        |_, _| Ok(Attachments::default()),
    )?;
    let outcome = machine.run()?;
    let _ = std::io::stdout().flush();
    let status = match &outcome.end {
        End::Asked(ExitCode::Orderly) => 0,
        End::Asked(_) | End::AskedStrangely(_) => exit_status::KERNEL_PANIC,
        End::Failed { what, registers } => {
            eprintln!("exo: {what}\n{registers}");
            exit_status::MACHINE_FAILURE
        }
    };
    Ok(status)
}
