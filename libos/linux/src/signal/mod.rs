//! Signals: what they tell, who gets them, and how a handler is entered and left.

pub mod delivery;
pub mod frame;
pub mod pending;
pub mod state;
pub mod timers;
pub mod trouble;

use linux_raw_sys::general::{
    SI_KERNEL, SI_TKILL, SI_USER, SIGBUS, SIGCHLD, SIGCONT, SIGFPE, SIGILL, SIGKILL, SIGSEGV,
    SIGSTOP, SIGSYS, SIGTRAP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH,
};

/// Signals, numbered from 1.
pub const SIGNALS: usize = 64;
/// The first of those of which each one sent is kept.
pub const FIRST_QUEUED: u32 = 32;

/// The bit of a signal in a set.
pub const fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}

/// Those that cannot be blocked, handled or ignored.
pub const UNBLOCKABLE: u64 = bit(SIGKILL) | bit(SIGSTOP);
/// Those that stop a process which does not handle them.
pub const STOPPING: u64 = bit(SIGSTOP) | bit(SIGTSTP) | bit(SIGTTIN) | bit(SIGTTOU);
/// Those that do nothing to it.
pub const IGNORED: u64 = bit(SIGCHLD) | bit(SIGCONT) | bit(SIGURG) | bit(SIGWINCH);

/// Those of the processor: taken before others, so that a handler finds the registers of what caused it.
pub const OF_PROCESSOR: u64 =
    bit(SIGSEGV) | bit(SIGBUS) | bit(SIGILL) | bit(SIGTRAP) | bit(SIGFPE) | bit(SIGSYS);

/// A signal's number as a program gives it; `None`: there is no such.
pub fn number(signal: u64) -> Option<u32> {
    let signal = signal as u32;
    (1..=SIGNALS as u32).contains(&signal).then_some(signal)
}

/// What a signal tells: `siginfo_t`, of which the last part is always zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Information {
    /// `si_signo`.
    pub signal: u32,
    /// `si_errno`.
    pub error: u32,
    /// `si_code`.
    pub code: i32,
    /// The words behind, from offset 16 on, by kind of signal.
    pub words: [u64; 4],
}

/// Bytes of a `siginfo_t`.
pub const INFORMATION_BYTES: usize = 128;

/// Two numbers of 32 bits as they lie next to each other.
fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

impl Information {
    /// Sent by nobody: of the system.
    pub const fn kernel(signal: u32) -> Self {
        Self {
            signal,
            error: 0,
            code: SI_KERNEL as i32,
            words: [0; 4],
        }
    }

    /// Sent by a process, by `kill`, or by `tkill` to one thread.
    pub fn user(signal: u32, sender: u32, to_thread: bool) -> Self {
        Self {
            code: if to_thread { SI_TKILL } else { SI_USER as i32 },
            words: [pair(sender, 0), 0, 0, 0],
            ..Self::kernel(signal)
        }
    }

    /// What a child has done: a code `CLD_...`, and its status or a signal.
    pub fn child(code: u32, child: u32, status: u32) -> Self {
        Self {
            code: code as i32,
            words: [pair(child, 0), u64::from(status), 0, 0],
            ..Self::kernel(SIGCHLD)
        }
    }

    /// What the processor found at an address.
    pub const fn fault(signal: u32, code: u32, address: u64) -> Self {
        Self {
            code: code as i32,
            words: [address, 0, 0, 0],
            ..Self::kernel(signal)
        }
    }

    /// Whether the processor has caused it, and no program sent it.
    pub fn is_of_processor(&self) -> bool {
        self.code > 0 && OF_PROCESSOR & bit(self.signal) != 0
    }

    /// As it lies in memory.
    pub fn encode(&self) -> [u8; INFORMATION_BYTES] {
        let mut bytes = [0; INFORMATION_BYTES];
        let head = [
            pair(self.signal, self.error),
            u64::from(self.code.cast_unsigned()),
        ];
        let words = head.iter().chain(&self.words);
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// From the words of a program's `siginfo_t`.
    pub fn decode(signal: u32, words: [u64; 6]) -> Self {
        let [head, code, a, b, c, d] = words;
        Self {
            signal,
            error: (head >> 32) as u32,
            code: (code as u32).cast_signed(),
            words: [a, b, c, d],
        }
    }
}
