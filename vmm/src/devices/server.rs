//! One queue and what serves it: one lock around every access that the device makes to the queue's rings and buffers.
//!
//! Who holds the lock knows that no access is under way. That is what unmapping and resetting wait for; requests that are
//! in flight outside the lock (in io_uring) are the handler's to know and to wait for.

use std::ops::Range;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use exo_abi::function::StopReason;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::ring::Ring;
use super::signals::{QueueCounters, Signals};

/// All addresses.
pub const EVERYTHING: Range<u64> = 0..u64::MAX;
/// Rounds of one queue before the event loop looks at the others.
const ROUNDS: u32 = 8;

/// What a device does with one of its running queues.
pub trait QueueHandler: Send {
    /// Takes what is available (at most one queue length), and gives back what is done. With no ring, because the queue
    /// has stopped, only forgets what is done. True if there was anything to do.
    fn serve(
        &mut self,
        ring: Option<&mut Ring>,
        counters: &QueueCounters,
    ) -> Result<bool, StopReason>;

    /// Waits until no request in flight touches `range`; gives back what is done meanwhile, if there is a ring. Where
    /// buffers are touched only in `serve`, and so under the queue's lock, nothing ever is in flight.
    fn drain(
        &mut self,
        _ring: Option<&mut Ring>,
        _counters: &QueueCounters,
        _range: Range<u64>,
    ) -> Result<(), StopReason> {
        Ok(())
    }

    /// Whether something is in flight.
    fn is_busy(&self) -> bool {
        false
    }

    /// Descriptors that become readable (edge) when `serve` has something to do, beside the doorbell.
    fn events(&self) -> Vec<RawFd> {
        Vec::new()
    }
}

struct Running {
    ring: Ring,
    handler: Box<dyn QueueHandler>,
    stopped: bool,
    /// No doorbell is ever wanted.
    polled: bool,
}

/// One queue of one function.
pub struct QueueServer {
    running: Mutex<Option<Running>>,
    /// How many want the lock for more than a pass; the polling thread, which would take it again and again, stays away.
    waiting: AtomicU32,
    /// Signalled when the driver rings.
    pub doorbell: EventFd,
    signals: Arc<Signals>,
    index: u16,
}

impl QueueServer {
    /// Queue `index` of the function that `signals` belongs to.
    pub fn new(signals: Arc<Signals>, index: u16) -> std::io::Result<Self> {
        Ok(Self {
            running: Mutex::new(None),
            waiting: AtomicU32::new(0),
            doorbell: EventFd::new(EFD_NONBLOCK)?,
            signals,
            index,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let guard = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        guard
    }

    /// Starts the queue. Returns the handler's events.
    pub fn start(&self, ring: Ring, handler: Box<dyn QueueHandler>, polled: bool) -> Vec<RawFd> {
        let events = handler.events();
        let mut running = Running {
            ring,
            handler,
            stopped: false,
            polled,
        };
        if polled && let Err(reason) = running.ring.refuse_doorbell() {
            self.stop(&mut running, reason);
        }
        *self.lock() = Some(running);
        events
    }

    /// Ends the queue; returns when nothing of it is in flight. What is in flight is not given back.
    pub fn end(&self) {
        let mut guard = self.lock();
        if let Some(mut running) = guard.take()
            && let Some(counters) = self.signals.counters(self.index)
        {
            // A handler without a ring has no reason to fail, and the queue is gone anyway.
            let _ = running.handler.drain(None, counters, EVERYTHING);
        }
    }

    /// Returns when no access of the queue to `range` is under way or in flight. Its mappings must be gone before.
    pub fn quiesce(&self, range: Range<u64>) {
        if let Some(running) = self.lock().as_mut() {
            self.pass(running, |handler, ring, counters| {
                handler.drain(ring, counters, range)
            });
        }
    }

    /// Stops the queue with a reason, as if it had done something wrong.
    pub fn halt(&self, reason: StopReason) {
        if let Some(running) = self.lock().as_mut()
            && !running.stopped
        {
            self.stop(running, reason);
        }
    }

    /// Moves what the doorbell has counted to the counters.
    pub fn count_doorbells(&self) {
        if let Some(counters) = self.signals.counters(self.index)
            && let Ok(rings) = self.doorbell.read()
        {
            counters.doorbells.fetch_add(rings, Ordering::Relaxed);
        }
    }

    /// The doorbell rang, or something in flight is done: serves the queue until it is empty.
    pub fn process(&self) {
        self.count_doorbells();
        if let Some(running) = self.lock().as_mut() {
            let polled = running.polled;
            let mut rounds = 0;
            self.pass(running, |handler, mut ring, counters| {
                if let Some(ring) = ring.as_deref_mut()
                    && !polled
                {
                    ring.refuse_doorbell()?;
                }
                loop {
                    let worked = handler.serve(ring.as_deref_mut(), counters)?;
                    let more = match ring.as_deref_mut() {
                        Some(ring) if !worked && !polled => ring.want_doorbell()?,
                        _ => false,
                    };
                    rounds += u32::from(worked || more);
                    if !(worked || more) || rounds == ROUNDS {
                        return Ok(());
                    }
                }
            });
            // A driver that always has something more must not keep the loop from other functions.
            if rounds == ROUNDS
                && self.doorbell.write(1).is_ok()
                && let Some(counters) = self.signals.counters(self.index)
            {
                counters.doorbells.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// One look at the queue by the polling thread. True if there was something to do, or is in flight.
    pub fn poll(&self) -> bool {
        if self.waiting.load(Ordering::SeqCst) != 0 {
            return false;
        }
        let mut guard = match self.running.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let Some(running) = guard.as_mut() else {
            return false;
        };
        let mut worked = false;
        self.pass(running, |handler, mut ring, counters| {
            worked = handler.serve(ring.as_deref_mut(), counters)?;
            match ring {
                Some(ring) if worked => ring.refuse_doorbell(),
                _ => Ok(()),
            }
        });
        worked || running.handler.is_busy()
    }

    /// Lets the handler work, and does what follows from that: interrupt or stop.
    fn pass<F>(&self, running: &mut Running, work: F)
    where
        F: FnOnce(
            &mut dyn QueueHandler,
            Option<&mut Ring>,
            &QueueCounters,
        ) -> Result<(), StopReason>,
    {
        let Some(counters) = self.signals.counters(self.index) else {
            return;
        };
        let ring = (!running.stopped).then_some(&mut running.ring);
        let done = work(running.handler.as_mut(), ring, counters);
        let done = done.and_then(|()| {
            if !running.stopped && running.ring.wants_interrupt()? {
                self.signals.interrupt_queue(self.index);
            }
            Ok(())
        });
        if let Err(reason) = done
            && !running.stopped
        {
            self.stop(running, reason);
        }
    }

    fn stop(&self, running: &mut Running, reason: StopReason) {
        running.stopped = true;
        self.signals.stop(self.index, reason);
    }
}
