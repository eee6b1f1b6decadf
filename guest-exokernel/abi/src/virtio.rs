//! Numbers of virtio 1.2 on which kernel, drivers and devices must agree.

/// Device type of a block device (section 5).
pub const DEVICE_BLOCK: u32 = 2;
/// Device type of a console.
pub const DEVICE_CONSOLE: u32 = 3;
/// Device type of an IOMMU.
pub const DEVICE_IOMMU: u32 = 23;

/// Offsets in the common configuration structure (section 4.1.4.3).
pub mod common {
    /// Which half of the device's features shows.
    pub const DEVICE_FEATURE_SELECT: u64 = 0x00;
    /// That half.
    pub const DEVICE_FEATURE: u64 = 0x04;
    /// Which half of the driver's features shows.
    pub const DRIVER_FEATURE_SELECT: u64 = 0x08;
    /// That half.
    pub const DRIVER_FEATURE: u64 = 0x0c;
    /// MSI-X vector of configuration changes.
    pub const CONFIGURATION_VECTOR: u64 = 0x10;
    /// Number of queues.
    pub const QUEUES: u64 = 0x12;
    /// Device status.
    pub const STATUS: u64 = 0x14;
    /// Raised with each change of the device's configuration.
    pub const CONFIGURATION_GENERATION: u64 = 0x15;
    /// Which queue shows below.
    pub const QUEUE_SELECT: u64 = 0x16;
    /// Its size.
    pub const QUEUE_SIZE: u64 = 0x18;
    /// Its MSI-X vector.
    pub const QUEUE_VECTOR: u64 = 0x1a;
    /// Whether it is enabled.
    pub const QUEUE_ENABLE: u64 = 0x1c;
    /// Its doorbell, in units of the notify multiplier.
    pub const QUEUE_NOTIFY_OFFSET: u64 = 0x1e;
    /// Address of its descriptors.
    pub const QUEUE_DESCRIPTORS: u64 = 0x20;
    /// Address of its available ring.
    pub const QUEUE_AVAILABLE: u64 = 0x28;
    /// Address of its used ring.
    pub const QUEUE_USED: u64 = 0x30;
}

/// No MSI-X vector (section 4.1.5.1.2).
pub const NO_VECTOR: u16 = 0xffff;

/// Device status bits (section 2.1).
pub mod status {
    /// The driver has seen the device.
    pub const ACKNOWLEDGE: u8 = 1;
    /// The driver knows the device.
    pub const DRIVER: u8 = 2;
    /// The driver is ready.
    pub const DRIVER_OK: u8 = 4;
    /// Features are agreed on.
    pub const FEATURES_OK: u8 = 8;
    /// The device has stopped.
    pub const NEEDS_RESET: u8 = 64;
    /// The driver gives up.
    pub const FAILED: u8 = 128;
}

/// Feature bits (sections 5.2.3, 5.3.3 and 6).
pub mod feature {
    /// Console: the configuration has the size of the terminal.
    pub const CONSOLE_SIZE: u64 = 1 << 0;
    /// Block: the disk is read-only.
    pub const BLOCK_READ_ONLY: u64 = 1 << 5;
    /// Block: flush requests.
    pub const BLOCK_FLUSH: u64 = 1 << 9;
    /// Block: discard requests.
    pub const BLOCK_DISCARD: u64 = 1 << 13;
    /// Descriptors may lie in a table of their own.
    pub const INDIRECT: u64 = 1 << 28;
    /// Virtio 1.
    pub const VERSION_1: u64 = 1 << 32;
    /// The device reaches memory as the platform (its IOMMU) says.
    pub const ACCESS_PLATFORM: u64 = 1 << 33;
}

/// Descriptor flags (section 2.7.5).
pub mod descriptor {
    /// The chain goes on.
    pub const NEXT: u16 = 1;
    /// The device writes.
    pub const WRITE: u16 = 2;
    /// The buffer is a table of descriptors.
    pub const INDIRECT: u16 = 4;
    /// Bytes of a descriptor.
    pub const SIZE: u64 = 16;
}

/// Flag of the available ring: no interrupts, please (section 2.7.7).
pub const AVAILABLE_NO_INTERRUPT: u16 = 1;
/// Flag of the used ring: no doorbells, please (section 2.7.10).
pub const USED_NO_NOTIFY: u16 = 1;

/// Block requests (section 5.2.6).
pub mod block {
    /// Read.
    pub const IN: u32 = 0;
    /// Write.
    pub const OUT: u32 = 1;
    /// Flush.
    pub const FLUSH: u32 = 4;
    /// Discard.
    pub const DISCARD: u32 = 11;
    /// Bytes of a request's header.
    pub const HEADER_SIZE: u32 = 16;
    /// Bytes of a discard segment.
    pub const DISCARD_SIZE: u32 = 16;
    /// Bytes of a sector.
    pub const SECTOR_SIZE: u64 = 512;
    /// Done.
    pub const STATUS_OK: u8 = 0;
    /// The device or the driver made a mistake.
    pub const STATUS_IO_ERROR: u8 = 1;
    /// The device does not know the request.
    pub const STATUS_UNSUPPORTED: u8 = 2;
    /// Offset of the capacity in the device's configuration, in sectors (section 5.2.4).
    pub const CONFIGURATION_CAPACITY: u64 = 0;
}

/// Consoles (section 5.3).
pub mod console {
    /// Offset of the number of columns in the device's configuration; behind it, also of 2 bytes, that of rows. 0: unknown.
    pub const CONFIGURATION_SIZE: u64 = 0;
}

/// Requests of the IOMMU (section 5.13.6). All start with a 4-byte head, of which the first byte is the kind, and a 4-byte domain, and
/// are followed by a 4-byte answer, of which the first byte is the status.
pub mod iommu {
    abi_enum! {
        /// What is asked.
        pub enum RequestKind: u8 {
            /// Endpoint at byte 8, flags, reserved.
            Attach = 1 => "attach",
            /// Endpoint at byte 8, reserved.
            Detach = 2 => "detach",
            /// First and last virtual address at bytes 8 and 16, physical address at 24, flags at 32.
            Map = 3 => "map",
            /// First and last virtual address at bytes 8 and 16, reserved.
            Unmap = 4 => "unmap",
            /// Endpoint at byte 4, reserved; the answer is longer.
            Probe = 5 => "probe",
        }
    }

    /// Bytes of an ATTACH or DETACH without its answer.
    pub const ATTACH_SIZE: u64 = 20;
    /// Bytes of a MAP without its answer.
    pub const MAP_SIZE: u64 = 36;
    /// Bytes of an UNMAP without its answer.
    pub const UNMAP_SIZE: u64 = 28;
    /// Bytes of the answer.
    pub const ANSWER_SIZE: u64 = 4;
    /// MAP flag: the function may read. The same bit as [`crate::Rights::READ`].
    pub const MAP_READ: u32 = 1;
    /// MAP flag: the function may write. The same bit as [`crate::Rights::WRITE`].
    pub const MAP_WRITE: u32 = 2;

    abi_enum! {
        /// Status of a request (section 5.13.6.2).
        pub enum Status: u8 {
            /// Done.
            Ok = 0 => "ok",
            /// Input or output error.
            IoError = 1 => "io-error",
            /// Unknown request or flag.
            Unsupported = 2 => "unsupported",
            /// Internal device error.
            DeviceError = 3 => "device-error",
            /// A field is wrong.
            Invalid = 4 => "invalid",
            /// An address is out of range.
            Range = 5 => "range",
            /// There is no such endpoint or domain.
            NoEntry = 6 => "no-entry",
            /// The guest's memory could not be reached.
            Fault = 7 => "fault",
            /// The device has no resources left.
            NoMemory = 8 => "no-memory",
        }
    }
}
