//! What the public operations cannot bring about: the audit finds every kind of wrong table, and slots wear out.

#[path = "../tests/machine/mod.rs"]
#[allow(dead_code)]
mod machine;

use exo_abi::environment::State;
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};

use crate::{Inconsistency, Ledger, Name};
use machine::*;

/// First frame of the capability in slot 0.
const FIRST: u64 = 2 * BLOCK + 10;
/// The same, as an index.
const FRAME: usize = FIRST as usize;

/// Slots: 0 four frames, 1 a block, 2 DMA of two of the frames, 3 DMA of some of the block, 4 a bound and mapped function,
/// 5 a frame of environment two; 6 and 7 are free, 8 was never used.
fn busy() -> Ledger<'static> {
    let mut ledger = machine();
    let frames = allocate(&mut ledger, ONE, FIRST, 4, 0).unwrap();
    let block = allocate(&mut ledger, ONE, 3 * BLOCK, 1, 9).unwrap();
    map_dma(&mut ledger, ONE, frames, (FIRST, 2), Rights::READ).unwrap();
    map_dma(&mut ledger, ONE, block, (3 * BLOCK, 100), Rights::READ).unwrap();
    let function = give_function(&mut ledger, 1, ONE);
    ledger.commit_bind(function, 1);
    map(&mut ledger, ONE, function, (registers(1), 1), Rights::READ).unwrap();
    allocate(&mut ledger, TWO, FIRST + 20, 1, 0).unwrap();
    for _ in 0..2 {
        ledger.add_capability(TWO, Name::new(Kind::Ports, 0x3f8, 1), Rights::READ_WRITE);
    }
    for slot in [6, 7] {
        free(&mut ledger, TWO, Capability::new(slot, 1)).unwrap();
    }
    ledger.audit().unwrap();
    ledger
}

/// Does `corrupt` to a sound ledger and tells what the audit says.
fn audit_after(corrupt: impl FnOnce(&mut Ledger)) -> Inconsistency {
    let mut ledger = busy();
    corrupt(&mut ledger);
    ledger.audit().unwrap_err()
}

/// Asserts, for each corruption of the tables, what the audit says.
macro_rules! finds {
    ($($name:ident: |$ledger:ident| $corrupt:expr => $inconsistency:expr;)+) => {
        $(#[test]
        fn $name() {
            let found = audit_after(|$ledger| { $corrupt; });
            assert_eq!(found, $inconsistency);
        })+
    };
}

finds! {
    finds_block_state_without_meaning:
        |l| l.tables.blocks[5].state = 7 => Inconsistency::Block(5 * BLOCK);
    finds_wrong_number_of_used_frames:
        |l| l.tables.blocks[2].used += 1 => Inconsistency::Block(2 * BLOCK);
    finds_owner_of_split_block:
        |l| l.tables.blocks[2].owner = ONE => Inconsistency::Block(2 * BLOCK);
    finds_used_count_of_whole_block:
        |l| l.tables.blocks[3].used = 1 => Inconsistency::Block(3 * BLOCK);
    finds_whole_block_of_nobody:
        |l| l.tables.blocks[3].owner = EnvironmentId::NOBODY => Inconsistency::Block(3 * BLOCK);
    finds_mapping_of_kernel_block:
        |l| l.tables.blocks[0].mappings = 1 => Inconsistency::Block(0);
    finds_owner_beyond_the_table:
        |l| l.tables.frames[FRAME].owner = EnvironmentId(9) => Inconsistency::Frame(FIRST);
    finds_frame_entry_in_whole_block:
        |l| l.tables.frames[3 * 512 + 1].owner = ONE => Inconsistency::Frame(3 * BLOCK + 1);
    finds_reserved_field_of_frame:
        |l| l.tables.frames[FRAME].reserved = 1 => Inconsistency::Frame(FIRST);
    finds_mapping_of_free_frame:
        |l| l.tables.frames[FRAME - 1].mappings = 1 => Inconsistency::FreeInUse(FIRST - 1);
    finds_mapping_of_free_block:
        |l| l.tables.blocks[5].mappings = 1 => Inconsistency::FreeInUse(5 * BLOCK);
    finds_owner_of_the_hole: |l| {
        l.tables.blocks[HOLE as usize].owner = ONE;
        l.tables.blocks[HOLE as usize].state = 1;
    } => Inconsistency::NoMemory(HOLE * BLOCK);
    finds_wrong_count_of_free_blocks: |l| l.tables.summary.free_blocks += 1 => Inconsistency::Summary;
    finds_wrong_count_of_split_frames: |l| l.tables.summary.split_frames_used += 1 => Inconsistency::Summary;
    finds_wrong_count_of_capabilities: |l| l.tables.summary.capabilities_used += 1 => Inconsistency::Summary;
    finds_wrong_count_of_environments: |l| l.tables.summary.environments_alive += 1 => Inconsistency::Summary;
    finds_lost_table_frame: |l| l.tables.summary.free_tables -= 1 => Inconsistency::Summary;

    finds_kind_without_meaning: |l| l.tables.capabilities[0].kind = 99 => Inconsistency::Slot(0);
    finds_executable_capability: |l| l.tables.capabilities[0].rights = 7 => Inconsistency::Slot(0);
    finds_generation_zero_in_use: |l| l.tables.capabilities[0].generation = 0 => Inconsistency::Slot(0);
    finds_holder_beyond_the_table:
        |l| l.tables.capabilities[0].holder = EnvironmentId(9) => Inconsistency::Slot(0);
    finds_misaligned_blocks: |l| l.tables.capabilities[1].first += 1 => Inconsistency::Slot(1);
    finds_range_that_wraps: |l| l.tables.capabilities[0].count = u64::MAX => Inconsistency::Slot(0);
    finds_rest_in_free_slot: |l| l.tables.capabilities[6].first = 1 => Inconsistency::Slot(6);
    finds_slot_used_before_its_time: |l| l.tables.capabilities[8].generation = 1 => Inconsistency::Slot(9);
    finds_loop_of_free_slots:
        |l| l.tables.capabilities[6].next = 8 => Inconsistency::FreeList(7);
    finds_missing_free_slot:
        |l| l.tables.capabilities[7].next = 0 => Inconsistency::FreeList(SLOTS as u32);
    finds_used_slot_in_free_list: |l| l.free_capability = 1 => Inconsistency::FreeList(0);
    finds_free_list_beyond_the_table: |l| l.free_capability = 99 => Inconsistency::FreeList(98);

    finds_rest_of_a_list_in_free_slot: |l| l.tables.capabilities[6].previous = 1 => Inconsistency::Slot(6);
    finds_holder_with_an_empty_list:
        |l| l.tables.environments[0].first_capability = 0 => Inconsistency::HolderList(0);
    finds_list_that_misses_its_first:
        |l| l.tables.environments[0].first_capability = 4 => Inconsistency::HolderList(3);
    finds_list_that_misses_its_last:
        |l| l.tables.capabilities[1].next = 0 => Inconsistency::HolderList(1);
    finds_list_that_misses_one: |l| {
        l.tables.capabilities[3].next = 2;
        l.tables.capabilities[1].previous = 4;
    } => Inconsistency::HolderList(0);
    finds_list_with_a_loop: |l| {
        l.tables.capabilities[0].next = 5;
        l.tables.capabilities[4].previous = 1;
    } => Inconsistency::HolderList(4);
    finds_wrong_way_back: |l| l.tables.capabilities[2].previous = 5 => Inconsistency::HolderList(2);
    finds_slot_of_another_holder_in_a_list: |l| {
        l.tables.capabilities[0].next = 6;
        l.tables.capabilities[5].previous = 1;
    } => Inconsistency::HolderList(5);
    finds_free_slot_in_a_list: |l| l.tables.environments[2].first_capability = 8 => Inconsistency::HolderList(7);
    finds_list_beyond_the_table: |l| l.tables.capabilities[0].next = 100 => Inconsistency::HolderList(99);

    finds_shared_frames: |l| {
        l.add_capability(ONE, Name::new(Kind::Frames, FIRST + 3, 1), Rights::READ_WRITE)
    } => Inconsistency::SharedName(0, 7);
    finds_shared_function: |l| {
        l.add_capability(TWO, Name::new(Kind::Function, 1, 1), Rights::READ_WRITE)
    } => Inconsistency::SharedName(4, 7);
    finds_capability_for_frames_of_others:
        |l| l.tables.frames[FRAME].owner = TWO => Inconsistency::ForeignFrame(FIRST);
    finds_frames_of_a_whole_block:
        |l| l.tables.capabilities[1].kind = 1 => Inconsistency::ForeignFrame(3 * BLOCK);
    finds_frames_without_capability:
        |l| l.tables.capabilities[0].count = 3 => Inconsistency::UnnamedFrame(1);

    finds_dma_to_other_frames:
        |l| l.tables.capabilities[2].first = FIRST + 19 => Inconsistency::Derived(2);
    finds_dma_to_more_frames: |l| l.tables.capabilities[2].count = 5 => Inconsistency::Derived(2);
    finds_more_rights_than_the_parent_has: |l| l.tables.capabilities[0].rights = 2 => Inconsistency::Derived(2);
    finds_another_kind_than_the_parent: |l| {
        l.tables.capabilities[2].kind = Kind::Ports as u8;
        l.tables.environments[0].dma_mappings -= 1;
    } => Inconsistency::Derived(2);
    finds_another_resource_than_the_parent: |l| l.tables.capabilities[2].resource = 1 => Inconsistency::Derived(2);
    finds_dma_without_parent: |l| l.tables.capabilities[2].parent = 0 => Inconsistency::Tree(2);
    finds_root_with_depth: |l| l.tables.capabilities[0].depth = 1 => Inconsistency::Tree(0);
    finds_root_with_siblings: |l| l.tables.capabilities[1].next_sibling = 1 => Inconsistency::Tree(1);
    finds_wrong_depth: |l| l.tables.capabilities[2].depth = 2 => Inconsistency::Tree(2);
    finds_parent_that_is_free: |l| l.tables.capabilities[2].parent = 7 => Inconsistency::Tree(2);
    finds_parent_beyond_the_table: |l| l.tables.capabilities[2].parent = 100 => Inconsistency::Tree(2);
    finds_children_of_another: |l| l.tables.capabilities[5].first_child = 3 => Inconsistency::Tree(2);
    finds_child_beyond_the_table: |l| l.tables.capabilities[5].first_child = 100 => Inconsistency::Tree(5);
    finds_child_that_is_free: |l| l.tables.capabilities[5].first_child = 7 => Inconsistency::Tree(6);
    finds_child_in_no_list: |l| l.tables.capabilities[0].first_child = 0 => Inconsistency::Orphans(1);
    finds_loop_of_siblings: |l| l.tables.capabilities[2].next_sibling = 3 => Inconsistency::Tree(2);
    finds_wrong_way_back_among_siblings: |l| {
        l.tables.capabilities[2].previous_sibling = 4;
    } => Inconsistency::Tree(2);
    finds_rest_of_the_tree_in_free_slot: |l| l.tables.capabilities[6].first_child = 3 => Inconsistency::Slot(6);
    finds_reserved_field_of_slot: |l| l.tables.capabilities[0].reserved = [0, 1] => Inconsistency::Slot(0);

    finds_function_owner_without_capability:
        |l| l.tables.functions[2].owner = ONE => Inconsistency::Function(2);
    finds_function_of_others: |l| l.tables.functions[1].owner = TWO => Inconsistency::Function(1);
    finds_bound_function_of_nobody: |l| l.tables.functions[2].bound = 1 => Inconsistency::Function(2);
    finds_function_bound_by_nobody: |l| l.tables.capabilities[4].bound = 0 => Inconsistency::Function(1);
    finds_mapped_function_that_is_not_bound: |l| l.tables.functions[1].bound = 0 => Inconsistency::Function(1);
    finds_capability_for_no_function:
        |l| l.add_capability(TWO, Name::new(Kind::Function, 3, 1), Rights::READ) => Inconsistency::Function(3);

    finds_slot_of_who_has_not_bound_it:
        |l| l.tables.slices[3].owner = ONE => Inconsistency::Slice(3);
    finds_slot_that_was_allocated_and_is_nobodys: |l| {
        allocate_slices(l, ONE, (5, 2)).unwrap();
        l.tables.slices[6].owner = EnvironmentId::NOBODY;
    } => Inconsistency::Slice(6);
    finds_shared_slots: |l| {
        allocate_slices(l, ONE, (5, 2)).unwrap();
        l.tables.slices[6].owner = EnvironmentId::NOBODY;
        allocate_slices(l, TWO, (6, 1)).unwrap();
    } => Inconsistency::SharedName(6, 7);
    finds_slots_that_were_allocated_and_are_not_bound:
        |l| l.add_capability(TWO, Name::new(Kind::Slice, 1, 1), Rights::READ) => Inconsistency::Slot(7);
    finds_slots_of_another_vcpu: |l| {
        allocate_slices(l, ONE, (5, 2)).unwrap();
        l.tables.environments[0].vcpu = 1;
    } => Inconsistency::Slot(7);
    finds_wrong_count_of_slots: |l| l.tables.environments[0].slices += 1 => Inconsistency::EnvironmentCount(1);
    finds_wrong_count_of_frames: |l| {
        l.tables.environments[0].frames += 1;
        l.tables.environments[1].frames -= 1;
    } => Inconsistency::EnvironmentCount(1);
    finds_wrong_count_of_own_capabilities:
        |l| l.tables.environments[1].capabilities += 1 => Inconsistency::EnvironmentCount(2);
    finds_wrong_count_of_dma_mappings:
        |l| l.tables.environments[0].dma_mappings -= 1 => Inconsistency::EnvironmentCount(1);
    finds_more_frames_than_the_quota:
        |l| l.tables.environments[0].frames_quota = 515 => Inconsistency::EnvironmentCount(1);
    finds_more_capabilities_than_the_quota:
        |l| l.tables.environments[0].capabilities_quota = 4 => Inconsistency::EnvironmentCount(1);
    finds_more_dma_mappings_than_the_quota:
        |l| l.tables.environments[0].dma_mappings_quota = 1 => Inconsistency::EnvironmentCount(1);
    finds_more_tables_than_the_quota:
        |l| l.tables.environments[2].tables = 5 => Inconsistency::EnvironmentCount(3);
    finds_state_without_meaning:
        |l| l.tables.environments[2].state = 9 => Inconsistency::EnvironmentCount(3);
    finds_end_that_was_not_counted:
        |l| l.tables.environments[2].state = State::Exited as u32 => Inconsistency::Summary;
}

#[test]
fn a_slot_whose_generations_are_used_up_is_retired_and_charged() {
    let mut ledger = busy();
    let first = Capability::new(7, 2);
    ledger.tables.capabilities[7].generation = u32::MAX;
    let last = ledger.add_capability(ONE, Name::new(Kind::Ports, 1, 1), Rights::READ);
    assert_eq!(last, Capability::new(7, u32::MAX));
    free(&mut ledger, ONE, last).unwrap();
    let quota = ledger.environment(ONE).unwrap().capabilities_quota;
    assert_eq!(quota, QUOTAS.capabilities - 1);
    ledger.audit().unwrap();
    let next = ledger.add_capability(ONE, Name::new(Kind::Ports, 1, 1), Rights::READ);
    assert_eq!(next.slot(), 6);
    let fresh = ledger.add_capability(ONE, Name::new(Kind::Ports, 1, 1), Rights::READ);
    assert_eq!(fresh, Capability::new(8, 1));
    for stale in [first, last, Capability::new(7, 0), Capability::new(7, 1)] {
        for holder in [ONE, EnvironmentId::NOBODY] {
            let answer = ledger.capability(holder, stale);
            assert_eq!(answer, Err(Error::BadCapability));
        }
    }
    ledger.audit().unwrap();
}
