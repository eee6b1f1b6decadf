//! What a machine shows at one moment: the exported tables, and what the VMM itself counts.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use exo_abi::environment::State;
use exo_abi::layout::{Layout, Summary};
use serde::{Deserialize, Serialize};
use vm_memory::{Bytes, GuestAddress};

use crate::devices::{Devices, FunctionStatistics};
use crate::machine::Machine;
use crate::machine::environments::{self, Environment};
use crate::machine::processor::{ExitCounts, Surroundings};
use crate::memory::{self, GuestMemory, Plain};

/// How often the tables are read again when the kernel has changed them meanwhile.
const ATTEMPTS: usize = 64;

/// A machine as its control socket knows it.
pub struct Watched {
    name: String,
    image: String,
    started: Instant,
    surroundings: Arc<Surroundings>,
    layout: Layout,
    memory: u64,
    tsc_khz: u64,
    vcpus: u32,
    devices: Option<Arc<Devices>>,
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
    /// In the order of the manifest.
    pub environments: Vec<EnvironmentState>,
    /// The IOMMU, then the functions in the order of the manifest.
    pub functions: Vec<FunctionState>,
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
    /// Frames that it owns.
    pub frames: u32,
    /// Most frames.
    pub frames_quota: u32,
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
struct Tables {
    summary: Summary,
    environments: Vec<Environment>,
    owners: Vec<Option<usize>>,
}

impl Watched {
    /// A machine that was let go at `started`.
    pub fn new(
        name: &str,
        image: &str,
        started: Instant,
        machine: &Machine,
        devices: Option<Arc<Devices>>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            image: image.to_owned(),
            started,
            surroundings: machine.surroundings(),
            layout: machine.map.layout,
            memory: machine.map.memory,
            tsc_khz: machine.tsc_khz,
            vcpus: machine.vcpus(),
            devices,
        }
    }

    /// How it is now.
    pub fn snapshot(&self) -> Snapshot {
        let guest = &self.surroundings.memory;
        let (tables, consistent) = read_consistently(guest, &self.layout);
        let exits: Vec<u64> = self.surroundings.exits.iter().map(total).collect();
        let functions = self.devices.as_ref();
        let functions = functions.map_or(Vec::new(), |devices| devices.statistics());
        Snapshot {
            machine: MachineState {
                name: self.name.clone(),
                image: self.image.clone(),
                process: std::process::id(),
                running_us: self.started.elapsed().as_micros() as u64,
                tsc_khz: self.tsc_khz,
                memory_kib: self.memory >> 10,
                resident_kib: memory::process_kib("VmRSS"),
                vm_exits: exits.iter().sum(),
                consistent,
            },
            summary: SummaryState {
                free_blocks: tables.summary.free_blocks,
                split_frames_used: tables.summary.split_frames_used,
                free_tables: tables.summary.free_tables,
                capabilities_used: tables.summary.capabilities_used,
                environments_alive: tables.summary.environments_alive,
            },
            vcpus: tables
                .summary
                .running
                .iter()
                .take(self.vcpus as usize)
                .map(|running| running.0)
                .collect(),
            environments: (1..)
                .zip(&tables.environments)
                .map(|(number, environment)| {
                    let exits = exits.get(usize::from(number)).copied().unwrap_or(0);
                    EnvironmentState::new(number, environment, exits)
                })
                .collect(),
            functions: functions
                .iter()
                .zip(&tables.owners)
                .map(|(function, owner)| FunctionState::new(function, *owner))
                .collect(),
        }
    }
}

impl EnvironmentState {
    fn new(number: u16, environment: &Environment, vm_exits: u64) -> Self {
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
            frames: entry.frames,
            frames_quota: entry.frames_quota,
            tables: entry.tables,
            tables_quota: entry.tables_quota,
            capabilities: entry.capabilities,
            capabilities_quota: entry.capabilities_quota,
            dma_mappings: entry.dma_mappings,
            dma_mappings_quota: entry.dma_mappings_quota,
        }
    }
}

impl FunctionState {
    fn new(function: &FunctionStatistics, owner: Option<usize>) -> Self {
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
fn read_consistently(memory: &GuestMemory, layout: &Layout) -> (Tables, bool) {
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
        Self {
            summary,
            environments: environments::read(memory, layout),
            owners: environments::function_owners(memory, layout),
        }
    }
}

/// The sequence number of the tables; odd where it cannot be read.
fn sequence(memory: &GuestMemory, layout: &Layout) -> u64 {
    let place = layout.exported + std::mem::offset_of!(Summary, sequence) as u64;
    memory
        .load(GuestAddress(place), Ordering::SeqCst)
        .unwrap_or(1)
}

fn total(counts: &ExitCounts) -> u64 {
    let kinds = [&counts.memory, &counts.port, &counts.other];
    kinds.iter().map(|kind| kind.load(Ordering::Relaxed)).sum()
}
