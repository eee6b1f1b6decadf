//! Entries of a batch that are of pages of 2 MiB: what `page` does for pages of 4 KiB, one level above. Only blocks are mapped so.

use exo_abi::address::{BLOCK_FRAMES, BLOCK_SIZE, PROGRAM_BASE, PROGRAM_END};
use exo_abi::map::{LARGE_PAGES, MapEntry};
use exo_abi::{Capability, Error, Rights};

use super::page::Target;
use crate::hw::paging::{Page, Run, TABLE_FRAMES, leaf_flags};
use crate::kernel::Kernel;
use crate::mappings::count_unmapped;

/// Bytes that one page directory maps.
const DIRECTORY: u64 = BLOCK_SIZE << 9;

/// The count, then the address. A run lies inside one page directory. What is left of the budget.
pub fn check_run(entry: &MapEntry, budget: u64) -> Result<u64, Error> {
    let pages = u64::from(entry.pages);
    if pages == 0 || pages > budget {
        return Err(Error::BadCount);
    }
    let inside = entry.address >= PROGRAM_BASE && entry.address < PROGRAM_END;
    let last = entry.address % DIRECTORY + pages * BLOCK_SIZE;
    if !entry.address.is_multiple_of(BLOCK_SIZE) || !inside || last > DIRECTORY {
        return Err(Error::BadAddress);
    }
    Ok(budget - pages)
}

fn rights(entry: &MapEntry) -> Result<Rights, Error> {
    Rights::from_number(entry.rights & !LARGE_PAGES, Rights::MAPPING).ok_or(Error::BadArgument)
}

/// Maps a run. Where a page table was, for pages of 4 KiB, it stays, and so does what it maps.
#[inline(never)]
pub fn map_run(kernel: &mut Kernel, target: Target, entry: &MapEntry) -> Result<(), Error> {
    let rights = rights(entry)?;
    let (address, frame, pages) = (entry.address, entry.frame, u64::from(entry.pages));
    let capability = Capability(entry.capability);
    let ledger = &mut kernel.ledger;
    ledger.check_block_mapping(target.id, capability, frame, pages, rights)?;
    match target.space.find::<1>(address, pages) {
        Ok(run) => run.check_absent()?,
        Err(missing) => ledger.check_tables_quota(target.id, missing)?,
    }

    let run: Run<1> = target
        .space
        .reach(&mut kernel.pool, address, pages, &mut || {
            ledger.add_tables(target.id, TABLE_FRAMES)
        });
    run.map(ledger, capability.slot(), frame, leaf_flags(rights, false));
    ledger.add_block_mappings(frame, pages);
    Ok(())
}

/// A run that is to be mapped already.
fn find_present(target: Target, entry: &MapEntry) -> Result<Run<1>, Error> {
    let found = target.space.find(entry.address, u64::from(entry.pages));
    found.map_err(|_| Error::NotMapped)
}

/// Changes the rights of a run.
#[inline(never)]
pub fn protect_run(kernel: &mut Kernel, target: Target, entry: &MapEntry) -> Result<(), Error> {
    let rights = rights(entry)?;
    let capability = Capability(entry.capability);
    let ledger = &mut kernel.ledger;
    let mappable = ledger.check_mappable_blocks(target.id, capability, rights)?;
    let run = find_present(target, entry)?;
    run.check_pages(|page| match mappable.contains(page.frame, BLOCK_FRAMES) {
        true => Ok(()),
        false => Err(Error::OutOfRange),
    })?;

    run.protect(ledger, capability.slot(), rights);
    Ok(())
}

/// Unmaps a run.
#[inline(never)]
pub fn unmap_run(kernel: &mut Kernel, target: Target, entry: &MapEntry) -> Result<(), Error> {
    let run = find_present(target, entry)?;
    run.check_present()?;

    run.unmap(&mut kernel.ledger, |ledger, page, pages| {
        for frame in (page.frame..)
            .step_by(BLOCK_FRAMES as usize)
            .take(pages as usize)
        {
            count_unmapped(ledger, Page { frame, ..page });
        }
    });
    Ok(())
}
