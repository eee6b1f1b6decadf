//! Who asks whether a file is ready: some files are ready for one process and not for another.

use alloc::rc::Rc;

use crate::process::Process;
use crate::wait::WaitQueue;

/// What such files know of a process.
#[derive(Debug)]
pub struct Asker {
    /// Signals that are pending for it, or for its current thread.
    pub pending: u64,
    /// Who waits for signals of it.
    pub signalled: Rc<WaitQueue>,
}

impl Asker {
    /// The current thread of a process.
    pub fn of(process: &Process) -> Self {
        let own = &process.threads.current.signals.pending;
        Self {
            pending: process.signals.pending.set() | own.set(),
            signalled: process.threads.signal_queue.clone(),
        }
    }
}
