//! Batches of mappings. Each entry of a batch is done whole or not at all; the first refused entry ends the batch.

use exo_abi::address::{BLOCK_SIZE, PAGE_SIZE, PROGRAM_BASE, PROGRAM_END, is_page_aligned};
use exo_abi::error::DONE;
use exo_abi::map::{LARGE_PAGES, MAP_BATCH, MAP_PAGES_MAX, MapEntry};
use exo_abi::{Capability, EnvironmentId, Error, Rights};

use super::{Answer, large_page};
use crate::hw::environment_pages::EnvironmentPages;
use crate::hw::paging::{AddressSpace, LARGE_PAGE, Run, TABLE_FRAMES, leaf_flags};
use crate::kernel::Kernel;
use crate::mappings::{count_run_unmapped, count_unmapped, flush_environment};

/// Maps runs of frames, or of device pages.
#[inline(always)]
pub fn page_map(kernel: &mut Kernel, batch: Batch) -> Answer {
    if batch.capability != 0 {
        return batch.change_other(kernel, map_run, large_page::map_run);
    }
    change_own(kernel, batch, map_page, map_run, large_page::map_run)
}

/// Changes the rights of mapped runs.
#[inline(always)]
pub fn page_protect(kernel: &mut Kernel, batch: Batch) -> Answer {
    if batch.capability != 0 {
        return batch.change_other(kernel, protect_run, large_page::protect_run);
    }
    change_own(
        kernel,
        batch,
        protect_page,
        protect_run,
        large_page::protect_run,
    )
}

/// Unmaps runs.
#[inline(always)]
pub fn page_unmap(kernel: &mut Kernel, batch: Batch) -> Answer {
    if batch.capability != 0 {
        return batch.change_other(kernel, unmap_run, large_page::unmap_run);
    }
    change_own(kernel, batch, unmap_page, unmap_run, large_page::unmap_run)
}

/// What all three are asked.
#[derive(Clone, Copy)]
pub struct Batch {
    /// Who asks.
    pub caller: EnvironmentId,
    /// Its pages: in its call page the entries stand.
    pub pages: EnvironmentPages,
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
    pub fn new(
        caller: EnvironmentId,
        pages: EnvironmentPages,
        [entries, capability, number, ..]: [u64; 5],
    ) -> Self {
        Self {
            caller,
            pages,
            entries,
            capability,
            number,
        }
    }

    /// Changes pages of another environment. A copy goes there, so that the batch itself need not lie in memory.
    #[inline(always)]
    fn change_other(self, kernel: &mut Kernel, work: Work, work_large: Work) -> Answer {
        change_other(kernel, &Self { ..self }, work, work_large)
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

/// Changes pages of the caller. `work_page` is what is asked for most: one page, at an address and with rights that were checked. It
/// answers `None`, and has changed nothing, where it is something else.
#[inline(always)]
fn change_own(
    kernel: &mut Kernel,
    batch: Batch,
    work_page: impl Fn(&mut Kernel, Target, &MapEntry, Rights) -> Option<()>,
    work: Work,
    work_large: Work,
) -> Answer {
    let target = Target {
        id: batch.caller,
        space: AddressSpace::current(),
    };
    for_each_entry(batch.pages, batch.entries, |entry, budget| {
        if entry.pages == 1
            && *budget != 0
            && is_place(entry.address)
            && let Some(rights) = Rights::from_number(entry.rights, Rights::MAPPING)
            && work_page(kernel, target, entry, rights).is_some()
        {
            *budget -= 1;
            return Ok(());
        }
        // A copy, so that the other one need not lie in memory.
        let copy = MapEntry { ..*entry };
        *budget = change_run(kernel, target, &copy, *budget, (work, work_large))?;
        Ok(())
    })
}

/// What this vCPU forgets page by page, that one's may know still.
#[inline(never)]
fn change_other(kernel: &mut Kernel, batch: &Batch, work: Work, work_large: Work) -> Answer {
    let capability = Capability(batch.capability);
    let made = kernel
        .ledger
        .check_made(batch.caller, capability, batch.number);
    let target = made.and_then(|id| {
        let space = kernel.environment(id)?.space;
        Ok(Target { id, space })
    });
    let answer = for_each_entry(batch.pages, batch.entries, |entry, budget| {
        *budget = change_run(kernel, target?, entry, *budget, (work, work_large))?;
        Ok(())
    });
    if let Ok(target) = target
        && target.id != batch.caller
    {
        flush_environment(kernel, target.id);
    }
    answer
}

/// Does the entries of the call page in their order. The value of the answer is the number of entries done.
#[inline(always)]
fn for_each_entry(
    pages: EnvironmentPages,
    entries: u64,
    mut work: impl FnMut(&MapEntry, &mut u64) -> Result<(), Error>,
) -> Answer {
    let mut done = 0;
    let mut budget = MAP_PAGES_MAX;
    let mut run = || {
        if entries == 0 || entries > MAP_BATCH as u64 {
            return Err(Error::BadCount);
        }
        while done < entries {
            work(&pages.batch_entry(done as usize), &mut budget)?;
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

/// Does one entry, whatever it asks for: what is left of the budget of pages.
#[cold]
#[inline(never)]
fn change_run(
    kernel: &mut Kernel,
    target: Target,
    entry: &MapEntry,
    budget: u64,
    (work, work_large): (Work, Work),
) -> Result<u64, Error> {
    if entry.rights & LARGE_PAGES == 0 {
        let left = check_run(entry, budget)?;
        work(kernel, target, entry)?;
        Ok(left)
    } else {
        let left = large_page::check_run(entry, budget)?;
        work_large(kernel, target, entry)?;
        Ok(left)
    }
}

/// Whether a page can be mapped at this address.
#[inline(always)]
fn is_place(address: u64) -> bool {
    const _: () = assert!(PROGRAM_END.is_power_of_two());
    address & !(PROGRAM_END - PAGE_SIZE) == 0 && address >= PROGRAM_BASE
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

/// One page of memory in a page table that is there: the path that page faults take most.
#[inline(always)]
fn map_page(kernel: &mut Kernel, target: Target, entry: &MapEntry, rights: Rights) -> Option<()> {
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

/// One page of memory gets other rights.
#[inline(always)]
fn protect_page(
    kernel: &mut Kernel,
    target: Target,
    entry: &MapEntry,
    rights: Rights,
) -> Option<()> {
    let capability = Capability(entry.capability);
    let ledger = &mut kernel.ledger;
    let place = target.space.find_present(entry.address)?;
    // No device page is a frame of memory.
    let frame = place.page().frame;
    if !ledger.may_map_frame(target.id, capability, frame, rights) {
        return None;
    }

    place.protect(
        ledger,
        capability.slot(),
        frame,
        leaf_flags(rights, false),
        entry.address,
    );
    Some(())
}

/// One page is mapped no more.
#[inline(always)]
fn unmap_page(kernel: &mut Kernel, target: Target, entry: &MapEntry, _: Rights) -> Option<()> {
    let place = target.space.find_present(entry.address)?;
    let page = place.page();

    place.unmap(&mut kernel.ledger, entry.address);
    count_unmapped(&mut kernel.ledger, page);
    Some(())
}

fn map_run(kernel: &mut Kernel, target: Target, entry: &MapEntry) -> Result<(), Error> {
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
fn find_present(target: Target, entry: &MapEntry) -> Result<Run, Error> {
    let found = target
        .space
        .find::<0>(entry.address, u64::from(entry.pages));
    found.map_err(|_| Error::NotMapped)
}

fn protect_run(kernel: &mut Kernel, target: Target, entry: &MapEntry) -> Result<(), Error> {
    let rights = Rights::from_number(entry.rights, Rights::MAPPING).ok_or(Error::BadArgument)?;
    let capability = Capability(entry.capability);
    let ledger = &mut kernel.ledger;
    let mappable = ledger.check_mappable(target.id, capability, rights)?;
    let run = find_present(target, entry)?;
    run.check_pages(|page| match mappable.contains(page.frame, 1) {
        true => Ok(()),
        false => Err(Error::OutOfRange),
    })?;

    run.protect(ledger, capability.slot(), rights);
    Ok(())
}

fn unmap_run(kernel: &mut Kernel, target: Target, entry: &MapEntry) -> Result<(), Error> {
    let run = find_present(target, entry)?;
    run.check_present()?;

    run.unmap(&mut kernel.ledger, count_run_unmapped);
    Ok(())
}
