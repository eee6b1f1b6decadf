//! Capabilities as such: giving back what one names, deriving, giving to others, taking back.

use exo_abi::capability::{CapabilityEntry, REVOKE_BATCH};
use exo_abi::{Capability, EnvironmentId, Error, Kind};

use crate::ending;
use crate::kernel::Kernel;
use crate::{ports, revocation, transfer};

/// Frees the resource and makes the capability stale. Nothing may be derived from it; frames must not be mapped outside the
/// window; a function must have no page mapped.
pub fn capability_free(
    kernel: &mut Kernel,
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
    ending::release(kernel, caller, capability, &entry);
    Ok(0)
}

/// Derives a capability, which the caller holds.
pub fn capability_derive(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    capability: Capability,
    range: (u64, u64),
    rights: u64,
    kind: u64,
) -> Result<u64, Error> {
    let ledger = &mut kernel.ledger;
    let derivation = ledger.check_derive(caller, capability, range, rights, kind)?;
    Ok(ledger.commit_derive(caller, capability, derivation).0)
}

/// Gives a derived capability, of which no use is made, to another environment. The answer is the word of the new holder.
pub fn capability_give(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    capability: Capability,
    environment: u64,
) -> Result<u64, Error> {
    let receiver = kernel.ledger.check_give(caller, capability, environment)?;
    let given = kernel.ledger.commit_give(caller, capability, receiver);
    transfer::forget(kernel, caller, capability);
    revocation::check_answer(kernel, caller);
    let is_ports = |entry: &CapabilityEntry| entry.kind == Kind::Ports as u8;
    if kernel.ledger.entry(given).is_some_and(is_ports) {
        ports::update(kernel, caller);
        ports::update(kernel, receiver);
    }
    Ok(given.0)
}

/// Makes another capability like one that was derived, which another environment holds. The answer is the word of that one.
pub fn capability_copy(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    capability: Capability,
    environment: u64,
) -> Result<u64, Error> {
    let receiver = kernel.ledger.check_copy(caller, capability, environment)?;
    let copy = kernel.ledger.commit_copy(capability, receiver);
    let is_ports = |entry: &CapabilityEntry| entry.kind == Kind::Ports as u8;
    if kernel.ledger.entry(copy).is_some_and(is_ports) {
        ports::update(kernel, receiver);
    }
    Ok(copy.0)
}

/// Says from whom the caller accepts capabilities.
pub fn capability_accept(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    environment: u64,
) -> Result<u64, Error> {
    kernel.ledger.accept(caller, environment)?;
    Ok(0)
}

/// Takes back what was derived from the capability: so much of it as one call may.
pub fn capability_revoke(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    capability: Capability,
) -> Result<u64, Error> {
    kernel.ledger.check_revoke(caller, capability)?;
    let done = ending::revoke_below(kernel, capability, REVOKE_BATCH);
    Ok(u64::from(!done))
}
