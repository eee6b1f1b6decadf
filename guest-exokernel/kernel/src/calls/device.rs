//! Binding of device functions: DMA rights, the function itself or one of its queues, interrupt vectors, what of a disk it shows.

use exo_abi::bundle::Features;
use exo_abi::control::Command;
use exo_abi::function::{
    PCI_COMMAND, PCI_COMMAND_BUS_MASTER, PCI_COMMAND_MEMORY, queue_endpoint, queue_vector,
};
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use crate::control_device;
use crate::hw::devices;
use crate::iommu::Iommu;
use crate::kernel::Kernel;
use crate::routes;

/// Puts frames into the caller's domain.
pub fn dma_map(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    capability: Capability,
    first: u64,
    count: u64,
    rights: u64,
) -> Result<u64, Error> {
    let rights = u32::try_from(rights)
        .ok()
        .and_then(|rights| Rights::from_number(rights, Rights::READ_WRITE))
        .ok_or(Error::BadArgument)?;
    kernel
        .ledger
        .check_dma_map(caller, capability, first, count, rights)?;
    // The domain exists once a function is bound. The device itself refuses what overlaps.
    kernel
        .iommu
        .as_mut()
        .ok_or(Error::BadState)?
        .map(caller, first, count, rights)?;

    let ledger = &mut kernel.ledger;
    Ok(ledger
        .commit_dma_map(caller, capability, first, count, rights)
        .0)
}

/// Attaches a function, or a queue of a function that is bound, to the caller's domain; from now on it may start DMA, and its pages
/// can be mapped.
pub fn function_bind(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    capability: Capability,
) -> Result<u64, Error> {
    if kernel.ledger.capability(caller, capability)?.kind == Kind::Queue as u8 {
        return queue_bind(kernel, caller, capability);
    }
    let index = kernel.ledger.function_capability(caller, capability)?;
    let record = kernel.ledger.check_bind(index)?;
    if kernel.iommu.is_none() {
        if !kernel.has(Features::IOMMU) {
            return Err(Error::Unsupported);
        }
        kernel.iommu = Iommu::start(&kernel.ledger.function(0)?.record);
    }
    attach(kernel, caller, record.address)?;

    devices::write::<u16>(
        record.configuration + PCI_COMMAND,
        PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER,
    );
    kernel.ledger.commit_bind(capability, index);
    Ok(0)
}

/// The queue leaves its function: who drives that no longer reaches it, nor gets its interrupts.
fn queue_bind(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    capability: Capability,
) -> Result<u64, Error> {
    let queue = kernel.ledger.check_bind_queue(caller, capability)?;
    let endpoint = queue_endpoint(queue.record.address, queue.number);
    attach(kernel, caller, endpoint)?;

    let vector = queue_vector(queue.number as u16);
    routes::unbind(kernel, queue.function, vector.into());
    kernel.ledger.commit_bind_queue(capability, queue);
    Ok(0)
}

fn attach(kernel: &mut Kernel, domain: EnvironmentId, endpoint: u32) -> Result<(), Error> {
    let iommu = kernel.iommu.as_mut().ok_or(Error::Unsupported)?;
    iommu.attach(domain, endpoint)
}

/// Routes a vector of a bound function, or that of a bound queue, to a free event counter of the caller, on the vCPU that runs it.
pub fn vector_bind(
    kernel: &mut Kernel,
    vcpu: usize,
    caller: EnvironmentId,
    capability: Capability,
    vector: u64,
) -> Result<u64, Error> {
    let function = kernel.ledger.check_vector(caller, capability, vector)?;
    if !kernel.has(Features::X2APIC) {
        return Err(Error::Unsupported);
    }
    routes::bind(kernel, vcpu, caller, function, vector)
}

/// Has a function that the caller has bound show an extent and nothing else of its disk, to be written if the extent may be.
pub fn extent_bind(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    extent: Capability,
    function: Capability,
) -> Result<u64, Error> {
    let (entry, index) = kernel.ledger.check_bind_extent(caller, extent, function)?;
    let writable = Rights(u32::from(entry.rights)).contains(Rights::WRITE);
    let shown = [
        u64::from(index),
        entry.first,
        entry.count,
        u64::from(writable),
    ];
    control_device::run(Command::ExtentSet, shown).map_err(|_| Error::Unsupported)?;

    kernel.ledger.commit_bind_extent(extent, index);
    Ok(0)
}
