//! `scale WHAT COUNT`: takes so many of something, gives all of it back, and recounts what the kernel says is free.
//!
//! The ring-0 instructions of two runs differ by what COUNT adds, so that the cost of one among many can be compared with that of
//! one among few. `census` is for an image of many: it waits for all others to end, and then looks for what they left behind.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use exo_rt::abi::address::{BLOCK_FRAMES, BLOCK_SIZE, DEVICE_HOLE, DEVICE_HOLE_END, PAGE_SIZE};
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::abi::frame::BlockState;
use exo_rt::abi::layout::Summary;
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::{Capability, EnvironmentId, Error, Rights};
use exo_rt::{environment, gate, tables};

exo_rt::program!(main);

/// log2 of the frames of a block.
const BLOCK: u32 = BLOCK_FRAMES.trailing_zeros();
/// Where a frame is mapped.
const REGION: u64 = 0x2000_0000;

fn main() -> Result<(), String> {
    let mut arguments = environment::arguments();
    let what = arguments.next().unwrap_or_default();
    let count = arguments.next().and_then(|count| count.parse().ok());
    let count: u64 = count.ok_or_else(|| String::from("arguments: WHAT COUNT"))?;
    let run = match what.as_str() {
        "blocks" => |count| take_memory(count, BLOCK),
        "frames" => |count| take_memory(count, 0),
        "capabilities" => take_capabilities,
        "crowd" => return take_turns(count).map_err(|error| format!("{what}: {error}")),
        "census" => return wait_for_others().and_then(|()| find_leftovers()),
        _ => {
            return Err(String::from(
                "WHAT: blocks, frames, capabilities, crowd or census",
            ));
        }
    };
    let before = counts();
    run(count).map_err(|error| format!("{what}: {error}"))?;
    find_leftovers()?;
    let after = counts();
    if after != before {
        return Err(format!("{before:?} before, {after:?} after"));
    }
    Ok(())
}

/// What is free or in use now: blocks, frames of split blocks, capabilities.
fn counts() -> [u64; 3] {
    let Summary {
        free_blocks,
        split_frames_used,
        capabilities_used,
        ..
    } = tables::summary();
    [free_blocks, split_frames_used, capabilities_used]
}

/// One allocation each.
fn take_memory(count: u64, order: u32) -> Result<(), Error> {
    let taken = (0..count)
        .map(|_| gate::frame_allocate(ANY_FRAME, 1, order))
        .collect::<Result<Vec<Capability>, Error>>()?;
    taken.into_iter().try_for_each(gate::capability_free)
}

/// All derived from one, by turns from each of its frames; revoked together.
fn take_capabilities(count: u64) -> Result<(), Error> {
    let grant = environment::grant_capability();
    for number in 0..count {
        let frame = environment::grant_first() + number % environment::grant_frames();
        gate::capability_derive(grant, frame, 1, Rights::READ)?;
    }
    gate::capability_revoke(grant)
}

/// A frame is taken, mapped and used; a capability derived; and everything given back when all others have done the same.
fn take_turns(rounds: u64) -> Result<(), Error> {
    for round in 0..rounds {
        let memory = gate::frame_allocate(ANY_FRAME, 1, 0)?;
        let entry = tables::capability(memory.slot()).ok_or(Error::BadCapability)?;
        let page = MapEntry {
            address: REGION + round % BLOCK_FRAMES * PAGE_SIZE,
            frame: entry.first,
            pages: 1,
            rights: Rights::READ_WRITE.0,
            capability: memory.0,
        };
        gate::page_map(&[page])?;
        let derived = gate::capability_derive(memory, entry.first, 1, Rights::READ)?;
        gate::environment_yield()?;
        gate::capability_free(derived)?;
        gate::page_unmap(&[page])?;
        gate::capability_free(memory)?;
    }
    Ok(())
}

fn wait_for_others() -> Result<(), String> {
    let own = environment::id();
    while tables::environments().any(|(id, entry)| id != own && !tables::has_ended(&entry)) {
        gate::environment_yield().map_err(|error| format!("yield: {error}"))?;
    }
    Ok(())
}

/// Recounts the exported tables: what is in use belongs to the kernel or to who is alive, and the summary says the same.
fn find_leftovers() -> Result<(), String> {
    let may_own = |id: EnvironmentId| {
        id == EnvironmentId::KERNEL
            || tables::environment(id).is_some_and(|entry| !tables::has_ended(&entry))
    };
    let expect = |what: &str, recounted: u64, summary: u64| match recounted == summary {
        true => Ok(()),
        false => Err(format!(
            "{what}: {recounted} recounted, {summary} in the summary"
        )),
    };
    // No memory, and so nobody's.
    let hole = DEVICE_HOLE..DEVICE_HOLE_END;
    let mut free_blocks = 0;
    let mut split_frames = 0;
    for number in 0..tables::block_count() {
        let block = tables::block(number).unwrap_or_default();
        match BlockState::from_number(block.state) {
            Some(BlockState::Free) if hole.contains(&(number * BLOCK_SIZE)) => {}
            Some(BlockState::Free) => free_blocks += 1,
            Some(BlockState::Whole) if may_own(block.owner) => {}
            Some(BlockState::Split) => {
                let frames = number * BLOCK_FRAMES..(number + 1) * BLOCK_FRAMES;
                for frame in frames {
                    let owner = tables::frame(frame).unwrap_or_default().owner;
                    if owner != EnvironmentId::NOBODY && !may_own(owner) {
                        return Err(format!("frame {frame} is still that of {}", owner.0));
                    }
                    split_frames += u64::from(owner != EnvironmentId::NOBODY);
                }
            }
            _ => return Err(format!("block {number} is still that of {}", block.owner.0)),
        }
    }
    let mut capabilities = 0;
    for slot in 0..tables::capability_slots() {
        let entry = tables::capability_at(slot).unwrap_or_default();
        if entry.holder != EnvironmentId::NOBODY && !may_own(entry.holder) {
            return Err(format!("slot {slot} is still that of {}", entry.holder.0));
        }
        capabilities += u64::from(entry.holder != EnvironmentId::NOBODY);
    }
    for (id, entry) in tables::environments() {
        let held = [
            entry.frames,
            entry.capabilities,
            entry.dma_mappings,
            entry.first_capability,
        ];
        if tables::has_ended(&entry) && held != [0; 4] {
            return Err(format!(
                "environment {} has ended, but holds {held:?}",
                id.0
            ));
        }
    }
    let summary = tables::summary();
    expect("free blocks", free_blocks, summary.free_blocks)?;
    expect(
        "frames of split blocks",
        split_frames,
        summary.split_frames_used,
    )?;
    expect("capabilities", capabilities, summary.capabilities_used)
}
