//! The bundle: the one boot module, which holds everything that the kernel is told and every program, page aligned.
//!
//! Page 0 on: a [`BundleHeader`], the [`EnvironmentRecord`]s, the [`FunctionRecord`]s; then the pages of the programs. The
//! VMM, or `exo bundle`, makes it from a manifest and ELF files; the kernel maps its pages and never copies them.
//!
//! [`FunctionRecord`]: crate::function::FunctionRecord

use crate::environment::NAME_MAX;
use crate::port::PortRange;

/// "EXOBUNDL" in memory.
pub const BUNDLE_MAGIC: u64 = u64::from_le_bytes(*b"EXOBUNDL");
/// Most segments of a program, arguments included.
pub const SEGMENTS_MAX: usize = 8;
/// Most functions that one environment may be given.
pub const ENVIRONMENT_FUNCTIONS_MAX: usize = 16;
/// Most runs of ports that one environment may be given, that of the console included.
pub const ENVIRONMENT_PORTS_MAX: usize = 4;
/// Most extents that one environment may be given.
pub const ENVIRONMENT_EXTENTS_MAX: usize = 4;
/// Most vCPUs of a machine.
pub const VCPUS_MAX: usize = 32;

/// Bits that say what the machine has.
pub struct Features;

impl Features {
    /// The control device answers at [`crate::port::CONTROL_PORT`].
    pub const CONTROL_DEVICE: u64 = 1 << 0;
    /// The local APIC has x2APIC mode.
    pub const X2APIC: u64 = 1 << 1;
    /// `wrfsbase` and its like may be enabled for ring 3.
    pub const FSGSBASE: u64 = 1 << 2;
    /// A virtio-iommu stands before all functions; it is function 0.
    pub const IOMMU: u64 = 1 << 3;
    /// Ring 3 can use AVX registers although no CPUID bit says so and the kernel cannot: ring 3 has to clear them when the
    /// environment changes.
    pub const CLEAR_AVX: u64 = 1 << 4;
    /// The same for the registers that AVX-512 adds.
    pub const CLEAR_AVX512: u64 = 1 << 5;
    /// Ring 0 can be kept from executing pages of ring 3 (SMEP).
    pub const SMEP: u64 = 1 << 6;
    /// Ring 0 can be kept from reading and writing pages of ring 3 (SMAP).
    pub const SMAP: u64 = 1 << 7;
    /// Ring 3 can be kept from reading where descriptor tables lie (UMIP).
    pub const UMIP: u64 = 1 << 8;
    /// The timer of the local APIC has the TSC-deadline mode. Without it, or without `X2APIC` or a known TSC frequency, slices
    /// end only when their owners yield.
    pub const TSC_DEADLINE: u64 = 1 << 9;
}

/// First in the bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct BundleHeader {
    /// [`BUNDLE_MAGIC`].
    pub magic: u64,
    /// [`crate::ABI_VERSION`].
    pub abi_version: u32,
    /// Environments; their records follow the header.
    pub environment_count: u32,
    /// Functions; their records follow the environments'.
    pub function_count: u32,
    /// vCPUs that the machine has.
    pub vcpus: u32,
    /// [`Features`].
    pub features: u64,
    /// Time stamp counter frequency in kHz, or 0.
    pub tsc_khz: u64,
    /// Pages of the whole bundle.
    pub pages: u64,
    /// Page-table frames, all quotas together.
    pub tables: u64,
    /// Capability slots, all quotas together.
    pub capabilities: u64,
    /// Length of a time slice in microseconds; 0: slices have no end.
    pub slice: u64,
    /// Environments that can be alive at once: those of the image, and those that they may make.
    pub environments: u64,
}

const _: () = assert!(size_of::<BundleHeader>() == 80);

/// A run of pages of the bundle, and where the program wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Segment {
    /// Address, page aligned.
    pub address: u64,
    /// First page, counted from the start of the bundle.
    pub first_page: u32,
    /// Pages; 0: the segment is not there.
    pub pages: u32,
    /// [`crate::Rights`] of the mapping.
    pub rights: u32,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<Segment>() == 24);

/// A part of a disk that an environment is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct ExtentGrant {
    /// Number of the disk.
    pub disk: u32,
    /// 1: it may be written.
    pub writable: u32,
    /// First sector.
    pub first: u64,
    /// Sectors; 0: the extent is not there.
    pub sectors: u64,
}

const _: () = assert!(size_of::<ExtentGrant>() == 24);

/// What the manifest gives one environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct EnvironmentRecord {
    /// Name, padded with zeros.
    pub name: [u8; NAME_MAX],
    /// First instruction.
    pub entry: u64,
    /// The program.
    pub segments: [Segment; SEGMENTS_MAX],
    /// First page of the environment's part of the bundle, which it owns.
    pub first_page: u32,
    /// Pages of that part.
    pub pages: u32,
    /// Memory to grant beside it, in blocks.
    pub grant_blocks: u32,
    /// vCPU that runs it.
    pub vcpu: u32,
    /// Where the arguments lie in the environment.
    pub arguments: u64,
    /// How many arguments.
    pub argument_count: u32,
    /// Most frames, the grant and the program included.
    pub frames_quota: u32,
    /// Most page-table frames.
    pub tables_quota: u32,
    /// Most capabilities.
    pub capabilities_quota: u32,
    /// Most DMA mappings.
    pub dma_mappings_quota: u32,
    /// Most slots of the slice vector.
    pub slices_quota: u32,
    /// How many environments it may make.
    pub environments: u32,
    /// How many of `functions` are there.
    pub function_count: u32,
    /// Ports that it may use.
    pub ports: [PortRange; ENVIRONMENT_PORTS_MAX],
    /// Parts of disks.
    pub extents: [ExtentGrant; ENVIRONMENT_EXTENTS_MAX],
    /// Functions, as indexes into the function records.
    pub functions: [u32; ENVIRONMENT_FUNCTIONS_MAX],
    /// First block of memory that holds files for it: those are in no bundle, so that nobody has to copy them.
    pub attached_first: u32,
    /// How many such blocks; they are its own, like those of the grant.
    pub attached_blocks: u32,
}

const _: () = assert!(size_of::<EnvironmentRecord>() == 472);
