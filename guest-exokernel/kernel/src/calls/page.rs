//! Batches of mappings. Each entry of a batch is done whole or not at all; the first refused entry ends the batch.

use exo_abi::address::{PAGE_SIZE, PROGRAM_BASE, PROGRAM_END, is_page_aligned};
use exo_abi::error::DONE;
use exo_abi::map::{MAP_BATCH, MAP_PAGES_MAX, MapEntry};
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use super::Answer;
use crate::hw::paging::leaf_flags;
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

/// Does the entries of the call page in their order. The value of the answer is the number of entries done.
fn for_each_entry(
    kernel: &mut Kernel,
    caller: EnvironmentId,
    entries: u64,
    work: fn(&mut Kernel, EnvironmentId, &MapEntry) -> Result<(), Error>,
) -> Answer {
    let mut done = 0;
    let mut budget = MAP_PAGES_MAX;
    let mut run = || {
        if entries == 0 || entries > MAP_BATCH as u64 {
            return Err(Error::BadCount);
        }
        let pages = kernel.environment(caller)?.context.pages;
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

/// What all three check: the count, then the address. What is left of the budget of pages.
fn check_run(entry: &MapEntry, budget: u64) -> Result<u64, Error> {
    let pages = u64::from(entry.pages);
    if pages == 0 || pages > budget {
        return Err(Error::BadCount);
    }
    // No overflow: there are at most MAP_PAGES_MAX pages, and the address is checked first.
    let inside = entry.address >= PROGRAM_BASE
        && entry.address < PROGRAM_END
        && entry.address + pages * PAGE_SIZE <= PROGRAM_END;
    if !is_page_aligned(entry.address) || !inside {
        return Err(Error::BadAddress);
    }
    Ok(budget - pages)
}

fn map_run(kernel: &mut Kernel, caller: EnvironmentId, entry: &MapEntry) -> Result<(), Error> {
    let rights = Rights::from_number(entry.rights).ok_or(Error::BadArgument)?;
    let pages = u64::from(entry.pages);
    let kind = kernel.ledger.check_mapping(
        caller,
        Capability(entry.capability),
        entry.frame,
        pages,
        rights,
    )?;
    let space = kernel.environment(caller)?.space;
    let tables = space.check_absent(entry.address, pages)?;
    if tables != 0 {
        kernel.ledger.check_tables_quota(caller, tables)?;
    }

    let device = kind == Kind::Function;
    let ledger = &mut kernel.ledger;
    let flags = leaf_flags(rights, device);
    space.map(
        &mut kernel.pool,
        entry.address,
        entry.frame,
        pages,
        flags,
        &mut || ledger.add_table(caller),
    );
    if device {
        for page in entry.frame..entry.frame + pages {
            kernel.ledger.add_device_mapping(page);
        }
    } else {
        kernel.ledger.add_mappings(entry.frame, pages);
    }
    Ok(())
}

fn protect_run(kernel: &mut Kernel, caller: EnvironmentId, entry: &MapEntry) -> Result<(), Error> {
    let rights = Rights::from_number(entry.rights).ok_or(Error::BadArgument)?;
    let pages = u64::from(entry.pages);
    let space = kernel.environment(caller)?.space;
    let capability = Capability(entry.capability);
    space.check_present(entry.address, pages, |page| {
        kernel
            .ledger
            .check_mapping(caller, capability, page.frame, 1, rights)
            .map(|_| ())
    })?;

    space.protect(entry.address, pages, rights);
    Ok(())
}

fn unmap_run(kernel: &mut Kernel, caller: EnvironmentId, entry: &MapEntry) -> Result<(), Error> {
    let pages = u64::from(entry.pages);
    let space = kernel.environment(caller)?.space;
    space.check_present(entry.address, pages, |_| Ok(()))?;

    let ledger = &mut kernel.ledger;
    space.unmap(entry.address, pages, |page| {
        if page.device {
            ledger.remove_device_mapping(page.frame);
        } else {
            ledger.remove_mapping(page.frame);
        }
    });
    Ok(())
}
