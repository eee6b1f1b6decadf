//! The end of an environment: everything that it held is taken back. When the last one ends, so does the machine.

use exo_abi::bundle::Features;
use exo_abi::capability::CapabilityEntry;
use exo_abi::control::Command;
use exo_abi::environment::AbortReason;
use exo_abi::port::ExitCode;
use exo_abi::{Capability, EnvironmentId, Kind};

use crate::hw::{console, memory, shootdown, vcpu};
use crate::kernel::Kernel;
use crate::mappings::{unmap_capability, unmap_window};
use crate::{
    bindings, control_device, creation, ports, predicates, revocation, slices, timer, transfer,
};

/// Stops an environment that has not ended and is not the one that calls: nobody runs it from now on, and nothing is saved. `index` is
/// this vCPU.
pub fn stop(kernel: &mut Kernel, index: usize, id: EnvironmentId) {
    let Ok(vcpu) = kernel
        .ledger
        .environment(id)
        .map(|entry| entry.vcpu as usize)
    else {
        return;
    };
    slices::forget(kernel, vcpu, id);
    timer::cancel_sleep(kernel, vcpu, id);
    if kernel.ledger.running(vcpu) == id {
        kernel.ledger.set_running(vcpu, EnvironmentId::NOBODY);
        if vcpu != index {
            shootdown::end_elsewhere(vcpu);
        }
    }
}

/// Ends the environments that were made out of the quotas of this one.
fn end_made(kernel: &mut Kernel, owner: EnvironmentId, entry: &CapabilityEntry) {
    let index = vcpu::index();
    for number in entry.first..entry.first + entry.count {
        if kernel.environment(owner).is_ok_and(|one| one.made == 0) {
            return;
        }
        let id = EnvironmentId(number as u16);
        if kernel.ledger.is_alive(id) {
            stop(kernel, index, id);
            kernel
                .ledger
                .record_abort(id, AbortReason::OwnerEnded, [0; 4]);
            release_all(kernel, id);
        }
    }
}

/// Takes back everything of an environment whose end is recorded, and ends those that were made out of its quotas. Cost: linear in what
/// they held.
pub fn release_all(kernel: &mut Kernel, id: EnvironmentId) {
    if kernel.ledger.tables().summary.environments_alive == 0 {
        console::end_machine(ExitCode::Orderly);
    }
    transfer::end(kernel, id);
    if let Ok(entry) = kernel.ledger.environment(id) {
        let index = entry.vcpu as usize;
        timer::set_event(kernel, index, id, 0);
        slices::stop(kernel, index, id);
    }
    revocation::forget(kernel, id);
    // Functions and queues first: when they have ended nothing is in flight, and no frame is given back under a device's hands.
    let mut next = kernel.ledger.newest_capability(id);
    while let Some(capability) = next {
        if let Ok(&entry) = kernel.ledger.capability(id, capability) {
            bindings::unbind(kernel, capability, &entry);
            if entry.kind == Kind::Environment as u8 && entry.parent == 0 {
                end_made(kernel, id, &entry);
            }
        }
        next = kernel.ledger.older_capability(id, capability);
    }
    while let Some(capability) = kernel.ledger.newest_capability(id)
        && let Ok(&entry) = kernel.ledger.capability(id, capability)
    {
        revoke_below(kernel, capability, u64::MAX);
        release(kernel, id, capability, &entry);
    }
    creation::give_back(kernel, id);
}

/// Takes what was derived from `ancestor`, whoever holds it, the last derived first; at most `batch` capabilities and
/// mappings. Whether all are gone. Cost: linear in what is taken.
pub fn revoke_below(kernel: &mut Kernel, ancestor: Capability, batch: u64) -> bool {
    let mut from = ancestor;
    let mut left = batch;
    while let Some(leaf) = kernel.ledger.take_unmapped(ancestor, from, &mut left) {
        if !unmap_capability(kernel, leaf.slot(), &mut left) || left == 0 {
            return false;
        }
        left -= 1;
        from = kernel.ledger.parent(leaf).unwrap_or(ancestor);
        if let Some(&entry) = kernel.ledger.entry(leaf) {
            release(kernel, entry.holder, leaf, &entry);
        }
    }
    true
}

/// Gives back what one capability names, which nothing prevents any more, and makes the capability stale. What a derived one
/// names stays with the root of its tree.
pub fn release(
    kernel: &mut Kernel,
    id: EnvironmentId,
    capability: Capability,
    entry: &CapabilityEntry,
) {
    let root = entry.parent == 0;
    // Page tables of whoever has ended are not used again, if it is of the image: only the counts of what others own matter.
    let used_again =
        kernel.ledger.is_alive(id) || kernel.ledger.owner_of(id) != EnvironmentId::NOBODY;
    if used_again || !root {
        let mut no_limit = u64::MAX;
        unmap_capability(kernel, capability.slot(), &mut no_limit);
    }
    match Kind::from_number(entry.kind) {
        Some(Kind::Frames | Kind::Blocks) if root => {
            let blocks = entry.kind == Kind::Blocks as u8;
            if used_again {
                unmap_window(kernel, id, (entry.first, entry.count), blocks);
            }
            scrub(kernel, entry.first, entry.count);
        }
        Some(Kind::Function | Kind::Queue | Kind::Extent) => {
            bindings::unbind(kernel, capability, entry);
        }
        Some(Kind::Slice) => slices::release(kernel, capability, entry),
        // Where the domain is gone with its last function, its mappings are gone too.
        Some(Kind::Dma) => {
            if let Some(iommu) = &mut kernel.iommu {
                let _ = iommu.unmap(id, entry.first, entry.count);
            }
        }
        Some(Kind::Entry) => transfer::forget(kernel, id, capability),
        Some(Kind::Environment) if root => end_made(kernel, id, entry),
        _ => {}
    }
    kernel.ledger.commit_free(id, capability);
    // It may have slept on words that it can no longer have read.
    predicates::reconsider(kernel, vcpu::index(), id);
    if entry.kind == Kind::Ports as u8 {
        ports::update(kernel, id);
    }
    revocation::check_answer(kernel, id);
}

/// Frames read as zero before anybody else gets them.
fn scrub(kernel: &Kernel, first: u64, count: u64) {
    let scrubbed = kernel.has(Features::CONTROL_DEVICE)
        && control_device::run(Command::Scrub, [first, count, 0, 0]).is_ok();
    if !scrubbed {
        memory::zero_frames(first, count);
    }
}
