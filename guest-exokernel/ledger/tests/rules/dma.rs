//! `dma_map`, and the freeing of DMA capabilities.

use exo_abi::{EnvironmentId, Error, Kind, Rights};

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
    let weak = ledger.add_capability(ONE, Kind::Frames, FIRST, 1, Rights::READ);
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
        ledger.add_capability(ONE, Kind::Ports, 0x3f8, 1, Rights::READ_WRITE);
    }
    let before = snapshot(&ledger);
    let answer = map_dma(&mut ledger, ONE, frames, (FIRST, 1), Rights::READ);
    assert_eq!(answer, Err(Error::Quota));
    assert_eq!(snapshot(&ledger), before);

    let mut ledger = machine();
    let frames = allocate(&mut ledger, ONE, FIRST, COUNT, 0).unwrap();
    for index in 1..SLOTS {
        let holder = EnvironmentId(2 + index as u16 / 10);
        ledger.add_capability(holder, Kind::Ports, 0x3f8, 1, Rights::READ_WRITE);
    }
    let before = snapshot(&ledger);
    let answer = map_dma(&mut ledger, ONE, frames, (FIRST, 1), Rights::READ);
    assert_eq!(answer, Err(Error::Exhausted));
    assert_eq!(snapshot(&ledger), before);
}

#[test]
fn dma_count_of_a_frame_does_not_wrap() {
    let wanted = usize::from(u16::MAX);
    let memory = [
        exo_ledger::FrameRange {
            start: 0,
            end: 2 * BLOCK,
        },
        Default::default(),
    ];
    let mut ledger = bare(2, wanted + 10, memory, 0);
    let quotas = exo_ledger::Quotas {
        capabilities: u32::MAX,
        dma_mappings: u32::MAX,
        ..QUOTAS
    };
    ledger.add_environment(ONE, &[0; 32], 0, quotas);
    let frames = allocate(&mut ledger, ONE, 7, 2, 0).unwrap();
    let mut last = frames;
    for _ in 0..wanted {
        last = map_dma(&mut ledger, ONE, frames, (7, 1), Rights::READ).unwrap();
    }
    let answer = map_dma(&mut ledger, ONE, frames, (7, 2), Rights::READ);
    assert_eq!(answer, Err(Error::Quota));
    assert_eq!(free(&mut ledger, ONE, frames), Err(Error::InUse));
    map_dma(&mut ledger, ONE, frames, (8, 1), Rights::READ).unwrap();
    free(&mut ledger, ONE, last).unwrap();
    map_dma(&mut ledger, ONE, frames, (7, 1), Rights::READ).unwrap();
}

#[test]
fn a_right_that_outlived_its_frames_lowers_no_count_of_the_next_owner() {
    for order in [0, 9] {
        let mut ledger = machine();
        let old = allocate(&mut ledger, ONE, 2 * BLOCK, 1, order).unwrap();
        let late = map_dma(&mut ledger, ONE, old, (2 * BLOCK, 1), Rights::READ).unwrap();
        // Against the order of `newest_capability`.
        ledger.commit_free(ONE, old);
        let new = allocate(&mut ledger, TWO, 2 * BLOCK, 1, order).unwrap();
        map_dma(&mut ledger, TWO, new, (2 * BLOCK, 1), Rights::READ).unwrap();
        ledger.commit_free(ONE, late);
        assert_eq!(free(&mut ledger, TWO, new), Err(Error::InUse));
        ledger.audit().unwrap();
    }
}
