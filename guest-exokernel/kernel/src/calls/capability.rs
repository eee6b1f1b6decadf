//! Giving back what a capability names.

use exo_abi::{Capability, EnvironmentId, Error, Kind};

use crate::ending;
use crate::hw::vcpu;
use crate::kernel::Kernel;

/// Frees the resource and makes the capability stale. Frames must not be mapped outside the window nor in the DMA domain;
/// a function must have no page mapped.
pub fn capability_free(
    kernel: &mut Kernel,
    index: usize,
    caller: EnvironmentId,
    capability: Capability,
) -> Result<u64, Error> {
    let entry = kernel.ledger.check_free(caller, capability)?;
    if entry.kind == Kind::Dma as u8 {
        let iommu = kernel.iommu.as_mut().ok_or(Error::Unsupported)?;
        iommu.unmap(caller, entry.first, entry.count)?;
        kernel.ledger.commit_free(caller, capability);
        return Ok(0);
    }
    if entry.kind == Kind::Ports as u8 {
        vcpu::allow_console(index, false);
    }
    ending::release(kernel, caller, capability, &entry);
    Ok(0)
}
