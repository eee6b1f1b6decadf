//! A word that one environment writes and another has read: by a wakeup predicate, without a mapping of its own.

use exo_rt::abi::address::{PAGE_SHIFT, PAGE_SIZE};
use exo_rt::abi::environment::EnvironmentId;
use exo_rt::abi::term::{Comparison, Term};
use exo_rt::abi::{Capability, Error, Rights};
use exo_rt::dma::DmaMemory;
use exo_rt::{environment, gate, predicate, tables};

use crate::sharing;

/// A word of this environment, at the start of a page that holds nothing else.
pub struct SharedWord(DmaMemory);

impl SharedWord {
    /// Zero, and seen by nobody else yet.
    pub fn new() -> Result<Self, Error> {
        DmaMemory::allocate_private(PAGE_SIZE).map(Self)
    }

    /// Gives another environment a capability to have the word read; waits until it accepts.
    pub fn share(&self, with: EnvironmentId) -> Result<(), Error> {
        let frame = self.0.first_frame();
        let grant = environment::grant_capability();
        let derived = gate::capability_derive(grant, frame, 1, Rights::READ)?;
        sharing::give_when_willing(derived, with).map(drop)
    }

    /// What it holds.
    pub fn value(&self) -> u64 {
        self.0.read_u64(0)
    }

    /// Changes it.
    pub fn set(&self, value: u64) {
        self.0.write_u64(0, value);
    }

    /// Where it is.
    pub fn physical(&self) -> u64 {
        self.0.physical(0)
    }

    /// The comparison of this word by its owner.
    pub fn term(&self, is: Comparison, value: u64) -> Term {
        predicate::word(environment::grant_capability(), self.physical(), is, value)
    }
}

/// A word that another environment has shared.
#[derive(Clone, Copy)]
pub struct NeighbourWord {
    /// Names it.
    pub capability: Capability,
    /// Where it is.
    pub physical: u64,
}

impl NeighbourWord {
    /// Accepts capabilities, and waits until one comes from this environment.
    pub fn accept(from: EnvironmentId) -> Result<Self, Error> {
        let capability = sharing::await_capability(from)?;
        let entry = tables::capability(capability.slot()).ok_or(Error::BadCapability)?;
        Ok(Self {
            capability,
            physical: entry.first << PAGE_SHIFT,
        })
    }

    /// A comparison of it.
    pub fn term(&self, is: Comparison, value: u64) -> Term {
        predicate::word(self.capability, self.physical, is, value)
    }
}
