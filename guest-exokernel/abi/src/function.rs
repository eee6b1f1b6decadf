//! Device functions: what the VMM tells about each, and the exported function table.
//!
//! A function is a modern virtio-pci function with three memory BARs. BAR 0 and 2 may be mapped by the libOS that
//! has bound it; BAR 4 (MSI-X) and configuration space stay the kernel's.

use crate::environment::EnvironmentId;

/// Most functions on the bus.
pub const FUNCTIONS_MAX: usize = 64;
/// Most queues of a function.
pub const QUEUES_MAX: u32 = 8;
/// Page of BAR 0 with the virtio common configuration (virtio 1.2, section 4.1.4.3).
pub const COMMON_PAGE: u64 = 0;
/// Page of BAR 0 with the ISR status (section 4.1.4.5).
pub const ISR_PAGE: u64 = 1;
/// Page of BAR 0 with the device-specific configuration (section 4.1.4.6).
pub const DEVICE_PAGE: u64 = 2;
/// Page of BAR 0 with one [`QueueService`] word per queue: how the VMM serves it.
pub const SERVICE_PAGE: u64 = 3;
/// Offset in the service page of one [`StopReason`] word per queue, read-only.
pub const STOP_REASONS: u64 = 0x800;
/// Pages of BAR 0.
pub const REGISTER_PAGES: u64 = 4;
/// `notify_off_multiplier`: one doorbell page per queue, so that each can be mapped alone. BAR 2 holds the doorbells.
pub const DOORBELL_STRIDE: u32 = 4096;
/// Offset in BAR 4 of the MSI-X table; the pending bits are in the next page.
pub const MSIX_TABLE: u64 = 0;
/// Offset in BAR 4 of the MSI-X pending bits.
pub const MSIX_PENDING: u64 = 0x1000;
/// Bytes of BAR 4.
pub const MSIX_BAR_SIZE: u64 = 0x2000;
/// MSI-X vectors of a function: one for configuration changes, one per queue.
pub const VECTORS_MAX: u32 = QUEUES_MAX + 1;
/// Offset of the PCI command register.
pub const PCI_COMMAND: u64 = 0x04;
/// Command bits: answer to memory accesses.
pub const PCI_COMMAND_MEMORY: u16 = 1 << 1;
/// Command bits: may start DMA.
pub const PCI_COMMAND_BUS_MASTER: u16 = 1 << 2;
/// Offset of the MSI-X capability, the same in every function.
pub const PCI_MSIX_CAPABILITY: u64 = 0x40;
/// Bit of the MSI-X message control word that enables it.
pub const PCI_MSIX_ENABLE: u16 = 1 << 15;

abi_enum! {
    /// How the VMM serves a queue; written to the service page before the queue is enabled.
    pub enum QueueService: u32 {
        /// A doorbell wakes the event loop, an interrupt answers.
        Events = 0 => "events",
        /// A thread of the VMM polls the available ring; no doorbell is needed.
        Polled = 1 => "polled",
    }
}

abi_enum! {
    /// Why the VMM has stopped a queue. It then sets DEVICE_NEEDS_RESET (virtio 1.2, section 2.1.2) and raises the
    /// configuration interrupt; a device reset makes the queue usable again.
    pub enum StopReason: u32 {
        /// It has not.
        None = 0 => "none",
        /// The queue size is zero, no power of two, or larger than the device allows.
        QueueSize = 1 => "queue-size",
        /// A ring address is not aligned as virtio 1.2, section 2.7, asks.
        RingAlignment = 2 => "ring-alignment",
        /// A ring is not in the function's DMA domain, or the function may not master the bus.
        RingAddress = 3 => "ring-address",
        /// The available index is further ahead than the queue is long.
        AvailableIndex = 4 => "available-index",
        /// A descriptor number is outside its table.
        DescriptorIndex = 5 => "descriptor-index",
        /// A chain has more descriptors than the queue: it is too long, or a loop.
        ChainTooLong = 6 => "chain-too-long",
        /// The lengths of a chain add up to 4 GiB or more.
        ChainLength = 7 => "chain-length",
        /// A descriptor has a flag without a meaning.
        DescriptorFlags = 8 => "descriptor-flags",
        /// A readable descriptor follows a writable one.
        DescriptorOrder = 9 => "descriptor-order",
        /// An indirect table was not negotiated, is nested, empty, too long, no multiple of 16 bytes, or continued.
        IndirectTable = 10 => "indirect-table",
        /// An indirect table is not in the function's DMA domain.
        IndirectAddress = 11 => "indirect-address",
        /// A buffer is not in the function's DMA domain, or may not be written.
        BufferAddress = 12 => "buffer-address",
        /// The readable part of a chain is too short for the request's header.
        RequestHeader = 13 => "request-header",
        /// The writable part of a chain has no room for the request's status.
        RequestStatus = 14 => "request-status",
        /// The host could not serve the queue.
        Host = 15 => "host",
    }
}

/// What the VMM tells about a function at boot. Addresses are guest-physical.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct FunctionRecord {
    /// Bus, device, function as in an ECAM offset: `bus << 8 | device << 3 | function`. Also its virtio-iommu endpoint.
    pub address: u32,
    /// Virtio device type (2 block, 3 console, 23 iommu).
    pub device_type: u32,
    /// BAR 0: registers, [`REGISTER_PAGES`] pages.
    pub registers: u64,
    /// BAR 2: doorbells, one page per queue.
    pub doorbells: u64,
    /// BAR 4: MSI-X, [`MSIX_BAR_SIZE`] bytes.
    pub msix: u64,
    /// Its 4 KiB of configuration space in ECAM.
    pub configuration: u64,
    /// Number of queues.
    pub queues: u32,
    /// Number of MSI-X vectors.
    pub vectors: u32,
}

const _: () = assert!(size_of::<FunctionRecord>() == 48);

/// One entry of the exported function table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct FunctionEntry {
    /// What it is.
    pub record: FunctionRecord,
    /// Who may bind it; the kernel: nobody.
    pub owner: EnvironmentId,
    /// 1 once bound.
    pub bound: u16,
    /// Page mappings of its BARs.
    pub mappings: u32,
    /// Bit v: vector v is routed.
    pub vectors: u64,
}

const _: () = assert!(size_of::<FunctionEntry>() == 64);
