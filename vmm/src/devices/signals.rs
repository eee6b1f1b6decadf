//! What serving threads and the registers of one function share: status, interrupts, stop reasons, counters.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use exo_abi::function::{QUEUES_MAX, StopReason, queue_vector};
use exo_abi::virtio::NO_VECTOR;
use exo_abi::virtio::status::{DRIVER_OK, NEEDS_RESET};

use crate::pci::msix::Msix;

/// ISR status: a queue has used buffers (section 4.1.4.5).
const ISR_QUEUE: u8 = 1;
/// ISR status: the configuration, or the status, has changed.
const ISR_CONFIGURATION: u8 = 2;

/// What one queue has done since the start.
#[derive(Debug, Default)]
pub struct QueueCounters {
    /// Times that the driver rang.
    pub doorbells: AtomicU64,
    /// Interrupts sent.
    pub interrupts: AtomicU64,
    /// Requests given back.
    pub requests: AtomicU64,
    /// Bytes of payload moved.
    pub bytes: AtomicU64,
}

impl QueueCounters {
    /// Counts a request that moved `bytes`.
    pub fn count(&self, bytes: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// One queue's part.
#[derive(Debug)]
struct QueueSignals {
    vector: AtomicU16,
    /// The queue is bound by itself: the function is not told what becomes of it.
    separate: AtomicBool,
    reason: AtomicU32,
    /// The last reason, which a reset does not forget.
    last_reason: AtomicU32,
    counters: QueueCounters,
}

impl QueueSignals {
    fn reset(&self) {
        self.vector.store(NO_VECTOR, Ordering::SeqCst);
        self.reason.store(0, Ordering::SeqCst);
    }
}

/// The shared part of one function.
pub struct Signals {
    /// Device status (section 2.1).
    status: AtomicU8,
    isr: AtomicU8,
    configuration_vector: AtomicU16,
    queues: Vec<QueueSignals>,
    /// The vectors.
    pub msix: Msix,
}

impl Signals {
    /// For a function with `queues` queues.
    pub fn new(queues: u16, msix: Msix) -> Self {
        let queues = (0..u32::from(queues).min(QUEUES_MAX))
            .map(|_| QueueSignals {
                vector: AtomicU16::new(NO_VECTOR),
                separate: AtomicBool::default(),
                reason: AtomicU32::default(),
                last_reason: AtomicU32::default(),
                counters: QueueCounters::default(),
            })
            .collect();
        Self {
            status: AtomicU8::new(0),
            isr: AtomicU8::new(0),
            configuration_vector: AtomicU16::new(NO_VECTOR),
            queues,
            msix,
        }
    }

    /// Device status.
    pub fn status(&self) -> u8 {
        self.status.load(Ordering::SeqCst)
    }

    /// Sets bits of the device status.
    pub fn raise_status(&self, bits: u8) {
        self.status.fetch_or(bits, Ordering::SeqCst);
    }

    /// Everything as before the driver came. Counters go on, and so do vector and stop reason of a queue that is separate.
    pub fn reset(&self) {
        self.configuration_vector.store(NO_VECTOR, Ordering::SeqCst);
        for queue in &self.queues {
            if !queue.separate.load(Ordering::SeqCst) {
                queue.reset();
            }
        }
        self.isr.store(0, Ordering::SeqCst);
        self.status.store(0, Ordering::SeqCst);
    }

    /// One queue as before its driver came.
    pub fn reset_queue(&self, queue: u16) {
        if let Some(queue) = self.queues.get(usize::from(queue)) {
            queue.reset();
        }
    }

    /// Says whether a queue is bound by itself. Nobody else raises the vector of one that is.
    pub fn set_separate(&self, queue: u16, separate: bool) {
        let Some(signals) = self.queues.get(usize::from(queue)) else {
            return;
        };
        signals.separate.store(separate, Ordering::SeqCst);
        let taken = queue_vector(queue);
        let others = self.queues.iter().map(|queue| &queue.vector);
        for vector in others.chain([&self.configuration_vector]) {
            // Fails where it is another, and then there is nothing to do.
            let _ = vector.compare_exchange(taken, NO_VECTOR, Ordering::SeqCst, Ordering::SeqCst);
        }
    }

    /// Whether a queue is.
    pub fn is_separate(&self, queue: u16) -> bool {
        let queue = self.queues.get(usize::from(queue));
        queue.is_some_and(|queue| queue.separate.load(Ordering::SeqCst))
    }

    /// ISR status; reading it clears it.
    pub fn take_isr(&self) -> u8 {
        self.isr.swap(0, Ordering::SeqCst)
    }

    /// Vector of configuration changes.
    pub fn configuration_vector(&self) -> u16 {
        self.configuration_vector.load(Ordering::SeqCst)
    }

    /// Sets it.
    pub fn set_configuration_vector(&self, vector: u16) {
        self.configuration_vector.store(vector, Ordering::SeqCst);
    }

    /// Vector of a queue.
    pub fn queue_vector(&self, queue: u16) -> u16 {
        self.queues
            .get(usize::from(queue))
            .map_or(NO_VECTOR, |queue| queue.vector.load(Ordering::SeqCst))
    }

    /// Sets it.
    pub fn set_queue_vector(&self, queue: u16, vector: u16) {
        if let Some(queue) = self.queues.get(usize::from(queue)) {
            queue.vector.store(vector, Ordering::SeqCst);
        }
    }

    /// What a queue has done.
    pub fn counters(&self, queue: u16) -> Option<&QueueCounters> {
        self.queues
            .get(usize::from(queue))
            .map(|queue| &queue.counters)
    }

    /// Why a queue has been stopped since the last reset.
    pub fn stop_reason(&self, queue: u16) -> StopReason {
        self.queues
            .get(usize::from(queue))
            .and_then(|queue| StopReason::from_number(queue.reason.load(Ordering::SeqCst)))
            .unwrap_or(StopReason::None)
    }

    /// Why it was stopped last, resets or not.
    pub fn last_stop_reason(&self, queue: u16) -> StopReason {
        self.queues
            .get(usize::from(queue))
            .and_then(|queue| StopReason::from_number(queue.last_reason.load(Ordering::SeqCst)))
            .unwrap_or(StopReason::None)
    }

    /// Tells the driver that chains of a queue were used.
    pub fn interrupt_queue(&self, queue: u16) {
        let Some(signals) = self.queues.get(usize::from(queue)) else {
            return;
        };
        if self.interrupt(signals.vector.load(Ordering::SeqCst), ISR_QUEUE) {
            signals.counters.interrupts.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells the driver that the configuration, or the status, has changed.
    pub fn interrupt_configuration(&self) {
        self.interrupt(self.configuration_vector(), ISR_CONFIGURATION);
    }

    fn interrupt(&self, vector: u16, isr: u8) -> bool {
        if self.msix.is_enabled() {
            return self.msix.signal(vector);
        }
        self.isr.fetch_or(isr, Ordering::SeqCst);
        false
    }

    /// Records why a queue stops, and tells the driver that the function needs a reset, or who has bound the queue by itself.
    pub fn stop(&self, index: u16, reason: StopReason) {
        if let Some(queue) = self.queues.get(usize::from(index)) {
            queue.reason.store(reason as u32, Ordering::SeqCst);
            queue.last_reason.store(reason as u32, Ordering::SeqCst);
        }
        if self.is_separate(index) {
            self.interrupt_queue(index);
            return;
        }
        self.raise_status(NEEDS_RESET);
        // Section 2.1.2: a change notification only if DRIVER_OK is set.
        if self.status() & DRIVER_OK != 0 {
            self.interrupt_configuration();
        }
    }
}
