//! The event loop: one thread that sleeps until a doorbell rings or something in flight is done.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use event_manager::{
    EventManager, EventOps, EventSet, Events, MutEventSubscriber, RemoteEndpoint, SubscriberId,
};

use super::super::server::QueueServer;

/// Stack of the thread.
const STACK_SIZE: usize = 128 << 10;
/// Events taken from the kernel at once.
const EVENTS_AT_ONCE: usize = 16;

/// One queue, as the event loop knows it.
struct Subscriber {
    server: Arc<QueueServer>,
    events: Vec<RawFd>,
}

impl MutEventSubscriber for Subscriber {
    fn init(&mut self, ops: &mut EventOps) {
        // A descriptor that cannot be waited for (a file as standard input) is always ready, and looked at with the rest.
        let _ = ops.add(Events::new(&self.server.doorbell, EventSet::IN));
        for &event in &self.events {
            let edge = EventSet::IN | EventSet::EDGE_TRIGGERED;
            let _ = ops.add(Events::new_raw(event, edge));
        }
        // What came before we listened.
        self.server.process();
    }

    fn process(&mut self, events: Events, ops: &mut EventOps) {
        if events.fd() != self.server.doorbell.as_raw_fd()
            && !events.event_set().contains(EventSet::IN)
        {
            // The other end is gone, and would be reported for ever.
            let _ = ops.remove(Events::empty_raw(events.fd()));
        }
        self.server.process();
    }
}

/// The thread, once it is needed.
#[derive(Default)]
pub struct EventLoop {
    thread: Mutex<Option<Thread>>,
}

struct Thread {
    handle: JoinHandle<()>,
    remote: RemoteEndpoint<Subscriber>,
    ending: Arc<AtomicBool>,
}

impl EventLoop {
    /// Serves a queue from now on.
    pub fn add(&self, server: &Arc<QueueServer>, events: Vec<RawFd>) -> io::Result<SubscriberId> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let thread = match thread.as_mut() {
            Some(thread) => thread,
            None => thread.insert(Thread::start()?),
        };
        let subscriber = Subscriber {
            server: server.clone(),
            events,
        };
        thread
            .remote
            .call_blocking(move |ops| Ok(ops.add_subscriber(subscriber)))
            .map_err(other)
    }

    /// No longer serves it.
    pub fn remove(&self, id: SubscriberId) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.as_ref() {
            // Fails only where the thread is gone, and then nothing is served.
            let _ = thread
                .remote
                .call_blocking(move |ops| ops.remove_subscriber(id).map(|_| ()));
        }
    }

    /// Ends the thread.
    pub fn stop(&self) {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            thread.ending.store(true, Ordering::SeqCst);
            let woken: Result<(), event_manager::Error> = thread.remote.call_blocking(|_| Ok(()));
            if woken.is_ok() {
                let _ = thread.handle.join();
            }
        }
    }
}

impl Thread {
    fn start() -> io::Result<Self> {
        let mut manager =
            EventManager::<Subscriber>::new_with_capacity(EVENTS_AT_ONCE).map_err(other)?;
        let remote = manager.remote_endpoint();
        let ending = Arc::new(AtomicBool::new(false));
        let end = ending.clone();
        let handle = Builder::new()
            .name("queue-events".into())
            .stack_size(STACK_SIZE)
            .spawn(move || {
                while !end.load(Ordering::SeqCst) {
                    if manager.run().is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self {
            handle,
            remote,
            ending,
        })
    }
}

fn other(error: event_manager::Error) -> io::Error {
    io::Error::other(error.to_string())
}
