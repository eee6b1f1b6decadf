//! Device functions: what the VMM tells about each, and the exported function table.
//!
//! A function is a modern virtio-pci function with three memory BARs. BAR 0 and 2 may be mapped by the libOS that
//! has bound it, and of each the page of one queue by who has bound that queue; BAR 4 (MSI-X) and configuration space stay
//! the kernel's.

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
/// Pages of BAR 0 that belong to the function as a whole. Behind them comes one page for each queue ([`queue_page`]).
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
/// Routes in a [`FunctionEntry`]; those from [`VECTORS_MAX`] on are never there.
pub const ROUTES_MAX: usize = 12;
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

/// The register page of one queue, for who has bound the queue and not the function. It answers only while the queue is in a DMA
/// domain of its own; then the common configuration and the service page do not know the queue any more.
///
/// Size, vector, enable and the three addresses lie where the common configuration has those of the selected queue
/// (`virtio::common::QUEUE_SIZE` to `QUEUE_USED`), device status and configuration generation too, but to be read only. A vector
/// other than the queue's own reads back as none. 0 written to enable ends the queue: what is in flight is waited for, and
/// its registers are as after a reset.
pub mod queue_page {
    /// A [`super::QueueService`]: how the VMM serves the queue. 32 bits.
    pub const SERVICE: u64 = 0x40;
    /// A [`super::StopReason`]: why the VMM has stopped it. 32 bits, read-only.
    pub const STOP_REASON: u64 = 0x44;
    /// Features that the function's owner has agreed on with the device. 64 bits, read-only.
    pub const FEATURES: u64 = 0x48;
    /// The device's own configuration, read-only.
    pub const CONFIGURATION: u64 = 0x800;
}

/// The virtio-iommu endpoint of a queue of the function at `address`. The function's own endpoint is its address.
pub const fn queue_endpoint(address: u32, queue: u32) -> u32 {
    address | (queue + 1) << 16
}

/// The MSI-X vector that queue `queue` may use while it is bound by itself.
pub const fn queue_vector(queue: u16) -> u16 {
    queue + 1
}

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
    /// configuration interrupt; a device reset makes the queue usable again. A queue that is bound by itself stops without a
    /// word to the function: its own vector is raised, and 0 written to its enable register makes it usable again.
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
        /// The queue was bound by itself, and the owner of the function has reset the function.
        Reset = 16 => "reset",
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
    /// BAR 0: registers, [`REGISTER_PAGES`] pages, then a page per queue.
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
    /// Number, plus one, of the disk of which a block function shows a part; 0: it shows none.
    pub disk: u32,
    /// Zero.
    pub reserved: u32,
}

const _: () = assert!(size_of::<FunctionRecord>() == 56);

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
    /// Zero.
    pub reserved: u32,
    /// Where each vector is routed: `vCPU << 8 | slot + 1`; 0: nowhere.
    pub routes: [u16; ROUTES_MAX],
    /// Bit q: queue q is bound by itself.
    pub queues: u32,
    /// Slot, plus one, of the extent capability that says which part of its disk the function shows; 0: the manifest does.
    pub extent: u32,
}

const _: () = assert!(size_of::<FunctionEntry>() == 96);
