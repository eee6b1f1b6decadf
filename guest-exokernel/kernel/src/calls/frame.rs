//! Allocation of frames, by name, by colour or any.

use exo_abi::call::ANY_FRAME;
use exo_abi::{Capability, EnvironmentId, Error, Kind};

use super::Answer;
use crate::hw::paging::{AddressSpace, TABLE_FRAMES};
use crate::kernel::Kernel;

/// Allocates frames and shows them in the frame window. Memory that is free is zeroed already. Any one frame is the path that is taken most:
/// the next one, where that is free and the window has a page table for it.
#[inline(always)]
pub fn frame_allocate(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    names: (u64, u64),
    order: u64,
    colour: u64,
) -> Answer {
    if names == (ANY_FRAME, 1) && order | colour == 0 {
        let show = |frame| {
            let place = AddressSpace::current().find_in_window(frame)?;
            place.show_in_window(frame);
            Some(())
        };
        if let Some(Capability(value)) = kernel.ledger.take_frame(caller, show) {
            return Ok(value).into();
        }
    }
    answer_any(names, order, colour, kernel, caller)
}

/// In the order of the call's arguments, which stay in their registers so.
#[cold]
#[inline(never)]
fn answer_any(
    names: (u64, u64),
    order: u64,
    colour: u64,
    kernel: &mut Kernel,
    caller: EnvironmentId,
) -> Answer {
    allocate(kernel, caller, names, order, colour).into()
}

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
