//! Calls about processor time: slots of the vector of time slices, and slice upcalls.

use exo_abi::slice::{ANY_POSITION, SLICES};
use exo_abi::{Capability, EnvironmentId, Error};

use crate::entries::{check_optional_instruction, check_stack};
use crate::kernel::Kernel;
use crate::slices;
use crate::transfer;

/// Allocates slots of the vCPU that runs the caller, by position or any. They run it.
pub fn slice_allocate(
    kernel: &mut Kernel,
    index: usize,
    caller: EnvironmentId,
    vcpu: u64,
    position: u64,
    count: u64,
) -> Result<u64, Error> {
    if vcpu != index as u64 {
        return Err(Error::BadArgument);
    }
    if count == 0 || count > SLICES as u64 {
        return Err(Error::BadCount);
    }
    let first = match position {
        ANY_POSITION => slices::find_free(kernel, index, count)?,
        first => first,
    };
    let name = kernel.ledger.check_slices(caller, vcpu, first, count)?;

    let capability = kernel.ledger.commit_slices(caller, name);
    slices::assign(kernel, index, first, count, caller);
    Ok(capability.0)
}

/// Binds slots that were given to the caller.
pub fn slice_bind(
    kernel: &mut Kernel,
    index: usize,
    caller: EnvironmentId,
    capability: Capability,
) -> Result<u64, Error> {
    let name = kernel.ledger.check_bind_slices(caller, capability)?;

    kernel.ledger.commit_bind_slices(capability);
    slices::assign(kernel, index, name.first, name.count, caller);
    Ok(0)
}

/// Sets where slice upcalls go.
pub fn slice_upcall_set(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    end: u64,
    begin: u64,
    stack: u64,
) -> Result<u64, Error> {
    check_optional_instruction(end)?;
    check_optional_instruction(begin)?;
    check_stack(stack)?;
    if kernel.slice_ticks == 0 {
        return Err(Error::Unsupported);
    }
    let grace = kernel.grace_ticks;
    let pages = kernel.environment(caller)?.context.pages;
    pages.set_slice_upcalls(end, begin, stack, grace);
    transfer::update_terms(kernel, caller);
    Ok(0)
}
