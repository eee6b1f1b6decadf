//! A stream that is read ahead by a thread of its own, because reading may block and standard input may be anything.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// Stack of the thread.
const STACK_SIZE: usize = 64 << 10;
/// Bytes that are read at a time, and most that wait.
const PIECE: usize = 4096;
const WAITING_MAX: usize = 16 * PIECE;

/// What was read and not taken yet.
pub struct Input {
    shared: Arc<Shared>,
    /// Until the thread has it.
    source: Mutex<Option<Box<dyn Read + Send>>>,
}

struct Shared {
    state: Mutex<State>,
    room: Condvar,
    event: EventFd,
}

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    ended: bool,
}

impl Input {
    /// Input from `source`, which is not touched before `start`.
    pub fn new(source: Box<dyn Read + Send>) -> io::Result<Self> {
        Ok(Self {
            shared: Arc::new(Shared {
                state: Mutex::default(),
                room: Condvar::new(),
                event: EventFd::new(EFD_NONBLOCK)?,
            }),
            source: Mutex::new(Some(source)),
        })
    }

    /// Starts reading, if that has not been done yet. The thread ends with the input, or with the process.
    pub fn start(&self) -> io::Result<()> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = source.take() {
            let shared = self.shared.clone();
            Builder::new()
                .name("console-input".into())
                .stack_size(STACK_SIZE)
                .spawn(move || shared.read(source))?;
        }
        Ok(())
    }

    /// Signalled when there is more, or the end.
    pub fn event(&self) -> RawFd {
        self.shared.event.as_raw_fd()
    }

    /// At most `count` bytes; `None` where there are none now.
    pub fn take(&self, count: usize) -> Option<Vec<u8>> {
        let mut state = self.shared.lock();
        let count = count.min(state.bytes.len());
        let bytes: Vec<u8> = state.bytes.drain(..count).collect();
        self.shared.room.notify_one();
        (!bytes.is_empty()).then_some(bytes)
    }

    /// There is nothing left, and nothing will come.
    pub fn has_ended(&self) -> bool {
        let state = self.shared.lock();
        state.ended && state.bytes.is_empty()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, mut source: Box<dyn Read + Send>) {
        let mut piece = [0; PIECE];
        loop {
            let count = match source.read(&mut piece) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => 0,
            };
            let mut state = self.lock();
            state.bytes.extend(piece.iter().take(count));
            state.ended = count == 0;
            // Cannot fail before 2^64 - 1 signals.
            let _ = self.event.write(1);
            if state.ended {
                return;
            }
            while state.bytes.len() > WAITING_MAX - PIECE {
                state = self
                    .room
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}
