//! Batches of mappings. Each entry of a batch is done whole or not at all; the first refused entry ends the batch.

use exo_abi::address::{BLOCK_SIZE, PAGE_SIZE, PROGRAM_BASE, PROGRAM_END, is_page_aligned};
use exo_abi::error::DONE;
use exo_abi::map::{MAP_BATCH, MAP_PAGES_MAX, MapEntry};
use exo_abi::{Capability, EnvironmentId, Error, Rights};

use super::Answer;
use crate::hw::paging::{AddressSpace, Run, leaf_flags};
use crate::kernel::Kernel;
use crate::mappings::count_unmapped;

/// Maps runs of frames, or of device pages.
pub fn page_map(kernel: &mut Kernel, caller: EnvironmentId, entries: u64) -> Answer {
    for_each_entry(kernel, caller, entries, map_run)
}

/// Changes the rights of mapped runs.
pub fn page_protect(kernel: &mut Kernel, caller: EnvironmentId, entries: u64) -> Answer {
    for_each_entry(kernel, caller, entries, protect_run)
}

/// Unmaps runs.
pub fn page_unmap(kernel: &mut Kernel, caller: EnvironmentId, entries: u64) -> Answer {
    for_each_entry(kernel, caller, entries, unmap_run)
}

/// Who calls, and its page tables.
#[derive(Clone, Copy)]
struct Caller {
    id: EnvironmentId,
    space: AddressSpace,
}

/// Does the entries of the call page in their order. The value of the answer is the number of entries done.
#[inline(always)]
fn for_each_entry(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    entries: u64,
    work: impl Fn(&mut Kernel, Caller, &MapEntry) -> Result<(), Error>,
) -> Answer {
    let mut done = 0;
    let mut budget = MAP_PAGES_MAX;
    let mut run = || {
        if entries == 0 || entries > MAP_BATCH as u64 {
            return Err(Error::BadCount);
        }
        let environment = kernel.environment(caller)?;
        let pages = environment.context.pages;
        let caller = Caller {
            id: caller,
            space: environment.space,
        };
        while done < entries {
            let entry = pages.batch_entry(done as usize);
            budget = check_run(&entry, budget)?;
            work(kernel, caller, &entry)?;
            done += 1;
        }
        Ok(())
    };
    let status = match run() {
        Ok(()) => DONE,
        Err(error) => error as u64,
    };
    Answer {
        status,
        value: done,
    }
}

/// What all three check: the count, then the address. A run lies inside one page table, so it does not cross a multiple of
/// 2 MiB. What is left of the budget of pages.
fn check_run(entry: &MapEntry, budget: u64) -> Result<u64, Error> {
    let pages = u64::from(entry.pages);
    if pages == 0 || pages > budget {
        return Err(Error::BadCount);
    }
    let inside = entry.address >= PROGRAM_BASE && entry.address < PROGRAM_END;
    let last = entry.address % BLOCK_SIZE + pages * PAGE_SIZE;
    if !is_page_aligned(entry.address) || !inside || last > BLOCK_SIZE {
        return Err(Error::BadAddress);
    }
    Ok(budget - pages)
}

#[inline(always)]
fn map_run(kernel: &mut Kernel, caller: Caller, entry: &MapEntry) -> Result<(), Error> {
    let rights = Rights::from_number(entry.rights, Rights::MAPPING).ok_or(Error::BadArgument)?;
    let (address, frame, pages) = (entry.address, entry.frame, u64::from(entry.pages));
    let capability = Capability(entry.capability);
    let ledger = &mut kernel.ledger;
    let device = ledger.check_mapping(caller.id, capability, frame, pages, rights)?;
    let found = caller.space.find(address, pages);
    match found {
        Ok(run) => run.check_absent()?,
        Err(missing) => ledger.check_tables_quota(caller.id, missing)?,
    }

    let run = match found {
        Ok(run) => run,
        Err(_) => caller
            .space
            .reach(&mut kernel.pool, address, pages, &mut || {
                ledger.add_table(caller.id)
            }),
    };
    run.map(ledger, capability.slot(), frame, leaf_flags(rights, device));
    if !device {
        ledger.add_mappings(frame, pages);
    }
    Ok(())
}

/// A run that is to be mapped already.
#[inline(always)]
fn find_present(caller: Caller, entry: &MapEntry) -> Result<Run, Error> {
    let found = caller.space.find(entry.address, u64::from(entry.pages));
    found.map_err(|_| Error::NotMapped)
}

#[inline(always)]
fn protect_run(kernel: &mut Kernel, caller: Caller, entry: &MapEntry) -> Result<(), Error> {
    let rights = Rights::from_number(entry.rights, Rights::MAPPING).ok_or(Error::BadArgument)?;
    let capability = Capability(entry.capability);
    let ledger = &mut kernel.ledger;
    let mappable = ledger.check_mappable(caller.id, capability, rights)?;
    let run = find_present(caller, entry)?;
    run.check_present(|page| match mappable.contains(page.frame, 1) {
        true => Ok(()),
        false => Err(Error::OutOfRange),
    })?;

    run.protect(ledger, capability.slot(), rights);
    Ok(())
}

#[inline(always)]
fn unmap_run(kernel: &mut Kernel, caller: Caller, entry: &MapEntry) -> Result<(), Error> {
    let run = find_present(caller, entry)?;
    run.check_present(|_| Ok(()))?;

    run.unmap(&mut kernel.ledger, count_unmapped);
    Ok(())
}
