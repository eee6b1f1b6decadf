//! Policies of processor time as a libOS has them: who gets the next slice. Time is counted in slices.

use alloc::vec;
use alloc::vec::Vec;

/// Chooses who gets a slice.
pub trait Policy {
    /// Who gets slice `quantum`: the position of a client; `None`: nobody wants it. It is taken as used.
    fn choose(&mut self, quantum: u64) -> Option<usize>;
}

/// One after the other.
pub struct RoundRobin {
    clients: usize,
    next: usize,
}

impl RoundRobin {
    /// Among so many clients.
    pub fn new(clients: usize) -> Self {
        Self { clients, next: 0 }
    }
}

impl Policy for RoundRobin {
    fn choose(&mut self, _: u64) -> Option<usize> {
        let choice = self.next;
        self.next = (choice + 1) % self.clients;
        Some(choice)
    }
}

/// In proportion to tickets, as evenly as can be (C. A. Waldspurger, W. E. Weihl: Stride scheduling, 1995): the client whose pass is lowest
/// runs, and its pass grows by its stride, the inverse of its tickets.
pub struct Stride {
    strides: Vec<u64>,
    passes: Vec<u64>,
}

impl Stride {
    /// What tickets divide.
    const ONE: u64 = 1 << 20;

    /// Clients with so many tickets each.
    pub fn new(tickets: &[u64]) -> Self {
        let strides: Vec<u64> = tickets.iter().map(|tickets| Self::ONE / tickets).collect();
        Self {
            passes: strides.clone(),
            strides,
        }
    }
}

impl Policy for Stride {
    fn choose(&mut self, _: u64) -> Option<usize> {
        let (choice, _) = self
            .passes
            .iter()
            .enumerate()
            .min_by_key(|(_, pass)| **pass)?;
        self.passes[choice] += self.strides[choice];
        Some(choice)
    }
}

/// Work that comes again and again.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    work: u64,
    period: u64,
}

impl Task {
    /// So many slices of work in each period, which is also the time that it has for them.
    pub const fn new(work: u64, period: u64) -> Self {
        Self { work, period }
    }
}

/// The earliest deadline first.
pub struct Deadlines {
    tasks: Vec<Task>,
    /// What is left to do of each until its deadline.
    left: Vec<u64>,
    missed: u64,
}

impl Deadlines {
    /// Clients with these tasks, all released in slice 0.
    pub fn new(tasks: &[Task]) -> Self {
        Self {
            tasks: tasks.to_vec(),
            left: vec![0; tasks.len()],
            missed: 0,
        }
    }

    /// Deadlines that passed before the work was done.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

impl Policy for Deadlines {
    fn choose(&mut self, quantum: u64) -> Option<usize> {
        for (task, left) in self.tasks.iter().zip(&mut self.left) {
            if quantum.is_multiple_of(task.period) {
                self.missed += u64::from(*left != 0);
                *left = task.work;
            }
        }
        let deadline = |task: &Task| (quantum / task.period + 1) * task.period;
        let waiting = self.tasks.iter().zip(&self.left).enumerate();
        let (choice, _) = waiting
            .filter(|(_, (_, left))| **left != 0)
            .min_by_key(|(_, (task, _))| deadline(task))?;
        self.left[choice] -= 1;
        Some(choice)
    }
}
