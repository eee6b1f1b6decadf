//! Who serves a queue, and when: the event loop, the polling thread, or the store to the doorbell itself.

mod events;
mod polling;

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

use event_manager::SubscriberId;
use exo_abi::function::QueueService;

use super::server::QueueServer;
use events::EventLoop;
use polling::Poller;

/// How a running queue is served.
#[derive(Clone, Copy, Debug)]
pub enum Served {
    /// By the event loop.
    Events(SubscriberId),
    /// By the polling thread.
    Polled,
    /// By the vCPU that rings the doorbell.
    Synchronously,
}

/// The threads that serve the queues. Each starts with the first queue that it has to serve.
#[derive(Default)]
pub struct Serving {
    events: EventLoop,
    poller: Poller,
}

impl Serving {
    /// Has a running queue served from now on. `events` are those of its handler.
    pub fn add(
        &self,
        server: &Arc<QueueServer>,
        service: QueueService,
        events: Vec<RawFd>,
    ) -> io::Result<Served> {
        match service {
            QueueService::Events => self.events.add(server, events).map(Served::Events),
            QueueService::Polled => {
                self.poller.add(server)?;
                Ok(Served::Polled)
            }
        }
    }

    /// No longer serves a queue. Its server may still be in use for a moment: `QueueServer::end` waits for that.
    pub fn remove(&self, server: &Arc<QueueServer>, served: Served) {
        match served {
            Served::Events(id) => self.events.remove(id),
            Served::Polled => self.poller.remove(server),
            Served::Synchronously => {}
        }
    }

    /// Ends the threads.
    pub fn stop(&self) {
        self.events.stop();
        self.poller.stop();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop();
    }
}
