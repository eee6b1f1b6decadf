//! The report of a run: what `--json` writes, and what `--stats` shows.

use std::collections::BTreeMap;

use exo_abi::Call;
use exo_abi::environment::{AbortReason, State};
use exo_abi::upcall::Vector;
use serde::Serialize;

use crate::devices::FunctionStatistics;
use crate::machine::environments::Environment;

/// Everything that is worth knowing about a run. Field names are the keys of the JSON document.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Image as it was asked for.
    pub image: String,
    /// Exit status of `exo`.
    pub status: u8,
    /// `orderly`, `kernel-panic`, `bad-boot-information`, `unknown-exit-code` or `machine-failure`.
    pub end: &'static str,
    /// Why the machine failed, if it did.
    pub failure: Option<String>,
    /// In the order of the manifest; then those that were made, the last of each number.
    pub environments: Vec<EnvironmentReport>,
    /// The IOMMU, then the functions in the order of the manifest.
    pub functions: Vec<FunctionStatistics>,
    /// Of the whole machine.
    pub counters: MachineCounters,
    /// Where the time went.
    pub timings: Timings,
    /// Memory of `exo` and of the guest.
    pub memory: MemoryReport,
    /// Where this ran.
    pub host: HostReport,
    /// What ran.
    pub versions: Versions,
}

/// One environment.
#[derive(Debug, Serialize)]
pub struct EnvironmentReport {
    /// Name from the manifest.
    pub name: String,
    /// Name of a [`State`].
    pub state: &'static str,
    /// Its own status, if it has exited.
    pub exit_status: Option<u64>,
    /// Why and where the kernel ended it, if it did.
    pub abort: Option<Abort>,
    /// vCPU that ran it.
    pub vcpu: u32,
    /// What it did.
    pub counters: EnvironmentCounters,
    /// What it held at the end, and might have held.
    pub held: Held,
}

/// The record of an exception that ended an environment.
#[derive(Debug, Serialize)]
pub struct Abort {
    /// Name of an [`AbortReason`].
    pub reason: &'static str,
    /// Vector of the exception.
    pub vector: u64,
    /// Name of a [`Vector`], if it has one.
    pub vector_name: Option<&'static str>,
    /// Error code, or 0.
    pub error_code: u64,
    /// Where it happened.
    pub instruction: u64,
    /// Faulting address of a page fault.
    pub address: u64,
}

/// Counts of one environment.
#[derive(Debug, Serialize)]
pub struct EnvironmentCounters {
    /// Kernel calls by name. `null` is not counted by the kernel and stands at 0.
    pub kernel_entries: BTreeMap<&'static str, u64>,
    /// Exceptions that it handled itself.
    pub upcalls: u64,
    /// Device interrupts taken for it.
    pub interrupts: u64,
    /// Doorbells that reached the VMM from its functions.
    pub doorbells: u64,
    /// Exits to the VMM while it ran.
    pub vm_exits: VmExits,
    /// Bytes moved through queues, as the program says.
    pub bytes: u64,
    /// Requests completed, as the program says.
    pub requests: u64,
    /// Ticks of the time stamp counter for which it ran.
    pub ticks: u64,
    /// Turns that it got on its vCPU.
    pub turns: u64,
    /// Turns that the kernel ended by a forced switch.
    pub forced_switches: u64,
    /// Slices that it ended too late.
    pub penalties: u64,
}

/// Resources and their limits.
#[derive(Debug, Serialize)]
pub struct Held {
    /// Frames.
    pub frames: u32,
    /// Most frames.
    pub frames_quota: u32,
    /// Page-table frames.
    pub tables: u32,
    /// Most page-table frames.
    pub tables_quota: u32,
    /// Capabilities.
    pub capabilities: u32,
    /// Most capabilities.
    pub capabilities_quota: u32,
}

/// Exits to the VMM by what they were for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VmExits {
    /// Loads and stores of device memory.
    pub memory: u64,
    /// Port instructions.
    pub port: u64,
    /// Everything else.
    pub other: u64,
}

impl VmExits {
    /// All kinds.
    pub fn total(&self) -> u64 {
        self.memory + self.port + self.other
    }
}

/// Counts of the machine.
#[derive(Debug, Serialize)]
pub struct MachineCounters {
    /// Exits to the VMM, all vCPUs.
    pub vm_exits: VmExits,
    /// KVM's own counters that are not zero, machine and all vCPUs added up.
    pub kvm: BTreeMap<String, u64>,
}

/// Moments of the run, in microseconds since `origin`.
#[derive(Debug, Serialize)]
pub struct Timings {
    /// `EXO_START_NS` where a script said when it started the process (`date +%s%N`), else `main`.
    pub origin: &'static str,
    /// `main` began.
    pub main_us: u64,
    /// The first vCPU was let go.
    pub first_run_us: Option<u64>,
    /// The first libOS executed its first instruction.
    pub first_instruction_us: Option<u64>,
    /// The machine had ended.
    pub end_us: u64,
    /// This report was made.
    pub total_us: u64,
}

/// Memory in KiB.
#[derive(Debug, Serialize)]
pub struct MemoryReport {
    /// Size of the machine's memory.
    pub guest_kib: u64,
    /// Guest memory that was touched.
    pub guest_resident_kib: Option<u64>,
    /// Most memory that the process ever had, the guest's included.
    pub peak_kib: Option<u64>,
}

/// The host.
#[derive(Debug, Serialize)]
pub struct HostReport {
    /// `hardware`, `shadow`, `nested` or `unknown`.
    pub kind: &'static str,
    /// Version of its Linux.
    pub linux: String,
    /// Frequency of the time stamp counter.
    pub tsc_khz: u64,
    /// vCPUs of the machine.
    pub vcpus: u32,
}

/// Versions.
#[derive(Debug, Serialize)]
pub struct Versions {
    /// Of `exo`.
    pub exo: &'static str,
    /// Of the contract.
    pub abi: u32,
}

impl EnvironmentReport {
    /// From what the kernel exports, and what was counted outside.
    pub fn new(environment: &Environment, doorbells: u64, vm_exits: VmExits) -> Self {
        let entry = &environment.entry;
        let state = environment.state();
        let calls = Call::ALL.iter().zip(entry.calls);
        Self {
            name: environment.name(),
            state: state.map_or("unknown", State::name),
            exit_status: (state == Some(State::Exited)).then_some(entry.exit_status),
            abort: (state == Some(State::Aborted)).then(|| Abort {
                reason: environment
                    .abort_reason()
                    .map_or("unknown", AbortReason::name),
                vector: entry.abort_vector,
                vector_name: Vector::from_number(entry.abort_vector).map(Vector::name),
                error_code: entry.abort_error_code,
                instruction: entry.abort_instruction,
                address: entry.abort_address,
            }),
            vcpu: entry.vcpu,
            counters: EnvironmentCounters {
                kernel_entries: calls.map(|(call, count)| (call.name(), count)).collect(),
                upcalls: u64::from(environment.upcalls()),
                interrupts: entry.interrupts,
                doorbells,
                vm_exits,
                bytes: environment.call_page.bytes,
                requests: environment.call_page.requests,
                ticks: entry.ticks,
                turns: entry.turns,
                forced_switches: entry.forced_switches,
                penalties: entry.penalties,
            },
            held: Held {
                frames: entry.frames,
                frames_quota: entry.frames_quota,
                tables: entry.tables,
                tables_quota: entry.tables_quota,
                capabilities: entry.capabilities,
                capabilities_quota: entry.capabilities_quota,
            },
        }
    }
}
