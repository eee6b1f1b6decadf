//! `dma_map`, and the freeing of DMA capabilities.

use exo_abi::{EnvironmentId, Error, Kind, Rights};
use exo_ledger::Name;

use crate::machine::*;

/// Some frames of environment one.
const FIRST: u64 = 2 * BLOCK + 500;
/// How many: over a block boundary.
const COUNT: u64 = 20;

#[test]
fn refusals_come_in_order_and_change_nothing() {
    let mut ledger = machine();
    let frames = allocate(&mut ledger, ONE, FIRST, COUNT, 0).unwrap();
    let function = give_function(&mut ledger, 1, ONE);
    let dma = map_dma(&mut ledger, ONE, frames, (FIRST, 1), Rights::READ).unwrap();
    let weak = ledger.add_capability(ONE, Name::new(Kind::Frames, FIRST, 1), Rights::READ);
    let before = snapshot(&ledger);
    let none = exo_abi::Capability::NONE;
    let (read, write) = (Rights::READ, Rights::WRITE);
    let refused = [
        // Rights, before all else.
        (none, 0, 0, Rights::NONE, Error::BadArgument),
        (none, 0, 0, Rights::READ_EXECUTE, Error::BadArgument),
        (none, 0, 0, Rights(8), Error::BadArgument),
        (none, 0, 0, Rights(u32::MAX), Error::BadArgument),
        // Capability.
        (none, 0, 0, read, Error::BadCapability),
        // Kind.
        (function, 0, 0, read, Error::WrongKind),
        (dma, 0, 0, read, Error::WrongKind),
        // Rights of the capability.
        (weak, 0, 0, write, Error::NotPermitted),
        (weak, 0, 0, Rights::READ_WRITE, Error::NotPermitted),
        // Count.
        (weak, 0, 0, read, Error::BadCount),
        (frames, 0, 0, write, Error::BadCount),
        // Range.
        (frames, FIRST - 1, 1, read, Error::OutOfRange),
        (frames, FIRST, COUNT + 1, read, Error::OutOfRange),
        (frames, FIRST + COUNT, 1, read, Error::OutOfRange),
        (frames, FIRST + 1, u64::MAX, read, Error::OutOfRange),
        (frames, u64::MAX, 1, read, Error::OutOfRange),
    ];
    for (word, first, count, rights, error) in refused {
        let answer = map_dma(&mut ledger, ONE, word, (first, count), rights);
        assert_eq!(answer, Err(error), "{first} {count} {rights:?}");
        assert_eq!(snapshot(&ledger), before);
    }
    let answer = map_dma(&mut ledger, TWO, frames, (FIRST, 1), read);
    assert_eq!(answer, Err(Error::BadCapability));
}

#[test]
fn dma_capability_names_the_frames_and_rights() {
    let mut ledger = machine();
    let frames = allocate(&mut ledger, ONE, FIRST, COUNT, 0).unwrap();
    let dma = map_dma(
        &mut ledger,
        ONE,
        frames,
        (FIRST + 1, COUNT - 1),
        Rights::WRITE,
    )
    .unwrap();
    let entry = ledger.capability(ONE, dma).unwrap();
    assert_eq!((entry.first, entry.count), (FIRST + 1, COUNT - 1));
    assert_eq!(entry.kind, Kind::Dma as u8);
    assert_eq!(u32::from(entry.rights), Rights::WRITE.0);
    assert_eq!(ledger.environment(ONE).unwrap().dma_mappings, 1);
    ledger.audit().unwrap();
}

#[test]
fn frames_in_a_domain_are_not_given_back() {
    for (first, count, order) in [(FIRST, COUNT, 0), (2 * BLOCK, 2, 9)] {
        let mut ledger = machine();
        let memory = allocate(&mut ledger, ONE, first, count, order).unwrap();
        let end = first + ledger.capability(ONE, memory).unwrap().count;
        let one = map_dma(&mut ledger, ONE, memory, (end - 1, 1), Rights::READ).unwrap();
        let two = map_dma(&mut ledger, ONE, memory, (first, end - first), Rights::READ).unwrap();
        ledger.audit().unwrap();
        free(&mut ledger, ONE, two).unwrap();
        assert_eq!(free(&mut ledger, ONE, memory), Err(Error::InUse));
        free(&mut ledger, ONE, one).unwrap();
        assert_eq!(ledger.environment(ONE).unwrap().dma_mappings, 0);
        ledger.audit().unwrap();
        free(&mut ledger, ONE, memory).unwrap();
        ledger.audit().unwrap();
    }
}

#[test]
fn dma_mappings_are_charged_up_to_the_quota() {
    let mut ledger = machine();
    let frames = allocate(&mut ledger, ONE, FIRST, COUNT, 0).unwrap();
    for _ in 0..QUOTAS.dma_mappings {
        map_dma(&mut ledger, ONE, frames, (FIRST, 1), Rights::READ).unwrap();
    }
    let before = snapshot(&ledger);
    let answer = map_dma(&mut ledger, ONE, frames, (FIRST, 1), Rights::READ);
    assert_eq!(answer, Err(Error::Quota));
    assert_eq!(snapshot(&ledger), before);
}

#[test]
fn dma_mapping_needs_a_capability_within_the_quota_and_a_slot() {
    let mut ledger = machine();
    let frames = allocate(&mut ledger, ONE, FIRST, COUNT, 0).unwrap();
    for _ in 1..QUOTAS.capabilities {
        ledger.add_capability(ONE, Name::new(Kind::Ports, 0x3f8, 1), Rights::READ_WRITE);
    }
    let before = snapshot(&ledger);
    let answer = map_dma(&mut ledger, ONE, frames, (FIRST, 1), Rights::READ);
    assert_eq!(answer, Err(Error::Quota));
    assert_eq!(snapshot(&ledger), before);

    let mut ledger = machine();
    let frames = allocate(&mut ledger, ONE, FIRST, COUNT, 0).unwrap();
    for index in 1..SLOTS {
        let holder = EnvironmentId(2 + index as u16 / 10);
        ledger.add_capability(holder, Name::new(Kind::Ports, 0x3f8, 1), Rights::READ_WRITE);
    }
    let before = snapshot(&ledger);
    let answer = map_dma(&mut ledger, ONE, frames, (FIRST, 1), Rights::READ);
    assert_eq!(answer, Err(Error::Exhausted));
    assert_eq!(snapshot(&ledger), before);
}

#[test]
fn dma_rights_end_with_what_they_were_derived_from() {
    let mut ledger = machine();
    let frames = allocate(&mut ledger, ONE, FIRST, COUNT, 0).unwrap();
    let shared = derive(&mut ledger, ONE, frames, (FIRST, 4), Rights::READ_WRITE).unwrap();
    ledger.accept(TWO, 1).unwrap();
    let shared = give(&mut ledger, ONE, shared, TWO).unwrap();
    let dma = map_dma(&mut ledger, TWO, shared, (FIRST + 1, 2), Rights::WRITE).unwrap();
    ledger.audit().unwrap();
    assert_eq!(ledger.environment(TWO).unwrap().dma_mappings, 1);
    assert_eq!(free(&mut ledger, TWO, shared), Err(Error::InUse));
    assert_eq!(give(&mut ledger, TWO, shared, TWO), Err(Error::InUse));
    assert_eq!(give(&mut ledger, TWO, dma, TWO), Err(Error::WrongKind));
    assert_eq!(revoke(&mut ledger, ONE, frames, 9), Ok(true));
    assert_eq!(ledger.capability(TWO, dma), Err(Error::BadCapability));
    assert_eq!(ledger.environment(TWO).unwrap().dma_mappings, 0);
    free(&mut ledger, ONE, frames).unwrap();
    ledger.audit().unwrap();
}

#[test]
fn frames_with_dma_rights_are_not_given_back_unchecked() {
    for order in [0, 9] {
        let mut ledger = machine();
        let memory = allocate(&mut ledger, ONE, 2 * BLOCK, 1, order).unwrap();
        map_dma(&mut ledger, ONE, memory, (2 * BLOCK, 1), Rights::READ).unwrap();
        let before = snapshot(&ledger);
        ledger.commit_free(ONE, memory);
        assert_eq!(snapshot(&ledger), before);
    }
}
