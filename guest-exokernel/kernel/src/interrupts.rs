//! Interrupts. By a device: count the event for whoever bound the vector, and wake it. By another vCPU: forget translations.

use crate::hw::{registers, shootdown, vcpu};
use crate::kernel::with_kernel;
use crate::predicates;

/// Called by interrupt.S with the number of the device vector.
pub extern "C" fn handle_interrupt(vector: u64) {
    registers::end_interrupt();
    let index = vcpu::index();
    with_kernel(|kernel| {
        let Some(route) = kernel
            .vcpus
            .get(index)
            .and_then(|vcpu| vcpu.routes.get(vector as usize))
        else {
            return;
        };
        let Ok(environment) = kernel.environment(route.environment) else {
            return;
        };
        environment.context.pages.raise_event(route.event);
        kernel.ledger.count_interrupt(route.environment);
        predicates::notice(kernel, index, route.environment);
    });
}

/// Called by interrupt.S when another vCPU has interrupted this one. An idle one then looks for whom to run by itself. Takes no
/// lock: the other holds it, and waits.
pub extern "C" fn handle_neighbour(_: u64) {
    registers::end_interrupt();
    shootdown::serve();
}
