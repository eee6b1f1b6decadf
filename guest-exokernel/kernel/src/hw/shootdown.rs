//! Shootdown: makes another vCPU forget its translations, and take over the ports of its environment.

use exo_lock::Mailbox;

use super::registers;
use super::vcpu::{self, NEIGHBOUR_VECTOR, VCPUS_MAX};
use crate::ports;

/// Requests to each vCPU.
static MAILBOXES: [Mailbox; VCPUS_MAX] = [const { Mailbox::new() }; VCPUS_MAX];

/// Flushes, and takes over ports, if a neighbour has asked this vCPU to. Interrupts are off.
pub fn serve() {
    let index = vcpu::index();
    if let Some(mailbox) = MAILBOXES.get(index) {
        mailbox.serve(|| {
            registers::flush_translations();
            ports::take_over(index);
        });
    }
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
