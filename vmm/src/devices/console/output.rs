//! A stream that is written by a thread of its own, because writing may block: who serves queues has other guests to serve.

use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// Stack of the thread.
const STACK_SIZE: usize = 64 << 10;

/// What is to be written: one piece at a time.
pub struct Output {
    shared: Arc<Shared>,
    /// Until the thread has it.
    target: Mutex<Option<Box<dyn Write + Send>>>,
}

struct Shared {
    /// The piece, until it is written.
    piece: Mutex<Option<Vec<u8>>>,
    offered: Condvar,
    event: EventFd,
    /// The host's error number, once output is lost.
    error: AtomicU32,
}

impl Output {
    /// Output to `target`, which is not touched before `start`.
    pub fn new(target: Box<dyn Write + Send>) -> io::Result<Self> {
        Ok(Self {
            shared: Arc::new(Shared {
                piece: Mutex::default(),
                offered: Condvar::new(),
                event: EventFd::new(EFD_NONBLOCK)?,
                error: AtomicU32::new(0),
            }),
            target: Mutex::new(Some(target)),
        })
    }

    /// Starts the thread, if that has not been done yet. It ends with the process.
    pub fn start(&self) -> io::Result<()> {
        let mut target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = target.take() {
            let shared = self.shared.clone();
            Builder::new()
                .name("console-output".into())
                .stack_size(STACK_SIZE)
                .spawn(move || shared.write(target))?;
        }
        Ok(())
    }

    /// Signalled when a piece is written.
    pub fn event(&self) -> RawFd {
        self.shared.event.as_raw_fd()
    }

    /// Whether everything that was offered is written.
    pub fn is_idle(&self) -> bool {
        self.shared.lock().is_none()
    }

    /// The host's error number if output was lost, else 0.
    pub fn error(&self) -> u32 {
        self.shared.error.load(Ordering::Relaxed)
    }

    /// Has a piece written. There must be none.
    pub fn offer(&self, piece: Vec<u8>) {
        *self.shared.lock() = Some(piece);
        self.shared.offered.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.piece.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, mut target: Box<dyn Write + Send>) {
        loop {
            let mut piece = self.lock();
            let bytes = loop {
                match piece.as_mut() {
                    // It stays there, empty, until it is written.
                    Some(bytes) => break std::mem::take(bytes),
                    None => {
                        let woken = self.offered.wait(piece);
                        piece = woken.unwrap_or_else(PoisonError::into_inner);
                    }
                }
            };
            drop(piece);
            if let Err(error) = target.write_all(&bytes).and_then(|()| target.flush()) {
                let number = error.raw_os_error().unwrap_or(libc::EIO);
                self.error.store(number.unsigned_abs(), Ordering::Relaxed);
            }
            *self.lock() = None;
            // Cannot fail before 2^64 - 1 signals.
            let _ = self.event.write(1);
        }
    }
}
