//! Breakpoints as bytes: `int3` in the code of ring 3, where the host lets no debug register stop it.

use std::sync::Arc;

use kvm_ioctls::VcpuFd;
use vm_memory::{Bytes, GuestAddress};

use crate::machine::translation::translate;
use crate::memory::GuestMemory;

/// The instruction `int3`.
const INT3: u8 = 0xcc;

/// One breakpoint: its linear address, and where the byte lies and what it was, once that is known.
struct Patch {
    address: u64,
    place: Option<(GuestAddress, u8)>,
}

/// All such breakpoints. What is not mapped yet waits until it is.
pub struct Patches {
    memory: Arc<GuestMemory>,
    patches: Vec<Patch>,
}

impl Patches {
    /// None yet.
    pub fn new(memory: Arc<GuestMemory>) -> Self {
        Self {
            memory,
            patches: Vec::new(),
        }
    }

    /// Adds one; it is not in memory before [`Patches::apply`].
    pub fn add(&mut self, address: u64) {
        if !self.contain(address) {
            self.patches.push(Patch {
                address,
                place: None,
            });
        }
    }

    /// Whether there is one at an address.
    pub fn contain(&self, address: u64) -> bool {
        self.patches.iter().any(|patch| patch.address == address)
    }

    /// Whether some are not in memory, because nothing is mapped there.
    pub fn are_waiting(&self) -> bool {
        self.patches.iter().any(|patch| patch.place.is_none())
    }

    /// Writes those that the page tables of a vCPU show by now, which are those of an environment.
    pub fn apply(&mut self, vcpu: &VcpuFd) {
        for patch in self.patches.iter_mut().filter(|one| one.place.is_none()) {
            let Some(physical) = translate(vcpu, &self.memory, patch.address) else {
                continue;
            };
            let byte = self.memory.read_obj::<u8>(physical);
            if let Ok(byte) = byte
                && self.memory.write_obj(INT3, physical).is_ok()
            {
                patch.place = Some((physical, byte));
            }
        }
    }

    /// Removes one, and puts back what was there; false where there is none.
    pub fn remove(&mut self, address: u64) -> bool {
        let Some(index) = self.patches.iter().position(|one| one.address == address) else {
            return false;
        };
        if let Some((physical, byte)) = self.patches.swap_remove(index).place {
            // It could be written, so it still can.
            let _ = self.memory.write_obj(byte, physical);
        }
        true
    }
}
