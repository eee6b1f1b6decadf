//! Binding of device functions: DMA rights, the function itself, its interrupt vectors.

use exo_abi::bundle::Features;
use exo_abi::environment::EVENTS_MAX;
use exo_abi::function::{
    MSIX_TABLE, PCI_COMMAND, PCI_COMMAND_BUS_MASTER, PCI_COMMAND_MEMORY, PCI_MSIX_CAPABILITY,
    PCI_MSIX_ENABLE,
};
use exo_abi::{Capability, EnvironmentId, Error, Rights};

use crate::hw::devices;
use crate::hw::vcpu::{DEVICE_VECTORS, FIRST_DEVICE_VECTOR};
use crate::iommu::Iommu;
use crate::kernel::{Kernel, Route};

/// Bytes of an entry of the MSI-X table: address, upper address, data, control (PCI 3.0, section 6.8.2.6).
const MSIX_ENTRY: u64 = 16;
/// Where interrupts are written to; the destination's number goes into bits 12 to 19 (Intel SDM volume 3, section 11.11.1).
const MESSAGE_ADDRESS: u32 = 0xfee0_0000;

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

/// Attaches a function to the caller's domain; from now on it may start DMA, and its pages can be mapped.
pub fn function_bind(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    capability: Capability,
) -> Result<u64, Error> {
    let index = kernel.ledger.function_capability(caller, capability)?;
    let record = kernel.ledger.check_bind(index)?;
    if kernel.iommu.is_none() {
        if !kernel.has(Features::IOMMU) {
            return Err(Error::Unsupported);
        }
        kernel.iommu = Iommu::start(&kernel.ledger.function(0)?.record);
    }
    kernel
        .iommu
        .as_mut()
        .ok_or(Error::Unsupported)?
        .attach(caller, record.address)?;

    devices::write::<u16>(
        record.configuration + PCI_COMMAND,
        PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER,
    );
    kernel.ledger.commit_bind(capability, index);
    Ok(0)
}

/// Routes a vector of a bound function to a fresh event counter of the caller, on the vCPU that runs it.
pub fn vector_bind(
    kernel: &mut Kernel,
    vcpu: usize,
    caller: EnvironmentId,
    capability: Capability,
    vector: u64,
) -> Result<u64, Error> {
    let (function, record) = kernel.ledger.check_vector(caller, capability, vector)?;
    if !kernel.has(Features::X2APIC) {
        return Err(Error::Unsupported);
    }
    let event = kernel.environment(caller)?.events;
    if event >= EVENTS_MAX {
        return Err(Error::Quota);
    }
    let state = kernel.vcpus.get_mut(vcpu).ok_or(Error::BadArgument)?;
    let slot = state.routes_used;
    if slot >= DEVICE_VECTORS {
        return Err(Error::Exhausted);
    }

    if let Some(route) = state.routes.get_mut(slot) {
        *route = Route {
            environment: caller,
            event,
        };
    }
    state.routes_used += 1;
    kernel.environment(caller)?.events += 1;
    kernel.ledger.commit_vector(function, vector);
    let table = record.msix + MSIX_TABLE + vector * MSIX_ENTRY;
    devices::write::<u32>(table, MESSAGE_ADDRESS | (vcpu as u32) << 12);
    devices::write::<u32>(table + 4, 0);
    devices::write::<u32>(table + 8, (FIRST_DEVICE_VECTOR + slot) as u32);
    devices::write::<u32>(table + 12, 0);
    devices::write::<u16>(
        record.configuration + PCI_MSIX_CAPABILITY + 2,
        PCI_MSIX_ENABLE,
    );
    Ok(event as u64)
}
