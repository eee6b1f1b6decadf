//! The register page of a queue that is in a DMA domain of its own: all that who has bound the queue needs of the function.
//!
//! While the page answers, the common configuration does not know the queue: who drives the function can end all of it, but not
//! aim the queue at memory that another has put into the queue's domain.

use exo_abi::function::{queue_page, queue_vector};
use exo_abi::virtio::{NO_VECTOR, common};

use super::common::write_setup;
use super::{Function, copy};

impl Function {
    /// Whether a queue is in a DMA domain of its own.
    pub(super) fn is_separate(&self, queue: u16) -> bool {
        self.queue_endpoint(queue)
            .is_some_and(|endpoint| endpoint.is_separate())
    }

    /// Has the queue's page drive it from now on, and its own translations count; or no longer. Whatever ran on it has ended before.
    pub fn set_separate(&self, queue: u16, separate: bool) {
        let mut registers = self.lock();
        self.end_queue(&mut registers, queue);
        self.signals.reset_queue(queue);
        if let Some(endpoint) = self.queue_endpoint(queue) {
            endpoint.set_separate(separate);
        }
        self.signals.set_separate(queue, separate);
    }

    /// Returns when nothing of one queue is under way or in flight to `range`.
    pub fn quiesce_queue(&self, queue: u16, range: std::ops::Range<u64>) {
        if let Some(server) = self.servers.get(usize::from(queue)) {
            server.quiesce(range);
        }
    }

    /// A load from the page of `queue`. `data` is zero.
    pub(super) fn read_queue_page(&self, queue: u16, offset: u64, data: &mut [u8]) {
        let registers = self.lock();
        let (true, Some(settings)) = (self.is_separate(queue), registers.transport.queue(queue))
        else {
            return;
        };
        if let Some(offset) = offset.checked_sub(queue_page::CONFIGURATION) {
            return self.device.read_configuration(offset, data);
        }
        let width = data.len();
        let features = registers.transport.driver_features;
        let value = match (offset, width) {
            (common::STATUS, 1) => Some(self.signals.status().into()),
            (common::CONFIGURATION_GENERATION, 1) => Some(self.device.generation().into()),
            (queue_page::SERVICE, 4) => Some(settings.service as u64),
            (queue_page::STOP_REASON, 4) => Some(self.signals.stop_reason(queue) as u64),
            (queue_page::FEATURES, 4 | 8) => Some(features),
            (_, 4) if offset == queue_page::FEATURES + 4 => Some(features >> 32),
            _ => self.read_queue_register(settings, queue, offset, width),
        };
        copy(data, value.unwrap_or(0));
    }

    /// A store to the page of `queue`.
    pub(super) fn write_queue_page(&self, queue: u16, offset: u64, width: usize, value: u64) {
        let mut registers = self.lock();
        if !self.is_separate(queue) {
            return;
        }
        match (offset, width) {
            (common::QUEUE_VECTOR, 2) => {
                let own = queue_vector(queue);
                let vector = if value == u64::from(own) {
                    own
                } else {
                    NO_VECTOR
                };
                self.signals.set_queue_vector(queue, vector);
            }
            (common::QUEUE_ENABLE, 2) if value == 1 => self.enable(&mut registers, queue),
            (common::QUEUE_ENABLE, 2) if value == 0 => {
                self.end_queue(&mut registers, queue);
                self.signals.reset_queue(queue);
            }
            (queue_page::SERVICE, 4) => registers.set_service(queue, value),
            _ => {
                if let Some(registers) = registers.transport.queue_in_setup(queue) {
                    write_setup(registers, offset, width, value);
                }
            }
        }
    }
}
