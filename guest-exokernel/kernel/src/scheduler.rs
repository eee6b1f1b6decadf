//! Which environment runs next on a vCPU: the first of its queue of those that are runnable. Who has had its turn goes to the end.
//!
//! Whoever runs is in no queue, and only who runs can wait or end: so nobody is ever taken out of the middle.

use exo_abi::EnvironmentId;
use exo_abi::environment::State;
use exo_lock::Sleeper;

use crate::hw::{memory, registers, switch, vcpu};
use crate::kernel::{Kernel, with_kernel};

/// Whether somebody waits for its turn on vCPU `index`.
pub fn has_runnable(kernel: &Kernel, index: usize) -> bool {
    kernel
        .vcpus
        .get(index)
        .is_some_and(|vcpu| vcpu.first_runnable != EnvironmentId::NOBODY)
}

/// Puts an environment that is in no queue at the end of that of vCPU `index`.
pub fn add_runnable(kernel: &mut Kernel, index: usize, id: EnvironmentId) {
    let Some(vcpu) = kernel.vcpus.get_mut(index) else {
        return;
    };
    let last = core::mem::replace(&mut vcpu.last_runnable, id);
    if vcpu.first_runnable == EnvironmentId::NOBODY {
        vcpu.first_runnable = id;
    } else if let Ok(environment) = kernel.environment(last) {
        environment.next_runnable = id;
    }
}

/// Takes the first environment out of the queue of vCPU `index`.
fn take_runnable(kernel: &mut Kernel, index: usize) -> Option<EnvironmentId> {
    let first = kernel.vcpus.get(index)?.first_runnable;
    let environment = kernel.environment(first).ok()?;
    let next = core::mem::replace(&mut environment.next_runnable, EnvironmentId::NOBODY);
    kernel.vcpus.get_mut(index)?.first_runnable = next;
    Some(first)
}

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
    }
    fn set_runnable(&mut self) {
        self.kernel.ledger.set_state(self.id, State::Runnable);
        add_runnable(self.kernel, self.vcpu, self.id);
    }
    fn is_idle_elsewhere(&mut self) -> bool {
        self.vcpu != self.here && self.kernel.ledger.running(self.vcpu) == EnvironmentId::NOBODY
    }
    fn interrupt(&mut self) {
        registers::interrupt_vcpu(self.vcpu, vcpu::NEIGHBOUR_VECTOR);
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

/// Ends the sleep of an environment, if it sleeps. `index` is the vCPU that runs this; an idle one that runs the environment is
/// interrupted.
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
}

/// Runs whoever is next on this vCPU; halts while nobody is.
pub fn run_next(index: usize) -> ! {
    loop {
        let next = with_kernel(|kernel| {
            let next = take_runnable(kernel, index);
            let running = next.unwrap_or(EnvironmentId::NOBODY);
            kernel.ledger.set_running(index, running);
            let id = next?;
            let features = kernel.features;
            let context = kernel.environment(id).ok()?.context;
            Some((context, features))
        });
        match next {
            Some((context, features)) => {
                switch::prepare(index, &context);
                switch::resume(index, &context, features)
            }
            None => {
                registers::set_root(memory::kernel_root());
                registers::wait_for_interrupt();
            }
        }
    }
}
