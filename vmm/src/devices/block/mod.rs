//! virtio-blk (virtio 1.2, section 5.2) over a part of a disk.

pub mod disk;
mod engine;
#[cfg(test)]
mod engine_test;
pub mod extent;
mod handler;
mod request;

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use exo_abi::function::QueueService;
use exo_abi::virtio::DEVICE_BLOCK;
use exo_abi::virtio::block::SECTOR_SIZE;
use exo_abi::virtio::feature::{BLOCK_DISCARD, BLOCK_FLUSH, BLOCK_READ_ONLY};
use virtio_bindings::bindings::virtio_blk::{
    VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_MQ, VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_WRITE_ZEROES,
};

use super::VirtioDevice;
use super::server::QueueHandler;
use crate::memory::GuestMemory;
use disk::Disk;
use extent::Extent;
use handler::BlockHandler;

/// Most entries of a queue.
const QUEUE_SIZE_MAX: u16 = 256;
/// Bytes of the device configuration, up to and with `write_zeroes_may_unmap`.
const CONFIGURATION_SIZE: usize = 60;

/// A block device.
pub struct Block {
    shared: Arc<Shared>,
    memory: GuestMemory,
    queues: u16,
    /// Whether any extent of it may be written.
    writable: bool,
    generation: AtomicU8,
}

/// What all queues of the device look at.
struct Shared {
    disk: Arc<Disk>,
    extent: Mutex<Extent>,
}

impl Shared {
    fn extent(&self) -> Extent {
        *self.extent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Block {
    /// Shows `extent` of `disk`; `None` where the disk has no such extent.
    pub fn new(disk: Arc<Disk>, extent: Extent, queues: u16, memory: GuestMemory) -> Option<Self> {
        let extent = Extent {
            writable: extent.writable && !disk.is_read_only(),
            ..extent
        };
        extent.fits(disk.sectors()).then(|| Self {
            shared: Arc::new(Shared {
                disk,
                extent: Mutex::new(extent),
            }),
            memory,
            queues,
            writable: extent.writable,
            generation: AtomicU8::new(0),
        })
    }

    fn configuration(&self) -> [u8; CONFIGURATION_SIZE] {
        let extent = self.shared.extent();
        let sectors_max = u32::MAX / SECTOR_SIZE as u32;
        let mut bytes = [0; CONFIGURATION_SIZE];
        let mut put = |place: usize, value: &[u8]| {
            for (byte, value) in bytes.iter_mut().skip(place).zip(value) {
                *byte = *value;
            }
        };
        put(0, &extent.sectors.to_le_bytes());
        // Header and status take a descriptor each.
        put(12, &u32::from(QUEUE_SIZE_MAX - 2).to_le_bytes());
        put(20, &(SECTOR_SIZE as u32).to_le_bytes());
        put(34, &self.queues.to_le_bytes());
        put(36, &sectors_max.to_le_bytes()); // max_discard_sectors
        put(40, &1u32.to_le_bytes()); // max_discard_seg
        put(44, &1u32.to_le_bytes()); // discard_sector_alignment
        put(48, &sectors_max.to_le_bytes()); // max_write_zeroes_sectors
        put(52, &1u32.to_le_bytes()); // max_write_zeroes_seg
        put(56, &[1]); // write_zeroes_may_unmap
        bytes
    }
}

impl VirtioDevice for Block {
    fn device_type(&self) -> u32 {
        DEVICE_BLOCK
    }

    fn features(&self) -> u64 {
        let mut features = 1 << VIRTIO_BLK_F_SEG_MAX | 1 << VIRTIO_BLK_F_BLK_SIZE;
        features |= BLOCK_FLUSH;
        if self.queues > 1 {
            features |= 1 << VIRTIO_BLK_F_MQ;
        }
        match self.shared.extent().writable {
            true => features | BLOCK_DISCARD | 1 << VIRTIO_BLK_F_WRITE_ZEROES,
            false => features | BLOCK_READ_ONLY,
        }
    }

    fn queue_size_max(&self) -> u16 {
        QUEUE_SIZE_MAX
    }

    fn read_configuration(&self, offset: u64, data: &mut [u8]) {
        let bytes = self.configuration();
        let bytes = bytes.iter().skip(offset as usize);
        for (byte, value) in data.iter_mut().zip(bytes) {
            *byte = *value;
        }
    }

    fn generation(&self) -> u8 {
        self.generation.load(Ordering::SeqCst)
    }

    fn set_extent(&self, extent: Extent) -> bool {
        let disk = &self.shared.disk;
        if !extent.fits(disk.sectors()) || extent.writable && !self.writable {
            return false;
        }
        let mut current = self
            .shared
            .extent
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *current = extent;
        self.generation.fetch_add(1, Ordering::SeqCst);
        true
    }

    fn handler(
        &self,
        _queue: u16,
        service: QueueService,
        size: u16,
    ) -> io::Result<Box<dyn QueueHandler>> {
        let event = service == QueueService::Events;
        let memory = self.memory.clone();
        let handler = BlockHandler::new(self.shared.clone(), memory, size, event)?;
        Ok(Box::new(handler))
    }
}
