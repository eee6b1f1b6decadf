//! Which environment runs next on a vCPU: round robin among the runnable ones that are assigned to it.

use exo_abi::EnvironmentId;
use exo_abi::environment::State;

use crate::hw::{memory, registers, switch, vcpu};
use crate::kernel::{Kernel, with_kernel};

/// The next runnable environment of vCPU `index` after `after`, which itself comes last.
pub fn next_runnable(kernel: &Kernel, index: usize, after: EnvironmentId) -> Option<EnvironmentId> {
    let environments = &*kernel.ledger.tables().environments;
    let start = usize::from(after.0);
    let position = (start..environments.len())
        .chain(0..start)
        .find(|&position| {
            environments.get(position).is_some_and(|entry| {
                entry.state == State::Runnable as u32 && entry.vcpu as usize == index
            })
        })?;
    u16::try_from(position + 1).ok().map(EnvironmentId)
}

/// Notes where the caller goes on when it is resumed: after its call.
pub fn save_caller(kernel: &mut Kernel, index: usize, caller: EnvironmentId) {
    let [instruction, _, _, stack, _] = vcpu::EntryFrame::of(index).read();
    if let Ok(environment) = kernel.environment(caller) {
        environment.context.instruction = instruction;
        environment.context.stack = stack;
    }
}

/// Runs whoever is next on this vCPU; halts while nobody is.
pub fn run_next(index: usize) -> ! {
    loop {
        let next = with_kernel(|kernel| {
            let id = next_runnable(kernel, index, kernel.current(index))?;
            if let Some(vcpu) = kernel.vcpus.get_mut(index) {
                vcpu.current = id;
            }
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
