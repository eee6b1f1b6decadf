//! Environments that are made: made, started and ended by whoever holds a capability for their number.

use exo_abi::slice::SLICES;
use exo_abi::{Capability, EnvironmentId, Error};

use crate::entries::{check_instruction, check_stack};
use crate::kernel::Kernel;
use crate::{creation, ending};

/// Makes an environment, which does not run yet, with quotas out of the owner's: frames, page tables, capabilities.
pub fn environment_create(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    (capability, number): (Capability, u64),
    vcpu: u64,
    frames: u64,
    others: u64,
) -> Result<u64, Error> {
    let quotas = [frames, others >> 32, others & 0xffff_ffff];
    let ledger = &mut kernel.ledger;
    let vcpus = (ledger.tables().slices.len() / SLICES) as u64;
    let planned = ledger.check_creation(caller, capability, number, (vcpu, vcpus), quotas)?;

    ledger.commit_creation(planned, caller);
    creation::prepare(kernel, planned, caller, vcpu as usize);
    Ok(0)
}

/// Lets an environment run that was made. `index` is this vCPU.
pub fn environment_start(
    kernel: &mut Kernel,
    index: usize,
    caller: EnvironmentId,
    (capability, number): (Capability, u64),
    (entry, stack): (u64, u64),
    argument: u64,
) -> Result<u64, Error> {
    let id = kernel.ledger.check_start(caller, capability, number)?;
    check_instruction(entry)?;
    check_stack(stack)?;
    let pages = kernel.environment(id)?.context.pages;

    pages.set_resume_point(entry, stack);
    pages.set_resume_status(argument);
    creation::start(kernel, index, id);
    Ok(0)
}

/// Ends an environment that was made. `index` is this vCPU.
pub fn environment_end(
    kernel: &mut Kernel,
    index: usize,
    caller: EnvironmentId,
    (capability, number): (Capability, u64),
    status: u64,
) -> Result<u64, Error> {
    let id = kernel.ledger.check_control(caller, capability, number)?;
    if id == caller {
        return Err(Error::BadArgument);
    }
    kernel.ledger.check_made(caller, capability, number)?;

    ending::stop(kernel, index, id);
    kernel.ledger.record_exit(id, status);
    ending::release_all(kernel, id);
    Ok(0)
}
