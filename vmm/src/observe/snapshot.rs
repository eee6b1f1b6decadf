//! What a machine shows at one moment: the exported tables, and what the VMM itself counts.

use std::sync::atomic::Ordering;

use exo_abi::Kind;
use exo_abi::environment::State;
use exo_abi::layout::{Layout, Summary};
use exo_abi::revocation::{RevocationEntry, RevocationEvent, RevocationKind};
use serde::{Deserialize, Serialize};
use vm_memory::{Bytes, GuestAddress};

use crate::devices::FunctionStatistics;
use crate::machine::environments::{self, Environment};

use crate::memory::{GuestMemory, Plain};

use super::bindings::{self, BindingState, SliceState};

/// How often the tables are read again when the kernel has changed them meanwhile.
const ATTEMPTS: usize = 64;

/// What the kernel has logged of revocations, the newest last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RevocationState {
    /// Number of the event.
    pub number: u64,
    /// Time stamp counter.
    pub time: u64,
    /// Number of the request.
    pub serial: u32,
    /// Name of a [`RevocationEvent`].
    pub event: String,
    /// Number of the environment that it concerned; 0: all.
    pub environment: u16,
    /// Name of a [`RevocationKind`]; of what was taken, of a [`exo_abi::Kind`].
    pub kind: String,
    /// By event: deadline, first name that was taken, frames of a limit, number of an error.
    pub first: u64,
    /// By event: how much.
    pub count: u64,
}

/// Everything that is shown. Field names are the keys of the JSON document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The machine.
    pub machine: MachineState,
    /// Counts of the whole machine.
    pub summary: SummaryState,
    /// By number: the number of the environment that runs there, or 0.
    pub vcpus: Vec<u16>,
    /// In the order of the manifest; then those that were made, the last of each number.
    pub environments: Vec<EnvironmentState>,
    /// The IOMMU, then the functions in the order of the manifest.
    pub functions: Vec<FunctionState>,
    /// The slots of each vCPU by owner.
    pub slices: Vec<SliceState>,
    /// Queues and disk extents.
    pub bindings: Vec<BindingState>,
    /// The revocation log.
    pub revocations: Vec<RevocationState>,
}

/// What the VMM knows of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineState {
    /// Its name.
    pub name: String,
    /// Image as it was asked for.
    pub image: String,
    /// Process of the VMM.
    pub process: u32,
    /// Microseconds since its vCPUs were let go.
    pub running_us: u64,
    /// Frequency of its time stamp counter.
    pub tsc_khz: u64,
    /// Size of its memory.
    pub memory_kib: u64,
    /// Memory of the VMM's process, touched guest memory included.
    pub resident_kib: Option<u64>,
    /// Exits to the VMM so far.
    pub vm_exits: u64,
    /// Whether the tables were read at one moment; false: the kernel changed them each time that they were.
    pub consistent: bool,
}

/// The kernel's counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SummaryState {
    /// Blocks of 2 MiB that nobody owns.
    pub free_blocks: u64,
    /// Frames in use in split blocks.
    pub split_frames_used: u64,
    /// Page-table frames left in the pool.
    pub free_tables: u64,
    /// Capability slots in use.
    pub capabilities_used: u64,
    /// Environments that have not ended.
    pub environments_alive: u64,
    /// Frames that environments own, together.
    pub frames_owned: u64,
    /// Most of them.
    pub frames_limit: u64,
}

/// One environment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentState {
    /// Its number.
    pub number: u16,
    /// Name from the manifest.
    pub name: String,
    /// Name of a [`State`].
    pub state: String,
    /// vCPU that runs it.
    pub vcpu: u32,
    /// Kernel calls so far.
    pub calls: u64,
    /// Exceptions that it handled itself.
    pub upcalls: u64,
    /// Device interrupts taken for it.
    pub interrupts: u64,
    /// Exits to the VMM while it ran.
    pub vm_exits: u64,
    /// Ticks of the time stamp counter for which it has run, up to the last switch.
    pub ticks: u64,
    /// Turns that the kernel ended by a forced switch.
    pub forced_switches: u64,
    /// Slices that it ended too late.
    pub penalties: u64,
    /// Frames that it owns.
    pub frames: u32,
    /// Most frames.
    pub frames_quota: u32,
    /// Frames that are never taken by force.
    pub frames_guaranteed: u32,
    /// Page-table frames that it uses.
    pub tables: u32,
    /// Most page-table frames.
    pub tables_quota: u32,
    /// Capabilities that it holds.
    pub capabilities: u32,
    /// Most capabilities.
    pub capabilities_quota: u32,
    /// DMA capabilities that it holds.
    pub dma_mappings: u32,
    /// Most DMA capabilities.
    pub dma_mappings_quota: u32,
}

/// One device function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FunctionState {
    /// Name from the manifest; that of the IOMMU is `iommu`.
    pub name: String,
    /// Number of the environment that owns it; 0: nobody, or the kernel.
    pub owner: u16,
    /// By queue.
    pub queues: Vec<QueueState>,
}

/// One queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueState {
    /// Times that the driver rang.
    pub doorbells: u64,
    /// Interrupts sent.
    pub interrupts: u64,
    /// Requests given back.
    pub requests: u64,
    /// Bytes of payload moved.
    pub bytes: u64,
    /// Why it was stopped last, or `none`.
    pub stop_reason: String,
}

/// What was read of the exported tables.
pub(super) struct Tables {
    pub summary: Summary,
    pub environments: Vec<Environment>,
    pub owners: Vec<Option<usize>>,
    pub revocations: Vec<RevocationEntry>,
    pub slices: Vec<SliceState>,
    pub bindings: Vec<BindingState>,
}

impl EnvironmentState {
    pub(super) fn new(number: u16, environment: &Environment, vm_exits: u64) -> Self {
        let entry = &environment.entry;
        Self {
            number,
            name: environment.name(),
            state: environment.state().map_or("unknown", State::name).into(),
            vcpu: entry.vcpu,
            calls: entry
                .calls
                .iter()
                .fold(0, |sum, count| sum.wrapping_add(*count)),
            upcalls: environment.upcalls().into(),
            interrupts: entry.interrupts,
            vm_exits,
            ticks: entry.ticks,
            forced_switches: entry.forced_switches,
            penalties: entry.penalties,
            frames: entry.frames,
            frames_quota: entry.frames_quota,
            frames_guaranteed: entry.frames_guaranteed,
            tables: entry.tables,
            tables_quota: entry.tables_quota,
            capabilities: entry.capabilities,
            capabilities_quota: entry.capabilities_quota,
            dma_mappings: entry.dma_mappings,
            dma_mappings_quota: entry.dma_mappings_quota,
        }
    }
}

impl RevocationState {
    pub(super) fn new(entry: &RevocationEntry) -> Self {
        let event = RevocationEvent::from_number(entry.event);
        let kind = match event {
            Some(RevocationEvent::Taken) => Kind::from_number(entry.kind).map(Kind::name),
            _ => RevocationKind::from_number(entry.kind).map(RevocationKind::name),
        };
        Self {
            number: entry.number,
            time: entry.time,
            serial: entry.serial,
            event: event.map_or("unknown", RevocationEvent::name).into(),
            environment: entry.environment.0,
            kind: kind.unwrap_or("-").into(),
            first: entry.first,
            count: entry.count,
        }
    }
}

impl FunctionState {
    pub(super) fn new(function: &FunctionStatistics, owner: Option<usize>) -> Self {
        Self {
            name: function.name.clone(),
            owner: owner.map_or(0, |index| index as u16 + 1),
            queues: function
                .queues
                .iter()
                .map(|queue| QueueState {
                    doorbells: queue.doorbells,
                    interrupts: queue.interrupts,
                    requests: queue.requests,
                    bytes: queue.bytes,
                    stop_reason: queue.stop_reason.into(),
                })
                .collect(),
        }
    }
}

/// Reads the tables until they have not changed meanwhile, or until that was tried often enough.
pub(super) fn read_consistently(memory: &GuestMemory, layout: &Layout) -> (Tables, bool) {
    let mut left = ATTEMPTS;
    loop {
        let before = sequence(memory, layout);
        let tables = Tables::read(memory, layout);
        left -= 1;
        if before.is_multiple_of(2) && sequence(memory, layout) == before {
            return (tables, true);
        }
        if left == 0 {
            return (tables, false);
        }
        std::thread::yield_now();
    }
}

impl Tables {
    fn read(memory: &GuestMemory, layout: &Layout) -> Self {
        let Plain(summary) = memory
            .read_obj(GuestAddress(layout.exported))
            .unwrap_or_default();
        let environments = environments::read(memory, layout);
        Self {
            summary,
            slices: bindings::slices(memory, layout),
            bindings: bindings::bindings(memory, layout, &environments),
            environments,
            owners: environments::function_owners(memory, layout),
            revocations: read_log(memory, layout),
        }
    }
}

/// The revocation log, the oldest event first.
fn read_log(memory: &GuestMemory, layout: &Layout) -> Vec<RevocationEntry> {
    let mut log: Vec<RevocationEntry> = (0..layout.revocations.count)
        .filter_map(|index| {
            let address = layout.revocations.start + index * size_of::<RevocationEntry>() as u64;
            let Plain(entry) = memory.read_obj(GuestAddress(address)).ok()?;
            Some(entry)
        })
        .filter(|entry: &RevocationEntry| entry.number != 0)
        .collect();
    log.sort_by_key(|entry| entry.number);
    log
}

/// The sequence number of the tables; odd where it cannot be read.
fn sequence(memory: &GuestMemory, layout: &Layout) -> u64 {
    let place = layout.exported + std::mem::offset_of!(Summary, sequence) as u64;
    memory
        .load(GuestAddress(place), Ordering::SeqCst)
        .unwrap_or(1)
}
