//! Crashes of Linux programs, as their libOS tells of them: a backtrace with symbols, and a core file.

mod backtrace;
mod core;
mod record;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use kvm_ioctls::VcpuFd;

use crate::error::Error;
use crate::memory::GuestMemory;
use record::{Crash, View};

/// What becomes of crashes.
#[derive(Debug, Default)]
pub struct Crashes {
    /// The program that was given on the command line: the one whose symbols can be read here.
    pub program: Option<PathBuf>,
    /// The file for the first core; the process number is added to the names of further ones.
    pub core: Option<PathBuf>,
    written: AtomicU32,
}

impl Crashes {
    /// Symbols are read from `program`, a core is written to `core`.
    pub fn new(program: Option<PathBuf>, core: Option<PathBuf>) -> Self {
        Self {
            program,
            core,
            written: AtomicU32::new(0),
        }
    }

    /// Tells of a crash, on standard error: `vcpu` stands at the instruction by which its libOS says so. A record that makes no sense
    /// is not told.
    pub fn report(&self, vcpu: &VcpuFd, memory: &GuestMemory) {
        let view = View { vcpu, memory };
        let Some(crash) = Crash::read(&view) else {
            return;
        };
        eprint!(
            "{}",
            backtrace::describe(&crash, &view, self.program.as_deref())
        );
        let Some(path) = &self.core else {
            return;
        };
        let path = match self.written.fetch_add(1, Ordering::Relaxed) {
            0 => path.clone(),
            _ => {
                let mut name = path.clone().into_os_string();
                name.push(format!(".{}", crash.record.process));
                name.into()
            }
        };
        match core::write(&path, &crash, &view) {
            Ok(()) => eprintln!(
                "exo: core written to {}; open it with: gdb {} {}",
                path.display(),
                self.program
                    .as_deref()
                    .unwrap_or("PROGRAM".as_ref())
                    .display(),
                path.display()
            ),
            Err(error) => eprintln!(
                "exo: {}",
                Error::System(format!(
                    "core {}: {error}; give --core the path of a file that can be written, where there is room",
                    path.display()
                ))
            ),
        }
    }
}
