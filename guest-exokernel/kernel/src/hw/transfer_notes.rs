//! What each environment page holds for protected control transfer; transfer.S reads and writes it too, with the kernel's lock held.

use core::mem::offset_of;

use exo_abi::EnvironmentId;
use exo_abi::address::KERNEL_BASE;
use exo_abi::environment::{EnvironmentPage, TransferNotes};

use super::assembly::{USER_CODE, USER_DATA, USER_FLAGS};
use super::environment_pages::{EnvironmentPages, FRAME};
use super::vcpu;

/// Offset of a field of the notes.
macro_rules! note {
    ($field:ident) => {
        offset_of!(EnvironmentPage, transfer) + offset_of!(TransferNotes, $field)
    };
}

/// Who an environment has to do with by transfers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Nobody.
    None,
    /// Whoever transfers to it: it waits for that.
    Anybody,
    /// This one waits for its reply.
    Caller(EnvironmentPages),
}

/// Where in kernel memory what concerns one environment lies.
pub struct Places {
    /// Its record.
    pub record: u64,
    /// The word of it that says who runs on the environment's vCPU.
    pub running: u64,
}

impl EnvironmentPages {
    /// Forgets what another environment with these pages had to do with.
    pub fn clear_transfer_notes(self) {
        self.set(note!(peer), 0);
        self.set(note!(bound), 0);
        self.set(note!(target), 0);
        self.set(note!(entry), 0);
        self.set(note!(status), 0);
    }

    /// Writes what never changes of the notes.
    pub fn start_transfer_notes(self, places: &Places, vcpu: usize, root: u64) {
        self.set(note!(record), places.record);
        self.set(note!(running), places.running);
        self.set(note!(task_state), vcpu::task_state(vcpu, 0));
        self.set(note!(root), root);
    }

    /// By what the pages are known as a peer: the kernel address of the frame of an entry.
    pub fn place(self) -> u64 {
        KERNEL_BASE + self.physical() + FRAME as u64
    }

    /// The pages with this place.
    pub(super) fn at(place: u64) -> Self {
        Self::new(place.wrapping_sub(KERNEL_BASE).wrapping_sub(FRAME as u64))
    }

    /// Whose pages these are.
    pub fn id(self) -> EnvironmentId {
        EnvironmentId(self.get(offset_of!(EnvironmentPage, id)) as u16)
    }

    /// Between environments of equal terms a transfer is nothing but a transfer, and a yield nothing but a yield. Positive, and neither 0 nor 1. The terms of one
    /// that is `special` are like nobody's: as it owns slices, say, it stops and starts with them.
    pub fn set_terms(self, vcpu: usize, ports: u64, special: bool) {
        let (slot, uses) = if special {
            (u64::from(self.id().0), 0x4000_0000)
        } else {
            (ports & 0xffff, ports >> 32 & 0x3fff_ffff)
        };
        let willing = self.peer() == Peer::Anybody;
        self.set(note!(terms), uses << 32 | (vcpu as u64 + 1) << 16 | slot);
        if willing {
            self.set_peer(Peer::Anybody);
        }
    }

    /// What was set.
    pub fn terms(self) -> u64 {
        self.get(note!(terms))
    }

    /// Who this environment has to do with.
    pub fn peer(self) -> Peer {
        match self.get(note!(peer)) {
            0 => Peer::None,
            place if place >= KERNEL_BASE => Peer::Caller(Self::at(place)),
            _ => Peer::Anybody,
        }
    }

    /// Changes that.
    pub fn set_peer(self, peer: Peer) {
        let word = match peer {
            Peer::None => 0,
            Peer::Anybody => self.get(note!(terms)),
            Peer::Caller(pages) => pages.place(),
        };
        self.set(note!(peer), word);
    }

    /// The capability by which the assembly may transfer, and where to; 0: none.
    pub fn bound(self) -> u64 {
        self.get(note!(bound))
    }

    /// Changes the capability, and leaves alone where to.
    pub fn unbind(self) {
        self.set(note!(bound), 0);
    }

    /// Binds a capability to where it leads. It has been checked.
    pub fn bind(self, capability: u64, target: Self) {
        self.set(note!(bound), capability);
        self.set(note!(target), target.place());
    }

    /// Where the last transfer went.
    pub fn target(self) -> Option<Self> {
        match self.get(note!(target)) {
            0 => None,
            place => Some(Self::at(place)),
        }
    }

    /// Says where transfers enter. Both are canonical: `iretq` cannot fault.
    pub fn set_entry(self, instruction: u64, stack: u64) {
        let words = [
            instruction,
            u64::from(USER_CODE),
            USER_FLAGS,
            stack,
            u64::from(USER_DATA),
        ];
        for (number, word) in words.into_iter().enumerate() {
            self.set(note!(entry) + 8 * number, word);
        }
    }

    /// Whether it has said where.
    pub fn has_entry(self) -> bool {
        self.get(note!(entry)) != 0
    }

    /// Kernel address of the five words by which `iretq` enters it.
    pub fn entry_place(self) -> u64 {
        KERNEL_BASE + self.physical() + note!(entry) as u64
    }

    /// What a call ends with that ends without its answer.
    pub fn set_resume_status(self, status: u64) {
        self.set(note!(status), status);
    }

    /// Whether there is one.
    pub fn has_resume_status(self) -> bool {
        self.get(note!(status)) != 0
    }

    /// Takes that out.
    pub fn take_resume_status(self) -> u64 {
        let status = self.get(note!(status));
        self.set(note!(status), 0);
        status
    }
}
