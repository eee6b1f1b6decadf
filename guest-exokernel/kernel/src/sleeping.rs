//! Sleep and wake-up of environments, by the protocol of [`exo_lock`].

use exo_abi::EnvironmentId;
use exo_abi::environment::State;
use exo_lock::Sleeper;

use crate::hw::registers;
use crate::hw::vcpu::WAKE_VECTOR;
use crate::kernel::Kernel;
use crate::{slices, timer, transfer};

/// An environment that sleeps or is about to, for the protocol of [`exo_lock`].
struct Sleeping<'k> {
    kernel: &'k mut Kernel,
    id: EnvironmentId,
    /// The vCPU that runs it.
    vcpu: usize,
    /// The vCPU that runs this.
    here: usize,
    /// Whether what it waits for has happened.
    has_event: bool,
}

impl Sleeper for Sleeping<'_> {
    fn has_event(&mut self) -> bool {
        self.has_event
    }
    fn is_asleep(&mut self) -> bool {
        let entry = self.kernel.ledger.environment(self.id);
        entry.is_ok_and(|entry| entry.state == State::Waiting as u32)
    }
    fn set_asleep(&mut self) {
        self.kernel.ledger.set_state(self.id, State::Waiting);
        slices::stop(self.kernel, self.vcpu, self.id);
    }
    fn set_runnable(&mut self) {
        self.kernel.ledger.set_state(self.id, State::Runnable);
        transfer::refuse(self.kernel, self.id);
        timer::cancel_sleep(self.kernel, self.vcpu, self.id);
        slices::add(self.kernel, self.vcpu, self.id);
    }
    fn is_idle_elsewhere(&mut self) -> bool {
        self.vcpu != self.here && !timer::counts_slice(self.kernel, self.vcpu)
    }
    fn interrupt(&mut self) {
        registers::interrupt_vcpu(self.vcpu, WAKE_VECTOR);
    }
}

/// Lets the caller on vCPU `index` sleep, unless what it waits for has happened. Whether it sleeps.
pub fn sleep(kernel: &mut Kernel, index: usize, caller: EnvironmentId, has_event: bool) -> bool {
    exo_lock::fall_asleep(&mut Sleeping {
        kernel,
        id: caller,
        vcpu: index,
        here: index,
        has_event,
    })
}

/// Ends the sleep of an environment, if it sleeps. `index` is the vCPU that runs this; the one that runs the environment is
/// interrupted where it is idle, or has somebody run without an end.
pub fn wake(kernel: &mut Kernel, index: usize, id: EnvironmentId) {
    let Ok(vcpu) = kernel.ledger.environment(id).map(|entry| entry.vcpu) else {
        return;
    };
    exo_lock::wake(&mut Sleeping {
        kernel,
        id,
        vcpu: vcpu as usize,
        here: index,
        has_event: true,
    });
    if vcpu as usize == index {
        timer::arm(kernel, index);
    }
}
