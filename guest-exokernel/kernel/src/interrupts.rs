//! Interrupts: those of devices count an event for whoever bound the vector, and wake it; the kernel's own are handled where they belong.

use exo_abi::EnvironmentId;
use exo_abi::control::CONTROL_VECTOR;
use exo_abi::environment::State;

use crate::hw::assembly::USER_FLAGS;
use crate::hw::environment_pages::EnvironmentPages;
use crate::hw::switch::Progress;
use crate::hw::vcpu::{
    DEVICE_VECTORS, FIRST_DEVICE_VECTOR, InterruptFrame, OWN_VECTORS, TIMER_VECTOR, WAKE_VECTOR,
};
use crate::hw::{interface_page, registers, shootdown, vcpu};
use crate::kernel::{Kernel, with_kernel};
use crate::{predicates, revocation, timer};

const TIMER: usize = TIMER_VECTOR - FIRST_DEVICE_VECTOR;
const WAKE: usize = WAKE_VECTOR - FIRST_DEVICE_VECTOR;
const CONTROL: usize = CONTROL_VECTOR as usize - FIRST_DEVICE_VECTOR;
const _: () = assert!(CONTROL > WAKE && CONTROL < DEVICE_VECTORS + OWN_VECTORS);

/// Called by interrupt.S with the position of the vector behind the first of devices. Returns 1 if whoever was interrupted has been ended
/// by another vCPU, while this one waited for the lock.
pub extern "C" fn handle_interrupt(vector: u64) -> u32 {
    registers::end_interrupt();
    let index = vcpu::index();
    with_kernel(|kernel| {
        match vector as usize {
            vector @ 0..DEVICE_VECTORS => raise_event(kernel, index, vector),
            TIMER => timer::handle_moment(kernel, index),
            WAKE => {
                // Who was woken is in the queue already; now the slice of whoever runs has an end.
                timer::arm(kernel, index);
                tell_of_the_past(kernel, index);
            }
            CONTROL => revocation::handle_request(kernel, index),
            _ => {}
        }
        let ended = kernel.ledger.running(index) == EnvironmentId::NOBODY
            && is_of_environment(InterruptFrame::of(index).read());
        u32::from(ended)
    })
}

/// Whether an interrupt came while ring 3 ran.
fn is_of_environment([_, code_segment, ..]: [u64; 5]) -> bool {
    code_segment & 3 != 0
}

/// An interrupt of a device.
fn raise_event(kernel: &mut Kernel, index: usize, vector: usize) {
    let Some(route) = kernel
        .vcpus
        .get(index)
        .and_then(|vcpu| vcpu.routes.get(vector))
    else {
        return;
    };
    let Ok(environment) = kernel.environment(route.environment) else {
        return;
    };
    let pages = environment.context.pages;
    // Between the two halves of a forced switch it runs nothing of its own.
    let is_itself = environment.context.progress == Progress::None;
    environment.untold |= !is_itself;
    pages.raise_event(route.event);
    kernel.ledger.count_interrupt(route.environment);
    predicates::notice(kernel, index, route.environment);
    if is_itself && kernel.ledger.running(index) == route.environment {
        let told = tell(pages, index, kernel.features);
        note_told(kernel, route.environment, told);
    }
}

/// The event of an environment's own timer: whether it knows of it, or will when it wakes.
pub fn raise_timer_event(kernel: &mut Kernel, index: usize, id: EnvironmentId) -> bool {
    let Ok(environment) = kernel.environment(id) else {
        return true;
    };
    let (pages, progress) = (environment.context.pages, environment.context.progress);
    pages.raise_events();
    let state = kernel.ledger.environment(id).map(|entry| entry.state);
    if state != Ok(State::Runnable as u32) {
        return true;
    }
    let is_itself = progress == Progress::None && kernel.ledger.running(index) == id;
    is_itself && tell(pages, index, kernel.features)
}

/// Something that is no interrupt was counted for an environment: it is told as if it were one, on its own vCPU. Who was switched by force is told
/// when it goes on; who gave up the vCPU by itself, behind its call, looks for itself.
pub fn announce(kernel: &mut Kernel, id: EnvironmentId) {
    let Ok(vcpu) = kernel.ledger.environment(id).map(|entry| entry.vcpu) else {
        return;
    };
    let runs = kernel.ledger.running(vcpu as usize) == id;
    let Ok(environment) = kernel.environment(id) else {
        return;
    };
    let is_itself = environment.context.progress == Progress::None;
    environment.untold = runs || !is_itself;
    if runs && is_itself {
        registers::interrupt_vcpu(vcpu as usize, WAKE_VECTOR);
    }
}

/// An environment goes on where it was interrupted, on vCPU `index`, which this is: it is told of what came meanwhile as soon as it runs.
pub fn remind(kernel: &mut Kernel, index: usize, id: EnvironmentId) {
    if kernel
        .environment(id)
        .is_ok_and(|environment| environment.untold)
    {
        registers::interrupt_vcpu(index, WAKE_VECTOR);
    }
}

/// Tells whoever runs on vCPU `index` of what it has not been told.
fn tell_of_the_past(kernel: &mut Kernel, index: usize) {
    let running = kernel.ledger.running(index);
    let Ok(environment) = kernel.environment(running) else {
        return;
    };
    let context = environment.context;
    if context.progress == Progress::None && environment.untold {
        let told = tell(context.pages, index, kernel.features);
        note_told(kernel, running, told);
    }
}

fn note_told(kernel: &mut Kernel, id: EnvironmentId, told: bool) {
    if let Ok(environment) = kernel.environment(id) {
        environment.untold = !told;
    }
}

/// Tells whoever runs of the event by an upcall, if it asked for that: whether it did not ask, or was told. What was interrupted goes on when
/// the libOS likes; where its turn has not begun yet, it begins with the upcall. Not told is who has not finished the last one: it has to look at its counters, or ask to be told by [`event_upcall_set`].
///
/// [`event_upcall_set`]: crate::calls::environment::event_upcall_set
fn tell(pages: EnvironmentPages, index: usize, features: u64) -> bool {
    let frame = InterruptFrame::of(index);
    let mut interrupted = frame.read();
    let [instruction, ..] = interrupted;
    let (entry, stack) = pages.event_upcall();
    if entry == 0 {
        return true;
    }
    if !is_of_environment(interrupted) || !pages.take_event_credit() {
        return false;
    }
    match interface_page::begin_anew(instruction, features) {
        None => frame.redirect(entry, USER_FLAGS, stack),
        Some(begin) => {
            let (goes_on, its_stack) = pages.resume_point();
            [interrupted[0], interrupted[3]] = [goes_on, its_stack];
            pages.set_resume_point(entry, stack);
            frame.redirect(begin, USER_FLAGS, 0);
        }
    }
    pages.write_event_frame(interrupted);
    true
}

/// Called by interrupt.S when another vCPU has interrupted this one. An idle one then looks for whom to run by itself. Takes no
/// lock: the other holds it, and waits. Returns 1 if whoever was interrupted has been ended.
pub extern "C" fn handle_neighbour(_: u64) -> u32 {
    registers::end_interrupt();
    u32::from(shootdown::serve_here())
}
