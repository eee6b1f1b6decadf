//! `frame_allocate`: by name, and any.

use exo_abi::call::ANY_FRAME;
use exo_abi::{EnvironmentId, Error, Kind, Rights};
use exo_ledger::Allocation;

use crate::machine::*;

#[test]
fn refusals_come_in_order_and_change_nothing() {
    let mut ledger = machine();
    allocate(&mut ledger, TWO, 2 * BLOCK, 1, 0).unwrap();
    allocate(&mut ledger, TWO, 3 * BLOCK, 1, 9).unwrap();
    let before = snapshot(&ledger);
    let refused = [
        // Order, before all else.
        (EnvironmentId::NOBODY, 1, 0, 1, Error::BadArgument),
        (ONE, 1, 0, u64::MAX, Error::BadArgument),
        // Count.
        (ONE, 1, 0, 0, Error::BadCount),
        (ONE, 1, BLOCK + 1, 0, Error::BadCount),
        (ONE, 1, 0, 9, Error::BadCount),
        (ONE, 1, BLOCKS + 2, 9, Error::BadCount),
        (ONE, 1, u64::MAX, 9, Error::BadCount),
        // Alignment.
        (ONE, 1, BLOCKS, 9, Error::BadAddress),
        // Quota.
        (ONE, HOLE * BLOCK, 4, 9, Error::Quota),
        (EnvironmentId(NUMBERS + 1), BLOCK, 1, 0, Error::BadArgument),
        // Memory.
        (ONE, HOLE * BLOCK, 1, 0, Error::OutOfRange),
        (ONE, HOLE * BLOCK, 1, 9, Error::OutOfRange),
        (ONE, 3 * BLOCK, 2, 9, Error::OutOfRange),
        (ONE, u64::MAX - 1, 2, 0, Error::OutOfRange),
        (ONE, u64::MAX - 1, 1, 0, Error::OutOfRange),
        (ONE, u64::MAX - 511, 1, 9, Error::OutOfRange),
        // Owner.
        (ONE, 0, 1, 0, Error::Taken),
        (ONE, 0, 1, 9, Error::Taken),
        (ONE, BLOCK - 1, 2, 0, Error::Taken),
        (ONE, 2 * BLOCK, 1, 9, Error::Taken),
        (ONE, 2 * BLOCK, 1, 0, Error::Taken),
        (ONE, 3 * BLOCK + 5, 1, 0, Error::Taken),
        (ONE, 2 * BLOCK, 2, 9, Error::Taken),
        // Any.
        (ONE, ANY_FRAME, 3, 9, Error::Exhausted),
    ];
    for (holder, first, count, order, error) in refused {
        let answer = allocate(&mut ledger, holder, first, count, order);
        assert_eq!(answer, Err(error), "{holder:?} {first} {count} {order}");
        assert_eq!(snapshot(&ledger), before);
    }
}

#[test]
fn frames_are_charged_up_to_the_quota() {
    let mut ledger = machine();
    allocate(&mut ledger, ONE, ANY_FRAME, 3, 9).unwrap();
    allocate(&mut ledger, ONE, ANY_FRAME, 264, 0).unwrap();
    assert_eq!(ledger.environment(ONE).unwrap().frames, 1800);
    assert_eq!(
        allocate(&mut ledger, ONE, ANY_FRAME, 1, 0),
        Err(Error::Quota)
    );
    ledger.audit().unwrap();
}

#[test]
fn capabilities_are_charged_up_to_the_quota() {
    let mut ledger = machine();
    for _ in 0..QUOTAS.capabilities {
        allocate(&mut ledger, ONE, ANY_FRAME, 1, 0).unwrap();
    }
    assert_eq!(
        allocate(&mut ledger, ONE, ANY_FRAME, 1, 0),
        Err(Error::Quota)
    );
    ledger.audit().unwrap();
}

#[test]
fn slots_that_run_out_are_exhausted_not_quota() {
    let mut ledger = machine();
    for (holder, count) in [(ONE, 9), (TWO, 9), (THREE, 2)] {
        for _ in 0..count {
            allocate(&mut ledger, holder, ANY_FRAME, 1, 0).unwrap();
        }
    }
    let before = snapshot(&ledger);
    for first in [ANY_FRAME, HOLE * BLOCK] {
        let answer = allocate(&mut ledger, THREE, first, 1, 0);
        assert_eq!(answer, Err(Error::Exhausted));
    }
    assert_eq!(snapshot(&ledger), before);
}

#[test]
fn allocation_carries_read_and_write() {
    let mut ledger = machine();
    let frames = allocate(&mut ledger, ONE, 2 * BLOCK + 3, 2, 0).unwrap();
    let blocks = allocate(&mut ledger, ONE, 3 * BLOCK, 1, 9).unwrap();
    let entry = ledger.capability(ONE, frames).unwrap();
    assert_eq!((entry.first, entry.count), (2 * BLOCK + 3, 2));
    assert_eq!(entry.kind, Kind::Frames as u8);
    assert_eq!(u32::from(entry.rights), Rights::CAPABILITY.0);
    let entry = ledger.capability(ONE, blocks).unwrap();
    assert_eq!((entry.first, entry.count), (3 * BLOCK, BLOCK));
    assert_eq!(entry.kind, Kind::Blocks as u8);
    assert_eq!(u32::from(entry.rights), Rights::CAPABILITY.0);
}

#[test]
fn named_frames_of_a_split_block_go_to_different_owners() {
    let mut ledger = machine();
    allocate(&mut ledger, ONE, BLOCK, 1, 0).unwrap();
    let second = allocate(&mut ledger, TWO, BLOCK + 1, 511, 0).unwrap();
    assert_eq!(ledger.owner(BLOCK), ONE);
    assert_eq!(ledger.owner(BLOCK + 1), TWO);
    free(&mut ledger, TWO, second).unwrap();
    assert_eq!(ledger.owner(BLOCK), ONE);
    assert_eq!(ledger.owner(BLOCK + 1), EnvironmentId::NOBODY);
    ledger.audit().unwrap();
}

#[test]
fn named_frames_may_cross_from_a_split_into_a_free_block() {
    let mut ledger = machine();
    allocate(&mut ledger, ONE, BLOCK, 1, 0).unwrap();
    let across = allocate(&mut ledger, ONE, 2 * BLOCK - 10, 20, 0).unwrap();
    ledger.audit().unwrap();
    free(&mut ledger, ONE, across).unwrap();
    assert_eq!(ledger.tables().summary.free_blocks, BLOCKS - 3);
    ledger.audit().unwrap();
}

#[test]
fn any_frames_fill_split_blocks_before_free_ones() {
    let mut ledger = machine();
    let hole = allocate(&mut ledger, ONE, 5 * BLOCK + 100, 200, 0).unwrap();
    allocate(&mut ledger, TWO, 5 * BLOCK + 300, 212, 0).unwrap();
    free(&mut ledger, ONE, hole).unwrap();
    let plan = ledger.plan_allocation(ONE, ANY_FRAME, 300, 0, 0).unwrap();
    assert_eq!(plan.first, 5 * BLOCK);
    let plan = ledger.plan_allocation(ONE, ANY_FRAME, 301, 0, 0).unwrap();
    assert_eq!(
        plan,
        Allocation {
            kind: Kind::Frames,
            first: BLOCK,
            count: 301
        }
    );
}

#[test]
fn any_blocks_are_neighbours_and_neither_the_kernels_nor_the_holes() {
    let mut ledger = machine();
    let mut found = Vec::new();
    for _ in 0..3 {
        found.push(
            ledger
                .plan_allocation(ONE, ANY_FRAME, 1, 9, 0)
                .unwrap()
                .first,
        );
        allocate(&mut ledger, ONE, ANY_FRAME, 1, 9).unwrap();
    }
    assert_eq!(found, [BLOCK, 2 * BLOCK, 3 * BLOCK]);
    let plan = ledger.plan_allocation(TWO, ANY_FRAME, 2, 9, 0).unwrap();
    assert_eq!(plan.first, 5 * BLOCK);
    assert_eq!(
        ledger.plan_allocation(TWO, ANY_FRAME, 3, 9, 0),
        Err(Error::Exhausted)
    );
}

#[test]
fn any_blocks_are_found_across_the_cursor() {
    let mut ledger = machine();
    let kept = allocate(&mut ledger, ONE, BLOCK, 1, 9).unwrap();
    let low = allocate(&mut ledger, ONE, 2 * BLOCK, 1, 9).unwrap();
    free(&mut ledger, ONE, kept).unwrap();
    free(&mut ledger, ONE, low).unwrap();
    // The cursor stands at block 3; the only run of three begins before it.
    let plan = ledger.plan_allocation(ONE, ANY_FRAME, 3, 9, 0).unwrap();
    assert_eq!(plan.first, BLOCK);
}

#[test]
fn a_split_block_is_not_given_whole() {
    let mut ledger = machine();
    for block in [1, 2, 3, 5, 6] {
        allocate(&mut ledger, ONE, block * BLOCK + 511, 1, 0).unwrap();
    }
    assert_eq!(ledger.tables().summary.free_blocks, 0);
    assert_eq!(
        allocate(&mut ledger, ONE, ANY_FRAME, 1, 9),
        Err(Error::Exhausted)
    );
    assert_eq!(
        allocate(&mut ledger, ONE, ANY_FRAME, 512, 0),
        Err(Error::Exhausted)
    );
    allocate(&mut ledger, ONE, ANY_FRAME, 511, 0).unwrap();
    ledger.audit().unwrap();
}

#[test]
fn any_frames_have_the_colour_that_was_asked_for() {
    let mut ledger = machine();
    for (colours, colour, count) in [
        (1, 0, 1),
        (2, 1, 3),
        (16, 5, 1),
        (16, 5, 40),
        (512, 511, 1),
        (512, 0, 512),
    ] {
        let word = colours << 32 | colour;
        let plan = ledger
            .plan_allocation(ONE, ANY_FRAME, count, 0, word)
            .unwrap();
        assert_eq!(plan.first % colours, colour);
        assert_eq!(plan.count, count);
        assert!(
            (plan.first..plan.first + count)
                .all(|frame| ledger.owner(frame) == EnvironmentId::NOBODY)
        );
        ledger.commit_allocation(ONE, plan);
        ledger.audit().unwrap();
    }
}

#[test]
fn colours_without_a_meaning_are_refused() {
    let ledger = machine();
    let before = snapshot(&ledger);
    let all = u64::MAX;
    for word in [1, 3 << 32, 1024 << 32, 4 << 32 | 4, 1 << 63, all] {
        let plan = ledger.plan_allocation(ONE, ANY_FRAME, 1, 0, word);
        assert_eq!(plan, Err(Error::BadArgument), "{word:#x}");
    }
    let word = 4 << 32 | 1;
    for (first, order) in [(5 * BLOCK, 0), (ANY_FRAME, 9), (5 * BLOCK, 9)] {
        let plan = ledger.plan_allocation(ONE, first, 1, order, word);
        assert_eq!(plan, Err(Error::BadArgument), "{first}");
    }
    // No block holds so many from there on.
    let plan = ledger.plan_allocation(ONE, ANY_FRAME, 2, 0, 512 << 32 | 511);
    assert_eq!(plan, Err(Error::Exhausted));
    assert_eq!(snapshot(&ledger), before);
}
