//! Allocation of frames, by name or any.

use exo_abi::{EnvironmentId, Error, Kind};

use crate::kernel::Kernel;

/// Allocates frames and shows them in the frame window. Memory that is free is zeroed already.
pub fn frame_allocate(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    first: u64,
    count: u64,
    order: u64,
) -> Result<u64, Error> {
    let allocation = kernel.ledger.plan_allocation(caller, first, count, order)?;
    let blocks = allocation.kind == Kind::Blocks;
    let space = kernel.environment(caller)?.space;
    let tables = space.check_window(allocation.first, allocation.count, blocks);
    kernel.ledger.check_tables_quota(caller, tables)?;

    let capability = kernel.ledger.commit_allocation(caller, allocation);
    let ledger = &mut kernel.ledger;
    let given_back = space.map_window(
        &mut kernel.pool,
        allocation.first,
        allocation.count,
        blocks,
        &mut || ledger.add_table(caller),
    );
    for _ in 0..given_back {
        ledger.remove_table(caller);
    }
    Ok(capability.0)
}
