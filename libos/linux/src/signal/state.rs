//! What a process and each thread want of signals.

use linux_raw_sys::general::{
    SA_NODEFER, SA_ONSTACK, SA_RESETHAND, SA_RESTART, SS_AUTODISARM, SS_DISABLE, SS_ONSTACK,
};

use super::pending::Pending;
use super::{IGNORED, SIGNALS, bit};
use crate::wait::Interrupted;

/// What becomes of a signal: `struct sigaction` as the system has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// A function, or one of [`DEFAULT`] and [`IGNORE`].
    pub handler: u64,
    /// `SA_...`.
    pub flags: u64,
    /// Where the handler returns to.
    pub restorer: u64,
    /// What is blocked beside while it runs.
    pub mask: u64,
}

/// `SIG_DFL`.
pub const DEFAULT: u64 = 0;
/// `SIG_IGN`.
pub const IGNORE: u64 = 1;

impl Action {
    /// Whether a signal with this action does nothing.
    pub fn ignores(&self, signal: u32) -> bool {
        self.handler == IGNORE || self.handler == DEFAULT && IGNORED & bit(signal) != 0
    }

    /// Whether its handler is a function.
    pub fn is_handled(&self) -> bool {
        self.handler > IGNORE
    }

    /// Whether a call that was interrupted is done again after the handler.
    pub fn restarts(&self) -> bool {
        self.has(SA_RESTART)
    }

    /// Whether the signal itself stays open while its handler runs.
    pub fn nests(&self) -> bool {
        self.has(SA_NODEFER)
    }

    /// Whether the handler runs once.
    pub fn is_reset(&self) -> bool {
        self.has(SA_RESETHAND)
    }

    /// Whether it wants the alternate stack.
    pub fn wants_stack(&self) -> bool {
        self.has(SA_ONSTACK)
    }

    fn has(&self, flag: u32) -> bool {
        self.flags & u64::from(flag) != 0
    }
}

/// Signals of a process.
#[derive(Debug)]
pub struct ProcessSignals {
    /// Actions by number, from 1.
    pub actions: [Action; SIGNALS],
    /// Sent to the process: any thread may take them.
    pub pending: Pending,
    /// It is stopped until `SIGCONT`.
    pub stopped: bool,
}

impl Default for ProcessSignals {
    fn default() -> Self {
        Self {
            actions: [Action::default(); SIGNALS],
            pending: Pending::default(),
            stopped: false,
        }
    }
}

impl ProcessSignals {
    /// Those of a process that this one forks: what is pending stays here.
    pub fn fork(&self) -> Self {
        Self {
            actions: self.actions,
            ..Self::default()
        }
    }

    /// The action of a signal.
    pub fn action(&self, signal: u32) -> Action {
        let index = signal.wrapping_sub(1) as usize;
        self.actions.get(index).copied().unwrap_or_default()
    }

    /// Sets it.
    pub fn set_action(&mut self, signal: u32, action: Action) {
        if let Some(slot) = self.actions.get_mut(signal.wrapping_sub(1) as usize) {
            *slot = action;
        }
    }

    /// What `execve` leaves of the actions: what is ignored stays so.
    pub fn reset_for_program(&mut self) {
        for action in &mut self.actions {
            let handler = match action.handler {
                IGNORE => IGNORE,
                _ => DEFAULT,
            };
            *action = Action {
                handler,
                ..Action::default()
            };
        }
    }
}

/// The stack on which handlers run that want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlternateStack {
    /// Its lowest byte.
    pub start: u64,
    /// `SS_AUTODISARM`, or nothing.
    pub flags: u32,
    /// Its size; 0: there is none.
    pub bytes: u64,
}

impl AlternateStack {
    /// None.
    pub const NONE: Self = Self {
        start: 0,
        flags: SS_DISABLE,
        bytes: 0,
    };

    /// Whether a stack pointer is in it. One that disarms itself is free again as soon as it is used.
    pub fn is_used(&self, pointer: u64) -> bool {
        self.flags & SS_AUTODISARM == 0
            && pointer > self.start
            && pointer.wrapping_sub(self.start) <= self.bytes
    }

    /// As `stack_t`, for a thread with its stack pointer there.
    pub fn encode(&self, pointer: u64) -> [u64; 3] {
        let state = match () {
            () if self.bytes == 0 => SS_DISABLE,
            () if self.is_used(pointer) => SS_ONSTACK,
            () => 0,
        };
        let flags = self.flags & SS_AUTODISARM | state;
        [self.start, u64::from(flags), self.bytes]
    }
}

/// Signals of a thread.
#[derive(Debug)]
pub struct ThreadSignals {
    /// Which are blocked.
    pub mask: u64,
    /// What the mask was before the current call changed it for its own time.
    pub mask_before: Option<u64>,
    /// Sent to this thread.
    pub pending: Pending,
    /// Where handlers run that want a stack of their own.
    pub stack: AlternateStack,
    /// What becomes of the call that a signal has interrupted.
    pub interrupted: Option<Interrupted>,
    /// Vector, error code and address of the last exception.
    pub exception: [u64; 3],
}

impl ThreadSignals {
    /// Those of a thread in another process that this one forks.
    pub fn fork(&self) -> Self {
        Self {
            mask: self.mask,
            stack: self.stack,
            ..Self::default()
        }
    }
}

impl Default for ThreadSignals {
    fn default() -> Self {
        Self {
            mask: 0,
            mask_before: None,
            pending: Pending::default(),
            stack: AlternateStack::NONE,
            interrupted: None,
            exception: [0; 3],
        }
    }
}
