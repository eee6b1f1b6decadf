//! The polling thread: looks at the available rings of all polled queues, so that their drivers need no doorbell.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::super::server::QueueServer;

/// Stack of the thread.
const STACK_SIZE: usize = 128 << 10;
/// Rounds with nothing to do before the thread lets others run in between: on a machine with few cores the guest's vCPU
/// may be what waits for ours.
const SPINS: u32 = 256;
/// How long nothing must have happened before the thread sleeps between rounds.
const IDLE: Duration = Duration::from_millis(1);
/// How long it sleeps then.
const NAP: Duration = Duration::from_micros(50);

/// The thread, once it is needed, and the queues.
#[derive(Default)]
pub struct Poller {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    servers: Mutex<Vec<Arc<QueueServer>>>,
    /// Raised when `servers` changes.
    generation: AtomicU64,
    ending: AtomicBool,
}

impl Poller {
    /// Polls a queue from now on.
    pub fn add(&self, server: &Arc<QueueServer>) -> io::Result<()> {
        self.shared.change(|servers| servers.push(server.clone()));
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        match thread.as_ref() {
            Some(handle) => handle.thread().unpark(),
            None => {
                let shared = self.shared.clone();
                let handle = Builder::new()
                    .name("queue-polling".into())
                    .stack_size(STACK_SIZE)
                    .spawn(move || shared.poll())?;
                *thread = Some(handle);
            }
        }
        Ok(())
    }

    /// No longer polls it.
    pub fn remove(&self, server: &Arc<QueueServer>) {
        self.shared
            .change(|servers| servers.retain(|other| !Arc::ptr_eq(other, server)));
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(handle) = thread {
            handle.thread().unpark();
            let _ = handle.join();
        }
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut Vec<Arc<QueueServer>>)) {
        change(&mut self.servers.lock().unwrap_or_else(PoisonError::into_inner));
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    fn poll(&self) {
        let mut servers = Vec::new();
        let mut generation = u64::MAX;
        let mut spins = 0;
        let mut idle_since = None;
        while !self.ending.load(Ordering::Relaxed) {
            let now = self.generation.load(Ordering::SeqCst);
            if now != generation {
                generation = now;
                servers.clone_from(&self.servers.lock().unwrap_or_else(PoisonError::into_inner));
            }
            if servers.is_empty() {
                // Unparked by add and stop; a token left behind only costs one more round.
                thread::park();
                continue;
            }
            let worked = servers
                .iter()
                .fold(false, |worked, server| server.poll() | worked);
            if worked {
                spins = 0;
                idle_since = None;
                continue;
            }
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
                continue;
            }
            let since = *idle_since.get_or_insert_with(Instant::now);
            if since.elapsed() < IDLE {
                thread::yield_now();
            } else {
                thread::sleep(NAP);
            }
            spins = SPINS;
        }
    }
}
