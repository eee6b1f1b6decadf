//! The end of an environment: everything that it held is taken back. When the last one ends, so does the machine.

use exo_abi::bundle::Features;
use exo_abi::capability::CapabilityEntry;
use exo_abi::control::Command;
use exo_abi::function::{PCI_COMMAND, PCI_MSIX_CAPABILITY};
use exo_abi::port::ExitCode;
use exo_abi::{Capability, EnvironmentId, Kind};

use crate::control_device;
use crate::hw::{console, devices, memory};
use crate::kernel::Kernel;

/// Takes back everything of an environment whose end is recorded. Cost: linear in what it held.
pub fn release_all(kernel: &mut Kernel, id: EnvironmentId) {
    if kernel.ledger.tables().summary.environments_alive == 0 {
        console::end_machine(ExitCode::Orderly);
    }
    // An environment's vectors are routed to the vCPU that runs it.
    let vcpu = kernel.ledger.environment(id).map(|entry| entry.vcpu);
    if let Ok(vcpu) = vcpu
        && let Some(vcpu) = kernel.vcpus.get_mut(vcpu as usize)
    {
        for route in vcpu.routes.iter_mut().take(vcpu.routes_used) {
            if route.environment == id {
                route.environment = EnvironmentId::NOBODY;
            }
        }
    }
    // Functions first: when they are reset nothing is in flight, and no frame is given back under a device's hands.
    let mut next = kernel.ledger.newest_capability(id);
    while let Some(capability) = next {
        next = kernel.ledger.older_capability(id, capability);
        if let Ok(entry) = kernel.ledger.capability(id, capability)
            && entry.kind == Kind::Function as u8
        {
            release(kernel, id, capability, &entry);
        }
    }
    while let Some(capability) = kernel.ledger.newest_capability(id)
        && let Ok(entry) = kernel.ledger.capability(id, capability)
    {
        release(kernel, id, capability, &entry);
    }
}

/// Gives back what one capability names, which nothing prevents any more, and makes the capability stale.
pub fn release(
    kernel: &mut Kernel,
    id: EnvironmentId,
    capability: Capability,
    entry: &CapabilityEntry,
) {
    match Kind::from_number(entry.kind) {
        Some(Kind::Frames | Kind::Blocks) => {
            let blocks = entry.kind == Kind::Blocks as u8;
            if let Ok(environment) = kernel.environment(id) {
                environment
                    .space
                    .unmap_window(entry.first, entry.count, blocks);
            }
            scrub(kernel, entry.first, entry.count);
        }
        Some(Kind::Function) => release_function(kernel, id, entry.first),
        Some(Kind::Ports) => {
            if let Ok(environment) = kernel.environment(id) {
                environment.context.console = false;
            }
        }
        // Where the domain is gone with its last function, its mappings are gone too.
        Some(Kind::Dma) => {
            if let Some(iommu) = &mut kernel.iommu {
                let _ = iommu.unmap(id, entry.first, entry.count);
            }
        }
        None => {}
    }
    kernel.ledger.commit_free(id, capability);
}

/// Frames read as zero before anybody else gets them.
fn scrub(kernel: &Kernel, first: u64, count: u64) {
    let scrubbed = kernel.has(Features::CONTROL_DEVICE)
        && control_device::run(Command::Scrub, [first, count, 0, 0]).is_ok();
    if !scrubbed {
        memory::zero_frames(first, count);
    }
}

/// A bound function is reset, detached, and may start no DMA and no interrupt.
fn release_function(kernel: &mut Kernel, id: EnvironmentId, index: u64) {
    let Ok(function) = kernel.ledger.function(index as u32) else {
        return;
    };
    if function.bound == 0 {
        return;
    }
    let record = function.record;
    // The function exists, so the only refusals of the device cannot come.
    let _ = control_device::run(Command::FunctionReset, [index, 0, 0, 0]);
    if let Some(iommu) = &mut kernel.iommu {
        let _ = iommu.detach(id, record.address);
    }
    devices::write::<u16>(record.configuration + PCI_MSIX_CAPABILITY + 2, 0);
    devices::write::<u16>(record.configuration + PCI_COMMAND, 0);
}
