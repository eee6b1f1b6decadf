//! TLB shootdown: one vCPU asks another to forget its translations, and waits until it has.

use crate::atomic::{AtomicU32, Ordering};

/// Requests to one vCPU. The holder of the lock asks; the vCPU serves, when it is interrupted or while it spins for the lock.
///
/// Order: the holder changes page tables, calls [`Self::request`], interrupts the vCPU, and keeps the lock until
/// [`Self::is_served`]. Whoever serves flushes after it has seen the request, so what it looks up from then on is the changed tables.
/// No vCPU waits for one that waits for it: only the holder of the lock waits here, and who waits for the lock serves.
#[repr(C, align(64))]
pub struct Mailbox {
    /// Requests so far; written by holders of the lock.
    requested: AtomicU32,
    /// The last of them that was served; written by the vCPU.
    served: AtomicU32,
}

impl Mailbox {
    /// No request.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            requested: AtomicU32::new(0),
            served: AtomicU32::new(0),
        }
    }

    /// No request.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self {
            requested: AtomicU32::new(0),
            served: AtomicU32::new(0),
        }
    }

    /// Asks the vCPU to flush. The caller holds the lock, and has written what the vCPU shall see.
    pub fn request(&self) {
        let next = self.requested.load(Ordering::Relaxed).wrapping_add(1);
        self.requested.store(next, Ordering::Release);
    }

    /// Whether the vCPU has flushed since the last request. The caller holds the lock.
    pub fn is_served(&self) -> bool {
        self.served.load(Ordering::Acquire) == self.requested.load(Ordering::Relaxed)
    }

    /// Called by the vCPU itself, with interrupts off: flushes if it was asked to.
    pub fn serve(&self, flush: impl FnOnce()) {
        let requested = self.requested.load(Ordering::Acquire);
        if requested != self.served.load(Ordering::Relaxed) {
            flush();
            self.served.store(requested, Ordering::Release);
        }
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        Self::new()
    }
}
