//! `page-path OPERATION COUNT`: does one kernel operation COUNT times, so that the difference of two runs is its exact cost.
//!
//! What an operation needs beforehand (page tables, something mapped to unmap, a capability to free) is made in every run for
//! the largest COUNT, so that two runs differ by operations and by nothing else.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use exo_programs::shared_word::SharedWord;
use exo_rt::abi::address::{BLOCK_SIZE, PAGE_SHIFT, PAGE_SIZE};
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::abi::map::{LARGE_PAGES, MapEntry};
use exo_rt::abi::term::{Comparison, END_OF_PRODUCT};
use exo_rt::abi::{Capability, EnvironmentId, Error, Kind, Rights};
use exo_rt::gate::{Quotas, Target};
use exo_rt::upcall::{Action, Fault};
use exo_rt::{environment, gate, predicate, probe, upcall};

exo_rt::program!(main);

/// Most operations of a run.
const COUNT_MAX: u64 = 16;
/// Pages of the operations that take many.
const MANY: u64 = 100;
/// Pages from the start of one operation's run to the next: a power of two, so that no run needs two page tables.
const STRIDE: u64 = 128;
/// Where the runs lie.
const REGION: u64 = 0x2000_0000;

/// Does the operation so many times.
type Operation = fn(u64) -> Result<(), Error>;

const OPERATIONS: &[(&str, Operation)] = &[
    ("null", null),
    ("upcall", take_upcalls),
    ("page-fault", take_page_faults),
    ("map1", |count| map(count, 1, 1)),
    ("map100", |count| map(count, MANY, 1)),
    ("map100-entries", |count| map(count, 1, MANY)),
    ("unmap1", |count| unmap(count, 1)),
    ("unmap100", |count| unmap(count, MANY)),
    ("protect1", protect),
    ("bind", bind),
    ("sleep1", |count| sleep(count, 1)),
    ("sleep8", |count| sleep(count, 8)),
    ("allocate", allocate),
    ("free", free),
    ("derive", derive),
    ("revoke", revoke),
    ("copy", copy),
    ("make", make),
    ("map-large", map_large),
];

fn main() -> Result<(), String> {
    let arguments: Vec<String> = environment::arguments().collect();
    let [operation, count] = arguments.as_slice() else {
        return Err(String::from("arguments: OPERATION COUNT"));
    };
    let count = count.parse().ok().filter(|&count| count <= COUNT_MAX);
    let count = count.ok_or_else(|| alloc::format!("COUNT is a number up to {COUNT_MAX}"))?;
    let Some((_, run)) = OPERATIONS.iter().find(|(name, _)| name == operation) else {
        let names: Vec<&str> = OPERATIONS.iter().map(|(name, _)| *name).collect();
        return Err(alloc::format!(
            "unknown operation '{operation}'; there are {}",
            names.join(", ")
        ));
    };
    run(count).map_err(|error| alloc::format!("{operation}: {error}"))
}

fn null(count: u64) -> Result<(), Error> {
    for _ in 0..count {
        gate::null();
    }
    Ok(())
}

/// Takes an undefined instruction and goes on behind it.
fn take_upcalls(count: u64) -> Result<(), Error> {
    fn skip(fault: &mut Fault) -> Action {
        fault.rip += probe::UNDEFINED_INSTRUCTION_SIZE;
        Action::Resume
    }
    upcall::set_handler(skip);
    for _ in 0..count {
        probe::undefined_instruction();
    }
    Ok(())
}

fn take_page_faults(count: u64) -> Result<(), Error> {
    for _ in 0..count {
        // Nothing is mapped at zero.
        let _ = probe::read(0);
    }
    Ok(())
}

/// `pages` pages of the grant at page `page` of the region.
fn run_at(page: u64, pages: u64) -> MapEntry {
    MapEntry {
        address: REGION + page * PAGE_SIZE,
        frame: environment::grant_first() + page % STRIDE,
        pages: pages as u32,
        rights: Rights::READ.0,
        capability: environment::grant_capability().0,
    }
}

/// Makes the page tables of the whole region: the last page of each run's room is mapped, and stays so.
fn prepare_tables() -> Result<(), Error> {
    for index in 0..COUNT_MAX {
        gate::page_map(&[run_at(index * STRIDE + STRIDE - 1, 1)])?;
    }
    Ok(())
}

/// One call each, with `entries` entries of `pages` pages.
fn map(count: u64, pages: u64, entries: u64) -> Result<(), Error> {
    prepare_tables()?;
    for index in 0..count {
        let batch: Vec<MapEntry> = (0..entries)
            .map(|entry| run_at(index * STRIDE + entry * pages, pages))
            .collect();
        gate::page_map(&batch)?;
    }
    Ok(())
}

fn unmap(count: u64, pages: u64) -> Result<(), Error> {
    map(COUNT_MAX, pages, 1)?;
    for index in 0..count {
        gate::page_unmap(&[run_at(index * STRIDE, pages)])?;
    }
    Ok(())
}

fn protect(count: u64) -> Result<(), Error> {
    map(COUNT_MAX, 1, 1)?;
    for index in 0..count {
        let writable = MapEntry {
            rights: Rights::READ_WRITE.0,
            ..run_at(index * STRIDE, 1)
        };
        gate::page_protect(&[writable])?;
    }
    Ok(())
}

/// Binds the queue of one function more: the function itself, and its doorbell page. Page tables are made beforehand.
fn bind(count: u64) -> Result<(), Error> {
    prepare_tables()?;
    for (index, function) in (0..count).zip(environment::functions()) {
        gate::function_bind(function.capability)?;
        gate::page_map(&[MapEntry {
            address: REGION + index * STRIDE * PAGE_SIZE,
            frame: function.entry.record.doorbells >> PAGE_SHIFT,
            pages: 1,
            rights: Rights::READ_WRITE.0,
            capability: function.capability.0,
        }])?;
    }
    Ok(())
}

fn allocate(count: u64) -> Result<(), Error> {
    // The first splits a block, and the second remembers its page table.
    for _ in 0..count + 2 {
        gate::frame_allocate(ANY_FRAME, 1, 0)?;
    }
    Ok(())
}

fn free(count: u64) -> Result<(), Error> {
    let frames: Vec<Capability> = (0..COUNT_MAX)
        .map(|_| gate::frame_allocate(ANY_FRAME, 1, 0))
        .collect::<Result<_, _>>()?;
    for &capability in frames.iter().take(count as usize) {
        gate::capability_free(capability)?;
    }
    Ok(())
}

/// Goes to sleep on a predicate that holds already: one product of so many words of a frame.
fn sleep(count: u64, terms: u64) -> Result<(), Error> {
    let word = SharedWord::new()?;
    let term = predicate::and(word.term(Comparison::Equal, 0));
    let mut product: Vec<_> = (0..terms).map(|_| term).collect();
    if let Some(last) = product.last_mut() {
        last.flags = END_OF_PRODUCT;
    }
    gate::predicate_bind(&product)?;
    for _ in 0..count {
        gate::environment_sleep()?;
    }
    Ok(())
}

/// A capability for the first frame of the grant, derived from `parent`.
fn derive_from(parent: Capability) -> Result<Capability, Error> {
    gate::capability_derive(parent, environment::grant_first(), 1, Rights::CAPABILITY)
}

fn derive(count: u64) -> Result<(), Error> {
    for _ in 0..count {
        derive_from(environment::grant_capability())?;
    }
    Ok(())
}

/// The first of the numbers that it may make.
fn number() -> Result<Target, Error> {
    let (root, entry) = environment::capabilities_of(Kind::Environment)
        .next()
        .ok_or(Error::BadCapability)?;
    Ok(Target {
        capability: root,
        id: EnvironmentId(entry.first as u16),
    })
}

/// What one gets that is made here.
const QUOTAS: Quotas = Quotas {
    frames: 0,
    tables: 0,
    capabilities: COUNT_MAX as u32,
};

/// Copies a capability for an environment that was made.
fn copy(count: u64) -> Result<(), Error> {
    let target = number()?;
    gate::environment_create(target, 0, QUOTAS)?;
    let derived = derive_from(environment::grant_capability())?;
    for _ in 0..count {
        gate::capability_copy(derived, target.id)?;
    }
    Ok(())
}

/// Makes an environment out of a number that was used already, and ends it.
fn make(count: u64) -> Result<(), Error> {
    let target = number()?;
    for _ in 0..=count {
        gate::environment_create(target, 0, QUOTAS)?;
        gate::environment_end(target, 0)?;
    }
    Ok(())
}

/// Maps the first block of the grant, as a page of 2 MiB, `count` times.
fn map_large(count: u64) -> Result<(), Error> {
    let one = |index: u64| MapEntry {
        address: REGION + index * BLOCK_SIZE,
        frame: environment::grant_first(),
        pages: 1,
        rights: Rights::READ.0 | LARGE_PAGES,
        capability: environment::grant_capability().0,
    };
    gate::page_map(&[one(COUNT_MAX)])?;
    for index in 0..count {
        gate::page_map(&[one(index)])?;
    }
    Ok(())
}

/// Takes back `count` capabilities by one call. As many as ever are derived, from this capability or from another.
fn revoke(count: u64) -> Result<(), Error> {
    let revoked = derive_from(environment::grant_capability())?;
    let other = derive_from(environment::grant_capability())?;
    for index in 0..COUNT_MAX {
        derive_from(if index < count { revoked } else { other })?;
    }
    gate::capability_revoke(revoked)
}
