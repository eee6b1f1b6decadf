//! Allocation of frames, by name, by colour or any.

use exo_abi::call::ANY_FRAME;
use exo_abi::{Capability, EnvironmentId, Error, Kind};

use crate::hw::paging::TABLE_FRAMES;
use crate::kernel::Kernel;

/// Allocates frames and shows them in the frame window. Memory that is free is zeroed already.
pub fn frame_allocate(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    names: (u64, u64),
    order: u64,
    colour: u64,
) -> Result<u64, Error> {
    if let Some(capability) = take_frame(kernel, caller, names, order, colour) {
        return Ok(capability.0);
    }
    allocate(kernel, caller, names, order, colour)
}

/// Any one frame, where the next one is free and the window has a page table for it: the path that is taken most. `None`, and nothing is
/// changed: it is something else.
#[inline(always)]
fn take_frame(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    names: (u64, u64),
    order: u64,
    colour: u64,
) -> Option<Capability> {
    if names != (ANY_FRAME, 1) || order | colour != 0 {
        return None;
    }
    let frame = kernel.ledger.plan_frame(caller)?;
    let window = kernel
        .environment(caller)
        .ok()?
        .space
        .find_in_window(frame)?;

    window.show_in_window(frame);
    Some(kernel.ledger.commit_frame(caller, frame))
}

#[inline(never)]
fn allocate(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    names: (u64, u64),
    order: u64,
    colour: u64,
) -> Result<u64, Error> {
    let (first, count) = names;
    let ledger = &mut kernel.ledger;
    let allocation = ledger.plan_allocation(caller, first, count, order, colour)?;
    let (first, count) = (allocation.first, allocation.count);
    let blocks = allocation.kind == Kind::Blocks;
    let space = kernel.environment(caller)?.space;
    let window = if blocks {
        None
    } else {
        space.find_window(first, count)
    };
    if window.is_none() {
        let tables = space.check_window(first, count, blocks);
        kernel.ledger.check_tables_quota(caller, tables)?;
    }

    let ledger = &mut kernel.ledger;
    let capability = ledger.commit_allocation(caller, allocation);
    if let Some(window) = window {
        window.show_in_window(first);
        return Ok(capability.0);
    }
    let given_back = space.map_window(&mut kernel.pool, first, count, blocks, &mut || {
        ledger.add_tables(caller, TABLE_FRAMES)
    });
    if given_back != 0 {
        ledger.remove_tables(caller, given_back);
    }
    Ok(capability.0)
}
