//! What may be mapped, and how often.

use exo_abi::{Capability, Error, Kind, Rights};
use exo_ledger::Name;

use crate::machine::*;

/// Frames of environment one.
const FIRST: u64 = 2 * BLOCK + 500;

#[test]
fn refusals_come_in_order_and_change_nothing() {
    let mut ledger = machine();
    let frames = allocate(&mut ledger, ONE, FIRST, 20, 0).unwrap();
    let blocks = allocate(&mut ledger, ONE, 5 * BLOCK, 1, 9).unwrap();
    let dma = map_dma(&mut ledger, ONE, frames, (FIRST, 1), Rights::READ).unwrap();
    let ports = ledger.add_capability(ONE, Name::new(Kind::Ports, 0x3f8, 1), Rights::READ_WRITE);
    let weak = ledger.add_capability(ONE, Name::new(Kind::Frames, FIRST, 1), Rights::READ);
    let blind = ledger.add_capability(ONE, Name::new(Kind::Frames, FIRST, 1), Rights::NONE);
    let before = snapshot(&ledger);
    let (read, write) = (Rights::READ, Rights::WRITE);
    let refused = [
        (Capability::NONE, 0, 0, write, Error::BadCapability),
        (ports, 0, 0, write, Error::WrongKind),
        (dma, FIRST, 0, write, Error::WrongKind),
        (weak, 0, 0, write, Error::NotPermitted),
        (weak, 0, 0, Rights::MAPPING, Error::NotPermitted),
        (blind, 0, 0, read, Error::NotPermitted),
        (blind, 0, 0, Rights::NONE, Error::NotPermitted),
        (weak, 0, 0, read, Error::BadCount),
        (frames, 0, 0, write, Error::BadCount),
        (frames, FIRST - 1, 1, read, Error::OutOfRange),
        (frames, FIRST, 21, read, Error::OutOfRange),
        (frames, FIRST + 20, 1, read, Error::OutOfRange),
        (frames, FIRST + 1, u64::MAX, read, Error::OutOfRange),
        (frames, u64::MAX, 1, read, Error::OutOfRange),
        (frames, 5 * BLOCK, 1, read, Error::OutOfRange),
        (blocks, 5 * BLOCK - 1, 2, read, Error::OutOfRange),
        (blocks, 6 * BLOCK, 1, read, Error::OutOfRange),
    ];
    for (word, first, count, rights, error) in refused {
        let answer = map(&mut ledger, ONE, word, (first, count), rights);
        assert_eq!(answer, Err(error), "{first} {count} {rights:?}");
        assert_eq!(snapshot(&ledger), before);
    }
    let answer = map(&mut ledger, TWO, frames, (FIRST, 1), read);
    assert_eq!(answer, Err(Error::BadCapability));
}

#[test]
fn memory_may_be_mapped_executable_and_writable() {
    let mut ledger = machine();
    let frames = allocate(&mut ledger, ONE, FIRST, 20, 0).unwrap();
    let device = map(&mut ledger, ONE, frames, (FIRST, 20), Rights::MAPPING);
    assert_eq!(device, Ok(false));
    let blocks = allocate(&mut ledger, ONE, 5 * BLOCK, 1, 9).unwrap();
    let device = map(
        &mut ledger,
        ONE,
        blocks,
        (5 * BLOCK, BLOCK),
        Rights::MAPPING,
    );
    assert_eq!(device, Ok(false));
    ledger.audit().unwrap();
}

#[test]
fn mapped_memory_is_not_given_back() {
    for (order, count) in [(0, 3), (9, 1)] {
        let mut ledger = machine();
        let memory = allocate(&mut ledger, ONE, 2 * BLOCK, count, order).unwrap();
        map(&mut ledger, ONE, memory, (2 * BLOCK, 1), Rights::READ).unwrap();
        map(&mut ledger, ONE, memory, (2 * BLOCK, 2), Rights::WRITE).unwrap();
        let last = 2 * BLOCK + 1;
        for frame in [2 * BLOCK, last, 2 * BLOCK] {
            assert_eq!(free(&mut ledger, ONE, memory), Err(Error::InUse));
            unmap(&mut ledger, memory, frame, false);
            ledger.audit().unwrap();
        }
        free(&mut ledger, ONE, memory).unwrap();
        ledger.audit().unwrap();
    }
}

#[test]
fn count_of_mappings_does_not_wrap() {
    let mut ledger = machine();
    allocate(&mut ledger, ONE, FIRST, 2, 0).unwrap();
    // More than the page tables that fit into the kernel's memory can hold.
    let most = exo_abi::layout::KERNEL_LIMIT / 8;
    assert!(most < u64::from(u32::MAX));
    // More than 16 bits count.
    for _ in 0..70_000 {
        ledger.add_mappings(FIRST, 1);
    }
    assert_eq!(ledger.tables().frames[FIRST as usize].mappings, 70_000);
}

#[test]
fn mappings_over_block_boundaries_are_counted_for_each_frame_and_block() {
    let mut ledger = machine();
    allocate(&mut ledger, ONE, BLOCK + 511, 3, 0).unwrap();
    allocate(&mut ledger, ONE, 5 * BLOCK, 2, 9).unwrap();
    ledger.add_mappings(BLOCK + 511, 3);
    ledger.add_mappings(6 * BLOCK - 2, 5);
    let tables = ledger.tables();
    for frame in [BLOCK + 511, 2 * BLOCK, 2 * BLOCK + 1] {
        assert_eq!(tables.frames[frame as usize].mappings, 1);
    }
    assert_eq!(tables.frames[2 * 512 + 2].mappings, 0);
    assert_eq!(
        (tables.blocks[5].mappings, tables.blocks[6].mappings),
        (2, 3)
    );
    ledger.audit().unwrap();
}

#[test]
fn mappings_of_what_is_no_memory_are_not_counted() {
    let mut ledger = machine();
    let before = snapshot(&ledger);
    ledger.add_mappings(u64::MAX, 1);
    ledger.add_mappings((BLOCKS + 1) * BLOCK, u64::MAX);
    ledger.remove_mapping((BLOCKS + 1) * BLOCK);
    ledger.remove_mapping(BLOCK);
    assert_eq!(snapshot(&ledger), before);
}

#[test]
fn words_are_read_only_under_a_capability_to_read_their_frame() {
    let mut ledger = machine();
    let frames = allocate(&mut ledger, ONE, FIRST, 20, 0).unwrap();
    let blocks = allocate(&mut ledger, ONE, 5 * BLOCK, 1, 9).unwrap();
    let dma = map_dma(&mut ledger, ONE, frames, (FIRST, 1), Rights::READ).unwrap();
    let blind = ledger.add_capability(ONE, Name::new(Kind::Frames, FIRST, 1), Rights::WRITE);
    let before = snapshot(&ledger);
    for (capability, frame, answer) in [
        (frames, FIRST, Ok(())),
        (frames, FIRST + 19, Ok(())),
        (blocks, 6 * BLOCK - 1, Ok(())),
        (Capability::NONE, FIRST, Err(Error::BadCapability)),
        (dma, FIRST, Err(Error::WrongKind)),
        (blind, FIRST, Err(Error::NotPermitted)),
        (frames, FIRST - 1, Err(Error::OutOfRange)),
        (frames, FIRST + 20, Err(Error::OutOfRange)),
        (frames, u64::MAX, Err(Error::OutOfRange)),
        (blocks, 6 * BLOCK, Err(Error::OutOfRange)),
    ] {
        assert_eq!(ledger.check_read(ONE, capability, frame), answer, "{frame}");
    }
    let others = ledger.check_read(TWO, frames, FIRST);
    assert_eq!(others, Err(Error::BadCapability));
    assert_eq!(snapshot(&ledger), before);
}
