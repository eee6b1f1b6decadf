//! The kernel interface page (L4's idea): what this kernel is and how to enter it, readable and executable by all.

abi_enum! {
    /// How ring 3 enters the kernel on this host; the kernel finds out at boot.
    pub enum Gate: u32 {
        /// `int3` through a DPL 3 gate.
        Breakpoint = 1 => "int3",
        /// `syscall`.
        Syscall = 2 => "syscall",
    }
}

/// "EXOVISOR" in memory.
pub const INTERFACE_MAGIC: u64 = u64::from_le_bytes(*b"EXOVISOR");
/// Offset of the executable part.
pub const GATE_CODE_OFFSET: usize = 0x800;

/// The data part of the interface page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct InterfacePage {
    /// [`INTERFACE_MAGIC`].
    pub magic: u64,
    /// [`crate::ABI_VERSION`].
    pub abi_version: u32,
    /// A [`Gate`].
    pub gate: u32,
    /// Address to call for a kernel call, whatever the gate.
    pub gate_entry: u64,
    /// Time stamp counter frequency in kHz; 0 where nobody told.
    pub tsc_khz: u64,
    /// [`crate::bundle::Features`] of this machine.
    pub features: u64,
    /// vCPUs that run.
    pub vcpus: u64,
    /// Frame numbers below this may be memory.
    pub frames: u64,
    /// Exported environment table: address of the entry of environment 1, and entries.
    pub environments: u64,
    /// Entries.
    pub environment_count: u64,
    /// Exported capability table.
    pub capabilities: u64,
    /// Entries.
    pub capability_count: u64,
    /// Exported function table.
    pub functions: u64,
    /// Entries.
    pub function_count: u64,
    /// Exported block table.
    pub blocks: u64,
    /// Entries.
    pub block_count: u64,
    /// Exported frame table; it has `frames` entries.
    pub frame_table: u64,
    /// The [`crate::layout::Summary`].
    pub summary: u64,
    /// Exported slice table, of the vectors of all vCPUs.
    pub slices: u64,
    /// Entries.
    pub slice_count: u64,
    /// Length of a slice in ticks of the time stamp counter; 0: slices have no end.
    pub slice_ticks: u64,
    /// Exported revocation log; it has [`crate::revocation::REVOCATION_LOG`] entries.
    pub revocations: u64,
}
