//! A small machine for tests of the ledger: tables on the heap, and a copy of them to compare with.

use exo_abi::capability::{CapabilityEntry, KIND_NUMBERS};
use exo_abi::environment::{EnvironmentEntry, KEPT_TABLES};
use exo_abi::frame::{BlockEntry, FrameEntry};
use exo_abi::function::{FunctionEntry, FunctionRecord};
use exo_abi::layout::Summary;
use exo_abi::revocation::{REVOCATION_LOG, RevocationEntry};
use exo_abi::slice::{SLICES, SliceEntry};
use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};
use exo_ledger::{FrameRange, Ledger, Name, Quotas, Tables};

/// Whole blocks of the machine. Block 0 is the kernel's, block 4 a hole. Behind them comes half a block of memory.
pub const BLOCKS: u64 = 7;
/// End of memory, in the middle of a block.
pub const END: u64 = BLOCKS * BLOCK + BLOCK / 2;
/// Block that is no memory.
pub const HOLE: u64 = 4;
/// Frames in a block.
pub const BLOCK: u64 = 512;
/// Capability slots: fewer than the quotas allow together.
pub const SLOTS: usize = 20;
/// Functions; 0 is the kernel's.
pub const FUNCTIONS: u32 = 3;
/// Environments of the image.
pub const ENVIRONMENTS: u16 = 3;
/// Numbers of those that it may make, too.
pub const NUMBERS: u16 = ENVIRONMENTS + 2;
/// Page-table frames: all quotas together, and what numbers keep, as the bundle says it.
pub const TABLE_POOL: u64 = 12 + 2 * KEPT_TABLES as u64;
/// The environments.
pub const ONE: EnvironmentId = EnvironmentId(1);
/// The second.
pub const TWO: EnvironmentId = EnvironmentId(2);
/// The third.
pub const THREE: EnvironmentId = EnvironmentId(3);

/// What each environment may have.
pub const QUOTAS: Quotas = Quotas {
    frames: 1800,
    tables: 4,
    capabilities: 9,
    dma_mappings: 4,
    slices: 5,
};

/// All exported tables at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    summary: Summary,
    environments: Vec<EnvironmentEntry>,
    functions: Vec<FunctionEntry>,
    capabilities: Vec<CapabilityEntry>,
    blocks: Vec<BlockEntry>,
    frames: Vec<FrameEntry>,
    slices: Vec<SliceEntry>,
}

/// Copies the tables.
pub fn snapshot(ledger: &Ledger) -> Snapshot {
    let tables = ledger.tables();
    Snapshot {
        summary: *tables.summary,
        environments: tables.environments.to_vec(),
        functions: tables.functions.to_vec(),
        capabilities: tables.capabilities.to_vec(),
        blocks: tables.blocks.to_vec(),
        frames: tables.frames.to_vec(),
        slices: tables.slices.to_vec(),
    }
}

fn absent() -> EnvironmentEntry {
    EnvironmentEntry {
        name: [0; 32],
        state: 0,
        abort_reason: 0,
        exit_status: 0,
        abort_vector: 0,
        abort_error_code: 0,
        abort_instruction: 0,
        abort_address: 0,
        vcpu: 0,
        frames: 0,
        frames_quota: 0,
        tables: 0,
        tables_quota: 0,
        capabilities: 0,
        capabilities_quota: 0,
        dma_mappings: 0,
        dma_mappings_quota: 0,
        first_capability: 0,
        accepts: 0,
        frames_guaranteed: 0,
        slices_quota: 0,
        owner: 0,
        slices: 0,
        reserved: 0,
        calls: [0; exo_abi::call::CALL_COUNT],
        interrupts: 0,
        ticks: 0,
        turns: 0,
        forced_switches: 0,
        penalties: 0,
        held: [0; KIND_NUMBERS],
    }
}

/// A ledger over zeroed tables. They are leaked: a test ends soon.
pub fn bare(blocks: u64, slots: usize, memory: [FrameRange; 2], kernel: u64) -> Ledger<'static> {
    let tables = Tables {
        summary: Box::leak(Box::default()),
        environments: vec![absent(); NUMBERS as usize].leak(),
        functions: vec![FunctionEntry::default(); FUNCTIONS as usize].leak(),
        slices: vec![SliceEntry::default(); 2 * SLICES].leak(),
        revocations: vec![RevocationEntry::default(); REVOCATION_LOG].leak(),
        capabilities: vec![CapabilityEntry::default(); slots].leak(),
        blocks: vec![BlockEntry::default(); blocks as usize].leak(),
        frames: vec![FrameEntry::default(); (blocks * BLOCK) as usize].leak(),
    };
    let mut ledger = Ledger::new(tables, memory, kernel);
    ledger.set_table_pool(TABLE_POOL);
    ledger
}

/// Function `index` of the machine: two queues, BARs in the device hole, part of disk 1 but for function 0.
pub fn record(index: u32) -> FunctionRecord {
    let base = 0xd000_0000 + u64::from(index) * 0x10_0000;
    FunctionRecord {
        address: index << 3,
        device_type: 2,
        registers: base,
        doorbells: base + 0x1_0000,
        msix: base + 0x2_0000,
        configuration: base + 0x3_0000,
        queues: 2,
        vectors: 3,
        disk: if index == 0 { 0 } else { 2 },
        reserved: 0,
    }
}

/// First register page of function `index`, as a page number.
pub fn registers(index: u32) -> u64 {
    record(index).registers >> 12
}

/// First doorbell page of function `index`, as a page number.
pub fn doorbells(index: u32) -> u64 {
    record(index).doorbells >> 12
}

/// The machine of most tests: three environments with [`QUOTAS`], functions that are the kernel's.
pub fn machine() -> Ledger<'static> {
    let memory = [
        FrameRange {
            start: 0,
            end: HOLE * BLOCK,
        },
        FrameRange {
            start: (HOLE + 1) * BLOCK,
            end: END,
        },
    ];
    let mut ledger = bare(BLOCKS + 1, SLOTS, memory, 300);
    for id in 1..=ENVIRONMENTS {
        start(&mut ledger, EnvironmentId(id));
    }
    for index in 0..FUNCTIONS {
        ledger.add_function(index, record(index), EnvironmentId::KERNEL);
    }
    ledger
}

/// The vCPU that runs an environment: 1 for the third, 0 for the others.
pub fn vcpu_of(id: EnvironmentId) -> u32 {
    u32::from(id == THREE)
}

/// Starts an environment, or starts it again.
pub fn start(ledger: &mut Ledger, id: EnvironmentId) {
    ledger.add_environment(id, &[b'e'; 32], vcpu_of(id), QUOTAS);
}

/// What the kernel does for `slice_allocate` by position.
pub fn allocate_slices(
    ledger: &mut Ledger,
    holder: EnvironmentId,
    (first, count): (u64, u64),
) -> Result<Capability, Error> {
    let vcpu = vcpu_of(holder);
    let name = ledger.check_slices(holder, vcpu.into(), first, count)?;
    let capability = ledger.commit_slices(holder, name);
    set_owners(ledger, name, holder);
    Ok(capability)
}

/// What the kernel does for `slice_bind`.
pub fn bind_slices(
    ledger: &mut Ledger,
    holder: EnvironmentId,
    capability: Capability,
) -> Result<(), Error> {
    let name = ledger.check_bind_slices(holder, capability)?;
    ledger.commit_bind_slices(capability);
    set_owners(ledger, name, holder);
    Ok(())
}

fn set_owners(ledger: &mut Ledger, name: Name, owner: EnvironmentId) {
    for slot in name.first..name.first + name.count {
        ledger.set_slice_owner(name.resource as usize, slot as usize, owner);
    }
}

/// What the kernel does with a capability that nothing keeps any more: its slots go to whoever is next.
pub fn release(ledger: &mut Ledger, holder: EnvironmentId, capability: Capability) {
    let entry = *ledger.entry(capability).unwrap();
    if entry.kind == Kind::Slice as u8 && entry.bound != 0 {
        let heir = ledger.heir_of_slices(capability);
        let vcpu = entry.resource as usize;
        for slot in (entry.first..entry.first + entry.count).map(|slot| slot as usize) {
            if ledger.slice_owner(vcpu, slot) == holder {
                ledger.set_slice_owner(vcpu, slot, heir);
            }
        }
    }
    ledger.commit_free(holder, capability);
}

/// What the kernel does for `frame_allocate`.
pub fn allocate(
    ledger: &mut Ledger,
    holder: EnvironmentId,
    first: u64,
    count: u64,
    order: u64,
) -> Result<Capability, Error> {
    let allocation = ledger.plan_allocation(holder, first, count, order, 0)?;
    Ok(ledger.commit_allocation(holder, allocation))
}

/// What the kernel does for `capability_free`.
pub fn free(
    ledger: &mut Ledger,
    holder: EnvironmentId,
    capability: Capability,
) -> Result<(), Error> {
    ledger.check_free(holder, capability)?;
    release(ledger, holder, capability);
    Ok(())
}

/// What the kernel does for `dma_map`.
pub fn map_dma(
    ledger: &mut Ledger,
    holder: EnvironmentId,
    capability: Capability,
    (first, count): (u64, u64),
    rights: Rights,
) -> Result<Capability, Error> {
    ledger.check_dma_map(holder, capability, first, count, rights)?;
    Ok(ledger.commit_dma_map(holder, capability, first, count, rights))
}

/// What the kernel does for one entry of `page_map`, page tables aside. In place of the link to the first entry stands how many
/// there are.
pub fn map(
    ledger: &mut Ledger,
    holder: EnvironmentId,
    capability: Capability,
    (first, count): (u64, u64),
    rights: Rights,
) -> Result<bool, Error> {
    let device = ledger.check_mapping(holder, capability, first, count, rights)?;
    let slot = capability.slot();
    let mapped = ledger.first_mapping(slot) + count as u32;
    ledger.set_first_mapping(slot, mapped);
    if !device {
        ledger.add_mappings(first, count);
    }
    Ok(device)
}

/// What the kernel does when one page that is mapped under `capability` is unmapped.
pub fn unmap(ledger: &mut Ledger, capability: Capability, page: u64, device: bool) {
    let slot = capability.slot();
    let mapped = ledger.first_mapping(slot);
    ledger.set_first_mapping(slot, mapped - 1);
    if !device {
        ledger.remove_mapping(page);
    }
}

/// What the kernel does at boot with a function of the manifest.
pub fn give_function(ledger: &mut Ledger, index: u32, holder: EnvironmentId) -> Capability {
    ledger.give_function(index, holder);
    ledger.add_capability(
        holder,
        Name::new(Kind::Function, u64::from(index), 1),
        Rights::CAPABILITY,
    )
}

/// What the kernel does for `capability_derive` of the same kind.
pub fn derive(
    ledger: &mut Ledger,
    holder: EnvironmentId,
    capability: Capability,
    range: (u64, u64),
    rights: Rights,
) -> Result<Capability, Error> {
    derive_kind(ledger, holder, capability, range, u64::from(rights.0), 0)
}

/// What the kernel does for `capability_derive`.
pub fn derive_kind(
    ledger: &mut Ledger,
    holder: EnvironmentId,
    capability: Capability,
    range: (u64, u64),
    rights: u64,
    kind: u64,
) -> Result<Capability, Error> {
    let derivation = ledger.check_derive(holder, capability, range, rights, kind)?;
    Ok(ledger.commit_derive(holder, capability, derivation))
}

/// What the kernel does for `capability_give`.
pub fn give(
    ledger: &mut Ledger,
    holder: EnvironmentId,
    capability: Capability,
    to: EnvironmentId,
) -> Result<Capability, Error> {
    let to = ledger.check_give(holder, capability, u64::from(to.0))?;
    Ok(ledger.commit_give(holder, capability, to))
}

/// What the kernel does for one `capability_revoke` with a batch of this size; whether all is gone.
pub fn revoke(
    ledger: &mut Ledger,
    holder: EnvironmentId,
    capability: Capability,
    batch: u64,
) -> Result<bool, Error> {
    ledger.check_revoke(holder, capability)?;
    Ok(revoke_below(ledger, capability, batch))
}

/// Takes what was derived from a capability, `batch` at most; whether all is gone.
pub fn revoke_below(ledger: &mut Ledger, ancestor: Capability, batch: u64) -> bool {
    let (mut from, mut left) = (ancestor, batch);
    while let Some(leaf) = ledger.take_unmapped(ancestor, from, &mut left) {
        if left == 0 {
            return false;
        }
        left -= 1;
        from = ledger.parent(leaf).unwrap();
        let holder = ledger.entry(leaf).unwrap().holder;
        release(ledger, holder, leaf);
    }
    true
}

/// What the kernel does for the holder of a number that nobody has yet: gives it those of all that can be made.
pub fn give_numbers(ledger: &mut Ledger, holder: EnvironmentId) -> Capability {
    let (first, count) = (
        u64::from(ENVIRONMENTS) + 1,
        u64::from(NUMBERS - ENVIRONMENTS),
    );
    let name = Name::new(Kind::Environment, first, count);
    ledger.add_capability(holder, name, Rights::CAPABILITY)
}

/// What the kernel does for `environment_create`, on a machine of one vCPU: frames, page tables, capabilities.
pub fn create(
    ledger: &mut Ledger,
    holder: EnvironmentId,
    capability: Capability,
    number: u64,
    vcpu: u64,
    quotas: [u64; 3],
) -> Result<(), Error> {
    let creation = ledger.check_creation(holder, capability, number, (vcpu, 1), quotas)?;
    ledger.commit_creation(creation, holder);
    if ledger.environment(creation.id)?.tables == 0 {
        ledger.add_tables(creation.id, KEPT_TABLES);
    }
    Ok(())
}

/// What the kernel does when an environment that was made has ended, which is recorded.
pub fn give_back(ledger: &mut Ledger, id: EnvironmentId) {
    take_everything_back(ledger, id);
    let tables = ledger.environment(id).unwrap().tables;
    ledger.remove_tables(id, tables - KEPT_TABLES);
    ledger.return_quotas(id);
}

/// What the kernel does when an environment ends: functions first, then all the rest from the newest on.
pub fn take_everything_back(ledger: &mut Ledger, holder: EnvironmentId) {
    let mut next = ledger.newest_capability(holder);
    while let Some(capability) = next {
        next = ledger.older_capability(holder, capability);
        if ledger.function_capability(holder, capability).is_ok() {
            ledger.commit_unbind(capability);
        }
    }
    while let Some(capability) = ledger.newest_capability(holder) {
        revoke_below(ledger, capability, u64::MAX);
        release(ledger, holder, capability);
    }
}
