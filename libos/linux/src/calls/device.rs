//! `ioctl`: what can be asked of files beyond reading and writing.

use linux_raw_sys::general::{O_NONBLOCK, TCIFLUSH, TCIOFLUSH, TCOFLUSH};
use linux_raw_sys::ioctl::{
    FIOCLEX, FIONBIO, FIONCLEX, FIONREAD, TCFLSH, TCGETS, TCSBRK, TCSBRKP, TCSETS, TCSETSF,
    TCSETSW, TCXONC, TIOCGPGRP, TIOCGSID, TIOCGWINSZ, TIOCNOTTY, TIOCSCTTY, TIOCSPGRP, TIOCSWINSZ,
};

use super::{Arguments, program};
use crate::errno::{Errno, Result};
use crate::files::line::{MODES_BYTES, Modes};
use crate::files::node::Content;
use crate::files::terminal::Terminal;
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
        _ => match &file.node.content {
            Content::Terminal(terminal) => {
                return control_terminal(process, terminal, request as u32, argument);
            }
            _ => return Err(Errno::ENOTTY),
        },
    }
    Ok(0)
}

/// What only terminals have (Linux man page ioctl_tty(2)).
fn control_terminal(
    process: &mut Process,
    terminal: &Terminal,
    request: u32,
    argument: u64,
) -> Result {
    match request {
        TCGETS => program::write(process, argument, &terminal.modes().encode())?,
        TCSETS | TCSETSW | TCSETSF => {
            let bytes = program::read(process, argument, MODES_BYTES)?;
            let modes = Modes::decode(&bytes).ok_or(Errno::EINVAL)?;
            terminal.set_modes(modes, request == TCSETSF);
        }
        TIOCGWINSZ => {
            let (columns, rows) = terminal.size();
            let size = u64::from(columns) << 16 | u64::from(rows);
            program::write_words(process, argument, &[size])?;
        }
        TIOCSWINSZ => {
            let [size] = program::read_words(process, argument)?;
            terminal.set_size(((size >> 16) as u16, size as u16));
        }
        TIOCGPGRP => write_number(process, argument, terminal.group.get())?,
        TIOCSPGRP => {
            let group = read_number(process, argument)?;
            terminal
                .group
                .set(u32::try_from(group).map_err(|_| Errno::EINVAL)?);
        }
        TIOCGSID => write_number(process, argument, terminal.session.get())?,
        TCFLSH => match argument as u32 {
            TCIFLUSH | TCIOFLUSH => terminal.flush(),
            TCOFLUSH => {}
            _ => return Err(Errno::EINVAL),
        },
        // What is printed is on its way already, and nothing is ever held.
        TCSBRK | TCSBRKP | TCXONC | TIOCSCTTY | TIOCNOTTY => {}
        _ => return Err(Errno::ENOTTY),
    }
    Ok(0)
}

fn write_number(process: &mut Process, address: u64, number: u32) -> Result<()> {
    program::write(process, address, &number.to_le_bytes())
}

/// The `int` at an address.
fn read_number(process: &mut Process, address: u64) -> Result<i32> {
    let bytes = program::read(process, address, 4)?;
    Ok(bytes.try_into().map_or(0, i32::from_le_bytes))
}
