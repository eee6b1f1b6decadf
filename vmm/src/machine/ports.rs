//! I/O ports: the console, the control device, and the end of the machine.

use std::sync::Arc;

use exo_abi::address::PAGE_SIZE;
use exo_abi::control::{CommandStatus, ControlBlock};
use exo_abi::port::{CONSOLE_PORT, CONTROL_PORT, ERROR_PORT, EXIT_PORT, ExitCode};
use vm_memory::{Bytes, GuestAddress};

use super::console::{CONSOLE_PORTS, Console};
use super::ending::End;
use crate::memory::{GuestMemory, Plain};

/// Carries out the commands of the control device.
pub trait CommandHandler: Send + Sync {
    /// Does what the block says, and writes what it brings back into its arguments. It is a copy: the guest cannot change it.
    fn command(&self, block: &mut ControlBlock) -> CommandStatus;
}

/// All ports of the machine.
pub struct Ports {
    console: Console,
    errors: Console,
    handler: Option<Arc<dyn CommandHandler>>,
    memory: Arc<GuestMemory>,
}

impl Ports {
    /// Ports with these consoles, the second for error messages; commands of the control device go to `handler`.
    pub fn new(
        [console, errors]: [Console; 2],
        handler: Option<Arc<dyn CommandHandler>>,
        memory: Arc<GuestMemory>,
    ) -> Self {
        Self {
            console,
            errors,
            handler,
            memory,
        }
    }

    /// The guest reads a port. What is not there reads as all ones.
    pub fn read(&self, port: u16, data: &mut [u8]) {
        match self.console(port) {
            Some((console, register)) => data.fill_with(|| console.read(register)),
            None => data.fill(0xff),
        }
    }

    /// `writer`, the number of an environment or 0, writes a port; says whether that ends the machine.
    pub fn write(&self, writer: u16, port: u16, data: &[u8]) -> Option<End> {
        if let Some((console, register)) = self.console(port) {
            console.write(writer, register, data);
            return None;
        }
        match port {
            EXIT_PORT => {
                let code = number(data);
                Some(ExitCode::from_number(code).map_or(End::AskedStrangely(code), End::Asked))
            }
            CONTROL_PORT => {
                self.control(u64::from(number(data)));
                None
            }
            _ => None,
        }
    }

    /// Nobody writes any more. Says why output was lost, if some was.
    pub fn finish(&self) -> Result<(), std::io::Error> {
        self.console.finish().and(self.errors.finish())
    }

    /// The console at this port, and which of its registers that is.
    fn console(&self, port: u16) -> Option<(&Console, u8)> {
        [(CONSOLE_PORT, &self.console), (ERROR_PORT, &self.errors)]
            .into_iter()
            .find_map(|(first, console)| {
                let register = port.checked_sub(first)?;
                (register < CONSOLE_PORTS).then_some((console, register as u8))
            })
    }

    /// Runs the command in frame `frame`; one that is no memory is ignored, since there is nowhere to answer.
    fn control(&self, frame: u64) {
        let address = GuestAddress(frame * PAGE_SIZE);
        let Ok(Plain(mut block)) = self.memory.read_obj::<Plain<ControlBlock>>(address) else {
            return;
        };
        let status = match &self.handler {
            Some(handler) => handler.command(&mut block),
            None => CommandStatus::BadCommand,
        };
        block.status = status as u64;
        // The block has just been read whole from there, so the write reaches memory too.
        let _ = self.memory.write_obj(Plain(block), address);
    }
}

/// The bytes of an `out` instruction as a number.
fn number(data: &[u8]) -> u32 {
    let mut bytes = [0; 4];
    for (byte, &source) in bytes.iter_mut().zip(data) {
        *byte = source;
    }
    u32::from_le_bytes(bytes)
}
