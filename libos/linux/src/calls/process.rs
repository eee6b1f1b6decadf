//! The life of a program.

use exo_rt::program_memory;

use super::{Arguments, program};
use crate::errno::{Errno, Result};
use crate::family::Ending;
use crate::process::Process;
use crate::wait::{self, Stop};

/// `arch_prctl` codes (linux, arch/x86/include/uapi/asm/prctl.h).
const ARCH_SET_FS: u64 = 0x1002;
const ARCH_GET_FS: u64 = 0x1003;

pub fn exit(process: &mut Process, [status, ..]: Arguments) -> wait::Result {
    Err(end(process, Ending::Exited(status as u8)))
}

/// Ends a process.
pub fn end(process: &mut Process, ending: Ending) -> Stop {
    process.ended = Some(ending);
    Stop::End
}

/// Ends the program by a signal.
pub fn kill(process: &mut Process, signal: u32) {
    process.ended = Some(Ending::Killed(signal as u8));
}

pub fn set_architecture(process: &mut Process, [code, address, ..]: Arguments) -> Result {
    match code {
        ARCH_SET_FS => {
            program_memory::set_thread_base(address).map_err(|_| Errno::EPERM)?;
            Ok(0)
        }
        ARCH_GET_FS => {
            let base = program_memory::thread_base().map_err(|_| Errno::EPERM)?;
            program::write_words(process, address, &[base])?;
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}
