//! Futexes: threads that wait for a word of their memory to change.

use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::wait::{Subject, Wait, WaitQueue};

/// Queues, on which the futexes are spread.
const QUEUES: usize = 64;

/// All futexes on which somebody waits.
pub struct Futexes(Vec<Rc<WaitQueue>>);

impl Default for Futexes {
    fn default() -> Self {
        Self((0..QUEUES).map(|_| WaitQueue::new()).collect())
    }
}

impl Futexes {
    fn queue(&self, futex: u64) -> Option<&Rc<WaitQueue>> {
        let place = (futex >> 2 ^ futex >> 8) as usize % QUEUES;
        self.0.get(place)
    }

    /// A wait for a futex, to be woken by who names one of these bits.
    pub fn wait(&self, futex: u64, bits: u32, deadline: Option<u64>) -> Wait {
        Wait {
            queues: self.queue(futex).into_iter().cloned().collect(),
            deadline,
            subject: Subject {
                number: futex,
                bits,
            },
            ..Wait::default()
        }
    }

    /// Wakes up to `count` threads that wait for one of these bits; how many.
    pub fn wake(&self, futex: u64, bits: u32, count: u64) -> u64 {
        let chosen = |subject: Subject| subject.number == futex && subject.bits & bits != 0;
        self.queue(futex)
            .map_or(0, |queue| queue.wake(count, chosen))
    }

    /// Has up to `count` threads wait for another futex; how many.
    pub fn requeue(&self, futex: u64, other: u64, count: u64) -> u64 {
        match (self.queue(futex), self.queue(other)) {
            (Some(queue), Some(target)) => queue.requeue(count, futex, target, other),
            _ => 0,
        }
    }
}
