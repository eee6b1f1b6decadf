//! Requests of the host to the kernel: they wait here until the kernel fetches them, one at a time.

use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock, PoisonError};

use exo_abi::revocation::HostRequest;

/// Interrupts vCPU 0, so that the kernel looks here.
pub type Interrupt = Box<dyn Fn() + Send + Sync>;

/// What the host asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Environments may own so many frames together.
    Limit {
        /// Frames.
        frames: u64,
    },
    /// An environment is to give something back.
    Revoke {
        /// Its number.
        environment: u16,
        /// A number of [`exo_abi::revocation::RevocationKind`].
        kind: u8,
        /// How much.
        count: u64,
        /// Ticks of the time stamp counter to the deadline.
        ticks: u64,
    },
}

/// The queue.
#[derive(Default)]
pub struct Requests {
    waiting: Mutex<Waiting>,
    interrupt: OnceLock<Interrupt>,
}

#[derive(Default)]
struct Waiting {
    serial: u64,
    wishes: VecDeque<(u64, Wish)>,
}

impl Requests {
    /// Says how the kernel is told. To be called once.
    pub fn connect(&self, interrupt: Interrupt) {
        // Whoever connects first stays.
        let _ = self.interrupt.set(interrupt);
    }

    /// Asks; gives the number of the request.
    pub fn ask(&self, wish: Wish) -> u64 {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.serial += 1;
        let serial = waiting.serial;
        waiting.wishes.push_back((serial, wish));
        drop(waiting);
        self.tell();
        serial
    }

    /// Tells the kernel again, if something waits: an interrupt is lost while the kernel starts.
    pub fn remind(&self) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let some = !waiting.wishes.is_empty();
        drop(waiting);
        if some {
            self.tell();
        }
    }

    fn tell(&self) {
        if let Some(interrupt) = self.interrupt.get() {
            interrupt();
        }
    }

    /// The oldest request, as the kernel gets it. While there are more the kernel is interrupted again.
    pub fn fetch(&self) -> [u64; 6] {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let next = waiting.wishes.pop_front();
        drop(waiting);
        self.remind();
        match next {
            Some((serial, Wish::Limit { frames })) => {
                [HostRequest::Limit as u64, serial, frames, 0, 0, 0]
            }
            Some((
                serial,
                Wish::Revoke {
                    environment,
                    kind,
                    count,
                    ticks,
                },
            )) => [
                HostRequest::Revoke as u64,
                serial,
                environment.into(),
                kind.into(),
                count,
                ticks,
            ],
            None => [HostRequest::None as u64, 0, 0, 0, 0, 0],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn requests_are_fetched_in_order_and_the_kernel_is_told_while_there_are_more() {
        let requests = Requests::default();
        let told = Arc::new(AtomicU32::new(0));
        let counter = told.clone();
        requests.connect(Box::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        }));
        assert_eq!(requests.fetch(), [0; 6]);
        assert_eq!(requests.ask(Wish::Limit { frames: 7 }), 1);
        let revoke = Wish::Revoke {
            environment: 2,
            kind: 3,
            count: 4,
            ticks: 5,
        };
        assert_eq!(requests.ask(revoke), 2);
        assert_eq!(told.load(Ordering::Relaxed), 2);
        assert_eq!(requests.fetch(), [1, 1, 7, 0, 0, 0]);
        assert_eq!(told.load(Ordering::Relaxed), 3);
        assert_eq!(requests.fetch(), [2, 2, 2, 3, 4, 5]);
        assert_eq!(told.load(Ordering::Relaxed), 3);
        assert_eq!(requests.fetch(), [0; 6]);
    }
}
