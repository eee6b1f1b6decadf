//! Taking mappings from environments that did not ask for it: when a capability is revoked, taken by force, or its holder ends.

use exo_abi::EnvironmentId;
use exo_ledger::Ledger;

use crate::hw::paging::{Page, unmap_first};
use crate::hw::{registers, shootdown, vcpu};
use crate::kernel::Kernel;

/// Removes up to `budget` of the mappings that were made under the capability in `slot`, and lowers `budget` by them; whether
/// none is left. When this returns no vCPU uses what was removed. Cost: linear in what is removed, and one interrupt to another
/// vCPU where the holder runs there.
pub fn unmap_capability(kernel: &mut Kernel, slot: u32, budget: &mut u64) -> bool {
    let ledger = &mut kernel.ledger;
    if ledger.first_mapping(slot) == 0 {
        return true;
    }
    let done = unmap_first(ledger, slot, budget, count_unmapped);
    let entry = ledger.tables().capabilities.get(slot as usize);
    if let Some(holder) = entry.map(|entry| entry.holder) {
        flush_environment(kernel, holder);
    }
    done
}

/// Records that a page is mapped once less.
#[inline(always)]
pub fn count_unmapped(ledger: &mut Ledger, page: Page) {
    if !page.device {
        ledger.remove_mapping(page.frame);
    }
}

/// The same of so many pages from this one on.
pub fn count_run_unmapped(ledger: &mut Ledger, page: Page, pages: u64) {
    if !page.device {
        ledger.remove_mappings(page.frame, pages);
    }
}

/// Takes frames out of the window of `id`, who owns them and may run on another vCPU.
pub fn unmap_window(kernel: &mut Kernel, id: EnvironmentId, frames: (u64, u64), blocks: bool) {
    let (first, count) = frames;
    if let Ok(environment) = kernel.environment(id) {
        environment.space.unmap_window(first, count, blocks);
    }
    if kernel.ledger.running(vcpu::index()) != id {
        flush_environment(kernel, id);
    }
}

/// Makes the vCPU that runs `id`, if one does, forget all translations of ring 3. An environment runs on one vCPU, and whoever
/// comes to run starts with none: address spaces have no tags.
pub fn flush_environment(kernel: &Kernel, id: EnvironmentId) {
    let Ok(environment) = kernel.ledger.environment(id) else {
        return;
    };
    let vcpu = environment.vcpu as usize;
    if kernel.ledger.running(vcpu) != id {
        return;
    }
    if vcpu == vcpu::index() {
        registers::flush_translations();
    } else {
        shootdown::flush_elsewhere(vcpu);
    }
}
