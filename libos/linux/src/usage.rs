//! Processor time of a process: what the kernel has counted for its environment, and the turn that is not over.

use core::cell::Cell;

use exo_rt::{processor, tables};

/// Words of `struct rusage`.
pub const USAGE_WORDS: usize = 18;
const SECOND: u64 = 1_000_000_000;

/// What a process has used, and those of its children that it has awaited.
#[derive(Debug, Default)]
pub struct Usage {
    /// Ticks of the environment when the process began.
    before: u64,
    /// Ticks of the environment when it was looked at last, and the time stamp then: the kernel counts a turn when it is over.
    seen: Cell<(u64, u64)>,
    /// Nanoseconds of children.
    pub children: Cell<u64>,
}

impl Usage {
    /// That of a process that begins in this environment.
    pub fn start() -> Self {
        let ticks = tables::own_environment().ticks;
        Self {
            before: ticks,
            seen: Cell::new((ticks, processor::time_stamp())),
            children: Cell::default(),
        }
    }

    /// Looks at what the kernel has counted: a turn begins.
    pub fn look(&self) -> u64 {
        let ticks = tables::own_environment().ticks;
        let now = processor::time_stamp();
        if self.seen.get().0 != ticks {
            self.seen.set((ticks, now));
        }
        let (counted, since) = self.seen.get();
        counted.saturating_sub(self.before) + now.saturating_sub(since)
    }

    /// Nanoseconds that the process has used.
    pub fn own(&self) -> u64 {
        let khz = u128::from(processor::time_stamp_khz().max(1));
        u64::try_from(u128::from(self.look()) * 1_000_000 / khz).unwrap_or(u64::MAX)
    }

    /// The same, and what its children have used.
    pub fn all(&self) -> u64 {
        self.own().saturating_add(self.children.get())
    }
}

/// A `struct rusage` that tells so many nanoseconds. All of them count as the program's: nobody tells them from the personality's.
pub fn words(nanoseconds: u64) -> [u64; USAGE_WORDS] {
    let mut words = [0; USAGE_WORDS];
    words[0] = nanoseconds / SECOND;
    words[1] = nanoseconds % SECOND / 1000;
    words
}
