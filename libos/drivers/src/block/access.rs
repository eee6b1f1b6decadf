//! How a disk is reached: by a function of one's own, or by one queue of somebody else's.

use exo_abi::function::StopReason;

use super::QUEUE;
use crate::bound_queue::BoundQueue;
use crate::transport::Transport;
use crate::virtio::status;

/// One or the other.
pub(super) enum Access {
    /// The function, of which the first queue is used.
    Function(Transport),
    /// The queue.
    Queue(BoundQueue),
}

impl Access {
    /// Rings the doorbell.
    pub(super) fn ring(&self) {
        match self {
            Self::Function(transport) => transport.ring(QUEUE),
            Self::Queue(queue) => queue.ring(),
        }
    }

    /// Why the device has stopped, if it has.
    pub(super) fn stopped(&self) -> Option<StopReason> {
        let reason = match self {
            Self::Function(transport) if transport.status() & status::NEEDS_RESET == 0 => {
                return None;
            }
            Self::Function(transport) => transport.stop_reason(QUEUE),
            Self::Queue(queue) if queue.is_enabled() => {
                return queue
                    .stop_reason()
                    .filter(|&reason| reason != StopReason::None);
            }
            Self::Queue(queue) => queue.stop_reason(),
        };
        Some(reason.unwrap_or(StopReason::None))
    }

    /// Ends what is in flight.
    pub(super) fn end(&self) {
        match self {
            Self::Function(transport) => transport.reset(),
            Self::Queue(queue) => queue.end(),
        }
    }
}
