//! `ioctl`: what can be asked of files beyond reading and writing.

use linux_raw_sys::general::O_NONBLOCK;
use linux_raw_sys::ioctl::{FIOCLEX, FIONBIO, FIONCLEX, FIONREAD};

use super::{Arguments, program};
use crate::errno::{Errno, Result};
use crate::process::Process;

pub fn control(process: &mut Process, [number, request, argument, ..]: Arguments) -> Result {
    let descriptor = process.descriptors.get_mut(number)?;
    let file = descriptor.file.clone();
    match request as u32 {
        FIOCLEX => descriptor.closes_on_exec = true,
        FIONCLEX => descriptor.closes_on_exec = false,
        FIONBIO => {
            let wanted = match read_number(process, argument)? {
                0 => 0,
                _ => O_NONBLOCK,
            };
            file.flags.set(file.flags.get() & !O_NONBLOCK | wanted);
        }
        FIONREAD => {
            let bytes = file.available().ok_or(Errno::ENOTTY)?;
            let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
            program::write(process, argument, &bytes.to_le_bytes())?;
        }
        _ => return Err(Errno::ENOTTY),
    }
    Ok(0)
}

/// The `int` at an address.
fn read_number(process: &mut Process, address: u64) -> Result<i32> {
    let bytes = program::read(process, address, 4)?;
    Ok(bytes.try_into().map_or(0, i32::from_le_bytes))
}
