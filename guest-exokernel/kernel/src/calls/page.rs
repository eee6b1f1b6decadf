//! Batches of mappings. Each entry of a batch is done whole or not at all; the first refused entry ends the batch.

use exo_abi::address::{BLOCK_SIZE, PAGE_SIZE, PROGRAM_BASE, PROGRAM_END, is_page_aligned};
use exo_abi::error::DONE;
use exo_abi::map::{LARGE_PAGES, MAP_BATCH, MAP_PAGES_MAX, MapEntry};
use exo_abi::{Capability, EnvironmentId, Error, Rights};

use super::{Answer, large_page};
use crate::hw::environment_pages::EnvironmentPages;
use crate::hw::paging::{AddressSpace, LARGE_PAGE, Run, TABLE_FRAMES, leaf_flags};
use crate::kernel::Kernel;
use crate::mappings::{count_unmapped, flush_environment};

/// Maps runs of frames, or of device pages.
#[inline(always)]
pub fn page_map(kernel: &mut Kernel, batch: Batch) -> Answer {
    if batch.capability != 0 {
        return change_other(kernel, Batch { ..batch }, map_run, large_page::map_run);
    }
    change_own(kernel, batch, map_run, large_page::map_run)
}

/// Changes the rights of mapped runs.
#[inline(always)]
pub fn page_protect(kernel: &mut Kernel, batch: Batch) -> Answer {
    if batch.capability != 0 {
        return change_other(
            kernel,
            Batch { ..batch },
            protect_run,
            large_page::protect_run,
        );
    }
    change_own(kernel, batch, protect_run, large_page::protect_run)
}

/// Unmaps runs.
#[inline(always)]
pub fn page_unmap(kernel: &mut Kernel, batch: Batch) -> Answer {
    if batch.capability != 0 {
        return change_other(kernel, Batch { ..batch }, unmap_run, large_page::unmap_run);
    }
    change_own(kernel, batch, unmap_run, large_page::unmap_run)
}

/// What all three are asked.
#[derive(Clone, Copy)]
pub struct Batch {
    /// In whose call page the entries stand.
    pub caller: EnvironmentId,
    /// How many.
    pub entries: u64,
    /// 0: in the caller; else the capability by which it reaches another environment.
    pub capability: u64,
    /// The number of that.
    pub number: u64,
}

impl Batch {
    /// From the arguments of the call.
    #[inline(always)]
    pub fn new(caller: EnvironmentId, [entries, capability, number, ..]: [u64; 5]) -> Self {
        Self {
            caller,
            entries,
            capability,
            number,
        }
    }
}

/// Whose pages change: its capabilities count.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub(super) id: EnvironmentId,
    pub(super) space: AddressSpace,
}

/// What is done with an entry.
type Work = fn(&mut Kernel, Target, &MapEntry) -> Result<(), Error>;

/// Changes pages of the caller. Where this is built in, `work` is too.
#[inline(always)]
fn change_own(
    kernel: &mut Kernel,
    batch: Batch,
    work: impl Fn(&mut Kernel, Target, &MapEntry) -> Result<(), Error>,
    work_large: Work,
) -> Answer {
    for_each_entry(
        kernel,
        batch,
        |kernel| {
            let environment = kernel.environment(batch.caller)?;
            let target = Target {
                id: batch.caller,
                space: environment.space,
            };
            Ok((target, environment.context.pages))
        },
        work,
        work_large,
    )
}

/// Changes pages of another environment. What this vCPU forgets page by page, that one's may know still.
#[inline(never)]
fn change_other(kernel: &mut Kernel, batch: Batch, work: Work, work_large: Work) -> Answer {
    let mut id = EnvironmentId::NOBODY;
    let answer = for_each_entry(
        kernel,
        batch,
        |kernel| {
            let capability = Capability(batch.capability);
            let ledger = &kernel.ledger;
            id = ledger.check_made(batch.caller, capability, batch.number)?;
            let space = kernel.environment(id)?.space;
            let pages = kernel.environment(batch.caller)?.context.pages;
            Ok((Target { id, space }, pages))
        },
        work,
        work_large,
    );
    if id != batch.caller {
        flush_environment(kernel, id);
    }
    answer
}

/// Does the entries of the call page in their order. The value of the answer is the number of entries done.
#[inline(always)]
fn for_each_entry(
    kernel: &mut Kernel,
    batch: Batch,
    find: impl FnOnce(&mut Kernel) -> Result<(Target, EnvironmentPages), Error>,
    work: impl Fn(&mut Kernel, Target, &MapEntry) -> Result<(), Error>,
    work_large: Work,
) -> Answer {
    let entries = batch.entries;
    let mut done = 0;
    let mut budget = MAP_PAGES_MAX;
    let run = || {
        if entries == 0 || entries > MAP_BATCH as u64 {
            return Err(Error::BadCount);
        }
        let (target, pages) = find(kernel)?;
        while done < entries {
            let entry = pages.batch_entry(done as usize);
            if entry.rights & LARGE_PAGES == 0 {
                budget = check_run(&entry, budget)?;
                work(kernel, target, &entry)?;
            } else {
                // A copy, so that the other one need not lie in memory.
                let large = MapEntry { ..entry };
                budget = large_page::check_run(&large, budget)?;
                work_large(kernel, target, &large)?;
            }
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

/// One page of memory in a page table that is there: the path that page faults take most. `None`, and nothing is changed: it is something else.
#[inline(always)]
fn map_page(kernel: &mut Kernel, target: Target, entry: &MapEntry) -> Option<()> {
    if entry.pages != 1 {
        return None;
    }
    let rights = Rights::from_number(entry.rights, Rights::MAPPING)?;
    let capability = Capability(entry.capability);
    let ledger = &mut kernel.ledger;
    if !ledger.may_map_frame(target.id, capability, entry.frame, rights) {
        return None;
    }
    let page = target.space.find_absent(entry.address)?;

    page.map(
        ledger,
        capability.slot(),
        entry.frame,
        leaf_flags(rights, false),
    );
    ledger.add_mapping(entry.frame);
    Some(())
}

#[inline(always)]
fn map_run(kernel: &mut Kernel, target: Target, entry: &MapEntry) -> Result<(), Error> {
    match map_page(kernel, target, entry) {
        Some(()) => Ok(()),
        None => map_pages(kernel, target, entry),
    }
}

#[inline(never)]
fn map_pages(kernel: &mut Kernel, target: Target, entry: &MapEntry) -> Result<(), Error> {
    let rights = Rights::from_number(entry.rights, Rights::MAPPING).ok_or(Error::BadArgument)?;
    let (address, frame, pages) = (entry.address, entry.frame, u64::from(entry.pages));
    let capability = Capability(entry.capability);
    let ledger = &mut kernel.ledger;
    let device = ledger.check_mapping(target.id, capability, frame, pages, rights)?;
    let found = target.space.find::<0>(address, pages);
    match found {
        Ok(run) => run.check_absent()?,
        Err(LARGE_PAGE) => return Err(Error::InUse),
        Err(missing) => ledger.check_tables_quota(target.id, missing)?,
    }

    let run = match found {
        Ok(run) => run,
        Err(_) => target
            .space
            .reach(&mut kernel.pool, address, pages, &mut || {
                ledger.add_tables(target.id, TABLE_FRAMES)
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
fn find_present(target: Target, entry: &MapEntry) -> Result<Run, Error> {
    let found = target
        .space
        .find::<0>(entry.address, u64::from(entry.pages));
    found.map_err(|_| Error::NotMapped)
}

#[inline(always)]
fn protect_run(kernel: &mut Kernel, target: Target, entry: &MapEntry) -> Result<(), Error> {
    let rights = Rights::from_number(entry.rights, Rights::MAPPING).ok_or(Error::BadArgument)?;
    let capability = Capability(entry.capability);
    let ledger = &mut kernel.ledger;
    let mappable = ledger.check_mappable(target.id, capability, rights)?;
    let run = find_present(target, entry)?;
    run.check_present(|page| match mappable.contains(page.frame, 1) {
        true => Ok(()),
        false => Err(Error::OutOfRange),
    })?;

    run.protect(ledger, capability.slot(), rights);
    Ok(())
}

#[inline(always)]
fn unmap_run(kernel: &mut Kernel, target: Target, entry: &MapEntry) -> Result<(), Error> {
    let run = find_present(target, entry)?;
    run.check_present(|_| Ok(()))?;

    run.unmap(&mut kernel.ledger, count_unmapped);
    Ok(())
}
