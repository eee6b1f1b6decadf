//! Shootdown: makes another vCPU forget its translations, take over the ports of its environment, or leave it when it has ended.

use core::sync::atomic::{AtomicBool, Ordering};

use exo_lock::Mailbox;

use super::registers;
use super::vcpu::{self, NEIGHBOUR_VECTOR, VCPUS_MAX};
use crate::ports;

/// Requests to each vCPU.
static MAILBOXES: [Mailbox; VCPUS_MAX] = [const { Mailbox::new() }; VCPUS_MAX];

/// By vCPU: whoever runs there has been ended, and it is not to go back to it.
static ENDED: [AtomicBool; VCPUS_MAX] = [const { AtomicBool::new(false) }; VCPUS_MAX];

/// Flushes, and takes over ports, if a neighbour has asked this vCPU to, which waits for the kernel's lock: once it has that, it finds out
/// by itself whether whoever it serves has been ended. Interrupts are off.
pub fn serve() {
    serve_here();
}

/// The same on its way back to ring 3; whether there is nobody any more to go back to.
pub fn serve_here() -> bool {
    let index = vcpu::index();
    let mut has_ended = false;
    if let (Some(mailbox), Some(ended)) = (MAILBOXES.get(index), ENDED.get(index)) {
        mailbox.serve(|| {
            registers::flush_translations();
            ports::take_over(index);
            has_ended = ended.swap(false, Ordering::Relaxed);
        });
    }
    has_ended
}

/// Makes vCPU `index`, which is not this one, leave ring 3 for good, as whoever it runs has been ended; returns when it has. The caller
/// holds the kernel's lock, and has recorded that nobody runs there.
pub fn end_elsewhere(index: usize) {
    if let Some(ended) = ENDED.get(index) {
        ended.store(true, Ordering::Relaxed);
    }
    flush_elsewhere(index);
}

/// Makes vCPU `index`, which is not this one, forget its translations; returns when it has. The caller holds the kernel's lock, and
/// has changed the page tables, or the ports. Cost: an interrupt of the other vCPU, and the wait for it.
pub fn flush_elsewhere(index: usize) {
    let Some(mailbox) = MAILBOXES.get(index) else {
        return;
    };
    mailbox.request();
    registers::interrupt_vcpu(index, NEIGHBOUR_VECTOR);
    while !mailbox.is_served() {
        core::hint::spin_loop();
    }
}
