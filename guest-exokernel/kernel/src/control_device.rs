//! The kernel's side of the control device.

use core::mem::offset_of;
use core::sync::atomic::Ordering;

use exo_abi::address::PAGE_SHIFT;
use exo_abi::control::{Command, CommandStatus, ControlBlock};
use exo_abi::port::CONTROL_PORT;

use crate::hw::ports;
use crate::hw::shared_page::SharedPage;

static CONTROL_PAGE: SharedPage = SharedPage::new();

/// Runs a command that takes nothing and brings something back. Cost: one exit and what the command does.
pub fn run_for_answer(command: Command) -> Result<[u64; 6], CommandStatus> {
    run(command, [0; 4])?;
    Ok(core::array::from_fn(|number| {
        CONTROL_PAGE
            .word(offset_of!(ControlBlock, arguments) + 8 * number)
            .load(Ordering::Relaxed)
    }))
}

/// Runs a command of the control device. Cost: one exit and what the command does.
pub fn run(command: Command, arguments: [u64; 4]) -> Result<(), CommandStatus> {
    CONTROL_PAGE
        .word(offset_of!(ControlBlock, command))
        .store(command as u64, Ordering::Relaxed);
    for (number, argument) in arguments.into_iter().enumerate() {
        CONTROL_PAGE
            .word(offset_of!(ControlBlock, arguments) + 8 * number)
            .store(argument, Ordering::Relaxed);
    }
    ports::write_word(CONTROL_PORT, (CONTROL_PAGE.physical() >> PAGE_SHIFT) as u32);
    match CommandStatus::from_number(
        CONTROL_PAGE
            .word(offset_of!(ControlBlock, status))
            .load(Ordering::Relaxed),
    ) {
        Some(CommandStatus::Done) => Ok(()),
        Some(refused) => Err(refused),
        None => Err(CommandStatus::BadCommand),
    }
}
