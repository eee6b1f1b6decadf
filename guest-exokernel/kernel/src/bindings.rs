//! The end of a binding of a function, a queue or an extent: when it is over, nothing that rested on it is in flight.

use exo_abi::capability::CapabilityEntry;
use exo_abi::control::Command;
use exo_abi::function::{PCI_COMMAND, PCI_MSIX_CAPABILITY, queue_endpoint, queue_vector};
use exo_abi::{Capability, Kind};

use crate::control_device;
use crate::hw::devices;
use crate::kernel::Kernel;
use crate::routes;

/// Ends what the holder of a capability has bound by it, if anything.
pub fn unbind(kernel: &mut Kernel, capability: Capability, entry: &CapabilityEntry) {
    if entry.bound == 0 {
        return;
    }
    match Kind::from_number(entry.kind) {
        Some(Kind::Function) => unbind_function(kernel, capability, entry),
        Some(Kind::Queue) => unbind_queue(kernel, capability, entry),
        Some(Kind::Extent) => unbind_extent(kernel, entry.bound),
        _ => {}
    }
}

/// The function is reset, detached, and may start no DMA and no interrupt; it shows no extent. Its queues that are bound by
/// themselves are ended too, but stay bound.
fn unbind_function(kernel: &mut Kernel, capability: Capability, entry: &CapabilityEntry) {
    let index = entry.first as u32;
    let Ok(function) = kernel.ledger.function(index) else {
        return;
    };
    let record = function.record;
    // The function exists, so the only refusals of the device cannot come.
    let _ = control_device::run(Command::FunctionReset, [entry.first, 0, 0, 0]);
    unbind_extent(kernel, index);
    if let Some(iommu) = &mut kernel.iommu {
        let _ = iommu.detach(entry.holder, record.address);
    }
    routes::unbind_function(kernel, index);
    devices::write::<u16>(record.configuration + PCI_MSIX_CAPABILITY + 2, 0);
    devices::write::<u16>(record.configuration + PCI_COMMAND, 0);
    kernel.ledger.commit_unbind(capability);
}

/// The queue alone is ended and detached; others of its function go on.
fn unbind_queue(kernel: &mut Kernel, capability: Capability, entry: &CapabilityEntry) {
    let Ok(queue) = kernel.ledger.queue(entry) else {
        return;
    };
    if let Some(iommu) = &mut kernel.iommu {
        let endpoint = queue_endpoint(queue.record.address, queue.number);
        // It is attached there, so this is not refused.
        let _ = iommu.detach(entry.holder, endpoint);
    }
    let vector = queue_vector(queue.number as u16);
    routes::unbind(kernel, queue.function, vector.into());
    kernel.ledger.commit_unbind_queue(capability);
}

/// The function shows nothing of its disk from now on.
fn unbind_extent(kernel: &mut Kernel, function: u32) {
    if kernel.ledger.commit_unbind_extent(function) {
        let _ = control_device::run(Command::ExtentSet, [function.into(), 0, 0, 0]);
    }
}
