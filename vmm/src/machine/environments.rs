//! What the kernel says about its environments: the exported table, read from guest memory.

use exo_abi::address::PAGE_SIZE;
use exo_abi::environment::{
    AbortReason, CallPage, EnvironmentEntry, EnvironmentId, State, UPCALL_CREDIT,
};
use exo_abi::function::FunctionEntry;
use exo_abi::layout::{ENVIRONMENT_PAGES, Layout};
use vm_memory::{Bytes, GuestAddress};

use crate::memory::{GuestMemory, Plain};

/// An environment as the kernel and the libOS tell of it.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The kernel's record.
    pub entry: EnvironmentEntry,
    /// The page that the libOS writes, too: nothing in it is to be trusted.
    pub call_page: CallPage,
}

impl Environment {
    /// Nothing but zeros.
    #[cfg(test)]
    pub fn blank() -> Self {
        use vm_memory::ByteValued;
        Self {
            entry: Plain::zeroed().0,
            call_page: Plain::zeroed().0,
        }
    }

    /// Name from the manifest.
    pub fn name(&self) -> String {
        let name: Vec<u8> = self
            .entry
            .name
            .into_iter()
            .take_while(|&byte| byte != 0)
            .collect();
        String::from_utf8_lossy(&name).into_owned()
    }

    /// What it was doing; nothing for a number without a meaning.
    pub fn state(&self) -> Option<State> {
        State::from_number(self.entry.state)
    }

    /// Whether its number was ever used: of those that may be made, some never are.
    pub fn was_used(&self) -> bool {
        self.state() != Some(State::Absent)
    }

    /// Whether another environment made it.
    pub fn is_made(&self) -> bool {
        self.entry.owner != 0
    }

    /// Why the kernel ended it.
    pub fn abort_reason(&self) -> Option<AbortReason> {
        AbortReason::from_number(self.entry.abort_reason)
    }

    /// Exception upcalls that it took.
    pub fn upcalls(&self) -> u32 {
        self.call_page.upcall_credit & !UPCALL_CREDIT
    }
}

/// Reads all environments; those whose memory cannot be read are left out.
pub fn read(memory: &GuestMemory, layout: &Layout) -> Vec<Environment> {
    (0..layout.environments.count)
        .filter_map(|index| {
            let entry = layout.environments.start + index * size_of::<EnvironmentEntry>() as u64;
            let call_page = layout.environment_pages.start + index * ENVIRONMENT_PAGES + PAGE_SIZE;
            let Plain(entry) = memory
                .read_obj::<Plain<EnvironmentEntry>>(GuestAddress(entry))
                .ok()?;
            let Plain(call_page) = memory
                .read_obj::<Plain<CallPage>>(GuestAddress(call_page))
                .ok()?;
            Some(Environment { entry, call_page })
        })
        .collect()
}

/// Who owns each function: the index of an environment, in the order of the function records.
pub fn function_owners(memory: &GuestMemory, layout: &Layout) -> Vec<Option<usize>> {
    (0..layout.functions.count)
        .map(|index| {
            let address = layout.functions.start + index * size_of::<FunctionEntry>() as u64;
            let Plain(entry) = memory
                .read_obj::<Plain<FunctionEntry>>(GuestAddress(address))
                .ok()?;
            match entry.owner {
                EnvironmentId::NOBODY | EnvironmentId::KERNEL => None,
                EnvironmentId(number) => Some(usize::from(number) - 1),
            }
        })
        .collect()
}
