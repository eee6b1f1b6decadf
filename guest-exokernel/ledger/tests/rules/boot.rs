//! What the kernel sets up before anything runs: its own memory, the bundle's frames, the memory map.

use exo_abi::{Capability, EnvironmentId, Error};
use exo_ledger::FrameRange;

use crate::machine::*;

#[test]
fn kernel_owns_the_blocks_of_its_memory() {
    let ledger = machine();
    assert_eq!(ledger.owner(0), EnvironmentId::KERNEL);
    assert_eq!(ledger.owner(BLOCK - 1), EnvironmentId::KERNEL);
    assert_eq!(ledger.owner(BLOCK), EnvironmentId::NOBODY);
    assert_eq!(ledger.owner(u64::MAX), EnvironmentId::NOBODY);
    ledger.audit().unwrap();
}

#[test]
fn free_blocks_are_counted_without_kernel_hole_and_partial_blocks() {
    assert_eq!(
        machine().tables().summary.free_blocks,
        BLOCKS - 2 // the kernel's, the hole
    );
    let odd = [
        FrameRange { start: 1, end: 1 },
        FrameRange {
            start: BLOCK + 1,
            end: 100 * BLOCK,
        },
    ];
    let ledger = bare(4, 1, odd, 0);
    assert_eq!(ledger.tables().summary.free_blocks, 2);
    ledger.audit().unwrap();
    let short = [
        FrameRange {
            start: 0,
            end: BLOCK / 2,
        },
        FrameRange {
            start: BLOCK,
            end: 3 * BLOCK,
        },
    ];
    let ledger = bare(3, 1, short, 2 * BLOCK);
    assert_eq!(ledger.tables().summary.free_blocks, 1);
    ledger.audit().unwrap();
}

#[test]
fn kernel_beyond_memory_leaves_nothing_free() {
    let memory = [
        FrameRange {
            start: 0,
            end: 2 * BLOCK,
        },
        FrameRange::default(),
    ];
    let mut ledger = bare(2, 4, memory, 5 * BLOCK);
    ledger.add_environment(ONE, &[0; 32], 0, QUOTAS);
    assert_eq!(ledger.tables().summary.free_blocks, 0);
    assert_eq!(
        allocate(&mut ledger, ONE, u64::MAX, 1, 9),
        Err(Error::Exhausted)
    );
    ledger.audit().unwrap();
}

#[test]
fn frames_of_a_partial_block_are_had_by_name_only() {
    let mut ledger = machine();
    let first = BLOCKS * BLOCK;
    assert!(ledger.is_memory(first, BLOCK / 2));
    assert!(!ledger.is_memory(END, 1));
    assert_eq!(ledger.claim_frames(ONE, END - 1, 2), Err(Error::OutOfRange));
    assert_eq!(
        allocate(&mut ledger, ONE, first, 1, 9),
        Err(Error::OutOfRange)
    );
    let free_blocks = ledger.tables().summary.free_blocks;
    let image = ledger.claim_frames(ONE, END - 10, 10).unwrap();
    let low = allocate(&mut ledger, TWO, first, 1, 0).unwrap();
    ledger.audit().unwrap();
    assert_eq!(ledger.tables().summary.free_blocks, free_blocks);
    // The cursor stands in the partial block, which is split: other frames are found nevertheless.
    let plan = ledger.plan_allocation(ONE, u64::MAX, 1, 0, 0).unwrap();
    assert_eq!(plan.first, BLOCK);
    free(&mut ledger, ONE, image).unwrap();
    free(&mut ledger, TWO, low).unwrap();
    assert_eq!(ledger.tables().summary.free_blocks, free_blocks);
    ledger.audit().unwrap();
}

#[test]
fn claimed_frames_may_span_blocks_and_be_more_than_a_block() {
    let mut ledger = machine();
    let capability = ledger.claim_frames(ONE, BLOCK + 7, 600).unwrap();
    assert_eq!(ledger.owner(BLOCK + 6), EnvironmentId::NOBODY);
    assert_eq!(ledger.owner(BLOCK + 7), ONE);
    assert_eq!(ledger.owner(BLOCK + 606), ONE);
    assert_eq!(ledger.owner(BLOCK + 607), EnvironmentId::NOBODY);
    assert_eq!(ledger.environment(ONE).unwrap().frames, 600);
    assert_eq!(ledger.tables().summary.split_frames_used, 600);
    ledger.audit().unwrap();
    free(&mut ledger, ONE, capability).unwrap();
    assert_eq!(ledger.tables().summary.free_blocks, BLOCKS - 2);
    ledger.audit().unwrap();
}

#[test]
fn claims_are_refused_by_count_then_quota_then_range_then_owner() {
    let mut ledger = machine();
    ledger.claim_frames(TWO, BLOCK, 1).unwrap();
    let before = snapshot(&ledger);
    let refused = [
        (ONE, u64::MAX, 0, Error::BadCount),
        (EnvironmentId::NOBODY, BLOCK, 1, Error::BadArgument),
        (EnvironmentId::KERNEL, BLOCK, 1, Error::BadArgument),
        (ONE, u64::MAX, u64::MAX, Error::Quota),
        (ONE, u64::MAX, 1801, Error::Quota),
        (ONE, u64::MAX, 1800, Error::OutOfRange),
        (ONE, HOLE * BLOCK, 1, Error::OutOfRange),
        (ONE, HOLE * BLOCK - 1, 2, Error::OutOfRange),
        (ONE, BLOCK - 1, 2, Error::Taken),
        (ONE, BLOCK, 1, Error::Taken),
    ];
    for (holder, first, count, error) in refused {
        assert_eq!(
            ledger.claim_frames(holder, first, count),
            Err(error),
            "{first} {count}"
        );
        assert_eq!(snapshot(&ledger), before);
    }
}

#[test]
fn kept_frames_are_the_kernels_and_charged_to_nobody() {
    let mut ledger = machine();
    assert_eq!(ledger.keep_frames(BLOCK, 0), Err(Error::BadCount));
    assert_eq!(ledger.keep_frames(HOLE * BLOCK, 1), Err(Error::OutOfRange));
    ledger.keep_frames(BLOCK, 2).unwrap();
    assert_eq!(ledger.keep_frames(BLOCK + 1, 2), Err(Error::Taken));
    assert_eq!(ledger.owner(BLOCK + 1), EnvironmentId::KERNEL);
    assert_eq!(allocate(&mut ledger, ONE, BLOCK, 1, 0), Err(Error::Taken));
    let capability = allocate(&mut ledger, ONE, BLOCK + 2, 1, 0).unwrap();
    ledger.audit().unwrap();
    free(&mut ledger, ONE, capability).unwrap();
    ledger.audit().unwrap();
}

#[test]
fn nobody_and_the_kernel_hold_no_capabilities() {
    let mut ledger = machine();
    let before = snapshot(&ledger);
    for holder in [
        EnvironmentId::NOBODY,
        EnvironmentId::KERNEL,
        EnvironmentId(NUMBERS + 1),
    ] {
        let word = ledger.add_capability(
            holder,
            exo_ledger::Name::new(exo_abi::Kind::Ports, 0x3f8, 1),
            exo_abi::Rights::READ_WRITE,
        );
        assert_eq!(word, Capability::NONE);
    }
    assert_eq!(snapshot(&ledger), before);
}
