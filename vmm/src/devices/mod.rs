//! The devices of the machine: the guest's side of them is hostile input, and each is the hardware of one owner.

mod assembly;
pub mod block;
pub mod chain;
pub mod console;
pub mod control;
pub mod endpoint;
pub mod iommu;
pub mod requests;
pub mod ring;
mod scrub;
pub mod server;
pub mod serving;
pub mod signals;
mod specification;
mod statistics;

pub use assembly::Devices;
pub use specification::{DeviceSpecification, FunctionSpecification};
pub use statistics::{FunctionStatistics, QueueStatistics};

#[cfg(test)]
mod block_test;
#[cfg(test)]
mod board;
#[cfg(test)]
mod console_test;
#[cfg(test)]
mod driver;
#[cfg(test)]
mod iommu_test;
#[cfg(test)]
mod malformed_test;
#[cfg(test)]
mod queue_page_test;
#[cfg(test)]
mod random_test;

use std::io;

use exo_abi::function::QueueService;

use self::server::QueueHandler;

/// What makes a virtio function a device of some type.
pub trait VirtioDevice: Send + Sync {
    /// Virtio device type (virtio 1.2, chapter 5).
    fn device_type(&self) -> u32;

    /// Features of this type that it offers.
    fn features(&self) -> u64;

    /// Most entries of a queue: a power of two.
    fn queue_size_max(&self) -> u16;

    /// A load from the device configuration. `data` is zero.
    fn read_configuration(&self, offset: u64, data: &mut [u8]);

    /// Changes when the device configuration does (section 2.5).
    fn generation(&self) -> u8 {
        0
    }

    /// The device shows another part of its disk from now on. False: it has no such part, or no disk.
    fn set_extent(&self, _extent: block::extent::Extent) -> bool {
        false
    }

    /// The driver reset the device; no queue runs any more.
    fn reset(&self) {}

    /// Whether a store to a doorbell has the queue served before it returns.
    fn is_synchronous(&self) -> bool {
        false
    }

    /// What serves queue `queue`, which starts with `size` entries.
    fn handler(
        &self,
        queue: u16,
        service: QueueService,
        size: u16,
    ) -> io::Result<Box<dyn QueueHandler>>;
}
