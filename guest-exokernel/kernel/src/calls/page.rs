//! Batches of mappings. Each entry of a batch is done whole or not at all; the first refused entry ends the batch.

use exo_abi::address::{BLOCK_SIZE, PAGE_SIZE, PROGRAM_BASE, PROGRAM_END, is_page_aligned};
use exo_abi::error::DONE;
use exo_abi::map::{MAP_BATCH, MAP_PAGES_MAX, MapEntry};
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use super::Answer;
use crate::hw::paging::{AddressSpace, PageTable, leaf_flags};
use crate::kernel::Kernel;

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
fn for_each_entry(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    entries: u64,
    work: fn(&mut Kernel, Caller, &MapEntry) -> Result<(), Error>,
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

fn map_run(kernel: &mut Kernel, caller: Caller, entry: &MapEntry) -> Result<(), Error> {
    let rights = Rights::from_number(entry.rights, Rights::MAPPING).ok_or(Error::BadArgument)?;
    let (address, frame, pages) = (entry.address, entry.frame, u64::from(entry.pages));
    let capability = Capability(entry.capability);
    let kind = kernel
        .ledger
        .check_mapping(caller.id, capability, frame, pages, rights)?;
    let found = caller.space.find(address);
    match found {
        Ok(table) => table.check_absent(address, pages)?,
        Err(missing) => kernel.ledger.check_tables_quota(caller.id, missing)?,
    }

    let ledger = &mut kernel.ledger;
    let table = match found {
        Ok(table) => table,
        Err(_) => caller.space.reach(&mut kernel.pool, address, &mut || {
            ledger.add_table(caller.id)
        }),
    };
    let device = kind == Kind::Function;
    table.map(address, frame, pages, leaf_flags(rights, device));
    if device {
        for page in frame..frame + pages {
            ledger.add_device_mapping(page);
        }
    } else {
        ledger.add_mappings(frame, pages);
    }
    Ok(())
}

/// The page table of a run that is to be mapped already.
fn present_table(caller: Caller, entry: &MapEntry) -> Result<PageTable, Error> {
    let found = caller.space.find(entry.address);
    found.map_err(|_| Error::NotMapped)
}

fn protect_run(kernel: &mut Kernel, caller: Caller, entry: &MapEntry) -> Result<(), Error> {
    let rights = Rights::from_number(entry.rights, Rights::MAPPING).ok_or(Error::BadArgument)?;
    let (address, pages) = (entry.address, u64::from(entry.pages));
    let table = present_table(caller, entry)?;
    let capability = Capability(entry.capability);
    table.check_present(address, pages, |page| {
        let check = kernel
            .ledger
            .check_mapping(caller.id, capability, page.frame, 1, rights);
        check.map(|_| ())
    })?;

    table.protect(address, pages, rights);
    Ok(())
}

fn unmap_run(kernel: &mut Kernel, caller: Caller, entry: &MapEntry) -> Result<(), Error> {
    let (address, pages) = (entry.address, u64::from(entry.pages));
    let table = present_table(caller, entry)?;
    table.check_present(address, pages, |_| Ok(()))?;

    let ledger = &mut kernel.ledger;
    table.unmap(address, pages, |page| {
        if page.device {
            ledger.remove_device_mapping(page.frame);
        } else {
            ledger.remove_mapping(page.frame);
        }
    });
    Ok(())
}
