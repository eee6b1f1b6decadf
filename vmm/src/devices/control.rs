//! The control device: what the kernel, and only the kernel, can ask of the VMM.

use std::ops::Range;
use std::sync::Arc;

use exo_abi::address::PAGE_SIZE;
use exo_abi::control::{Command, CommandStatus, ControlBlock};
use vm_memory::{GuestAddress, GuestMemoryBackend};

use super::block::extent::Extent;
use super::requests::Requests;
use super::scrub;
use super::server::EVERYTHING;
use crate::machine::ports::CommandHandler;
use crate::memory::GuestMemory;
use crate::pci::function::Function;

/// Carries out commands. Each is done when the kernel's store returns.
pub struct Control {
    memory: GuestMemory,
    functions: Vec<Arc<Function>>,
    requests: Arc<Requests>,
    /// Memory that shows files of the host.
    files: Range<u64>,
}

impl Control {
    /// Commands over `memory` and `functions`, the first of which is the IOMMU, and over the host's requests; `files` is where memory
    /// shows files.
    pub fn new(
        memory: GuestMemory,
        functions: Vec<Arc<Function>>,
        requests: Arc<Requests>,
        files: Range<u64>,
    ) -> Self {
        Self {
            memory,
            functions,
            requests,
            files,
        }
    }

    /// The function with this number, the IOMMU excepted, which is the kernel's own.
    fn function(&self, number: u64) -> Option<&Function> {
        let number = usize::try_from(number).ok().filter(|&number| number > 0)?;
        self.functions.get(number).map(Arc::as_ref)
    }

    /// The frames read as zero afterwards. False where they are not all memory.
    fn scrub(&self, first: u64, count: u64) -> bool {
        let place = first.checked_mul(PAGE_SIZE);
        let length = count
            .checked_mul(PAGE_SIZE)
            .and_then(|length| usize::try_from(length).ok());
        let (Some(place), Some(length)) = (place, length) else {
            return false;
        };
        let start = GuestAddress(place);
        if length == 0 || !self.memory.check_range(start, length) {
            return false;
        }
        // All of it lies in one region: those of a machine do not touch.
        let Some((region, offset)) = self.memory.to_region_addr(start) else {
            return false;
        };
        let shows_files = place < self.files.end && self.files.start < place + length as u64;
        scrub::discard(region, offset, length, shows_files)
    }

    fn set_extent(&self, arguments: &[u64; 6]) -> bool {
        let &[number, first, sectors, writable, ..] = arguments;
        let Some(function) = self.function(number) else {
            return false;
        };
        let extent = Extent {
            first,
            sectors,
            writable: writable == 1,
        };
        if writable > 1 || !function.device().set_extent(extent) {
            return false;
        }
        // What was checked against the old extent ends before the kernel may give that to somebody else.
        function.quiesce(EVERYTHING);
        function.signals().interrupt_configuration();
        true
    }
}

impl CommandHandler for Control {
    fn command(&self, block: &mut ControlBlock) -> CommandStatus {
        let Some(command) = Command::from_number(block.command) else {
            return CommandStatus::BadCommand;
        };
        let &[first, second, ..] = &block.arguments;
        let done = match command {
            Command::Scrub => self.scrub(first, second),
            Command::ExtentSet => self.set_extent(&block.arguments),
            Command::FunctionReset => match self.function(first) {
                Some(function) => {
                    function.reset();
                    true
                }
                None => false,
            },
            Command::RequestFetch => {
                block.arguments = self.requests.fetch();
                true
            }
        };
        match done {
            true => CommandStatus::Done,
            false => CommandStatus::BadArgument,
        }
    }
}
