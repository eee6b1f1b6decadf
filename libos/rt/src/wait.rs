//! Waiting without the kernel, as long as nobody else needs the vCPU.

use exo_abi::environment::State;

use crate::{environment, gate, processor, revocation, tables};

/// Spins between two looks at who else is there.
const SPINS_PER_LOOK: u32 = 256;

/// A spin loop that lets the vCPU's other environments run.
#[derive(Default)]
pub struct Spinner {
    spins: u32,
}

impl Spinner {
    /// A spin loop that starts now.
    pub const fn new() -> Self {
        Self { spins: 0 }
    }

    /// Waits a moment. Alone on its vCPU, an environment never enters the kernel by this.
    pub fn relax(&mut self) {
        processor::pause();
        self.spins = self.spins.wrapping_add(1);
        if self.spins.is_multiple_of(SPINS_PER_LOOK) {
            revocation::serve();
            if shares_vcpu() {
                yield_now();
            }
        }
    }
}

/// Whether another environment of this vCPU could run now.
pub fn shares_vcpu() -> bool {
    let own = environment::id();
    let Some(vcpu) = tables::environment(own).map(|entry| entry.vcpu) else {
        return false;
    };
    tables::environments()
        .any(|(id, entry)| id != own && entry.vcpu == vcpu && entry.state == State::Runnable as u32)
}

/// Lets the next environment of this vCPU run.
pub fn yield_now() {
    gate::environment_yield().expect("a yield has nothing to refuse");
}
