//! The terminal on which a Linux program is started: raw while it runs, since its libOS edits lines itself.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::getpgrp;
use rustix::termios::{
    OptionalActions, Termios, isatty, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::devices::console::WindowSize;
use crate::error::Error;

/// A terminal that is raw, until this is dropped.
pub struct Terminal {
    before: Arc<Before>,
}

/// What the terminal was.
struct Before {
    modes: Termios,
    /// Whether it is raw now.
    raw: AtomicBool,
}

impl Before {
    fn restore(&self) {
        if self.raw.swap(false, Ordering::SeqCst) {
            // A terminal that is gone needs no modes.
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.modes);
        }
    }
}

/// Whether a program that is started here has a terminal: standard input and output are one, and nobody else has it now.
pub fn is_there() -> bool {
    let owner = tcgetpgrp(io::stdin()).ok();
    isatty(io::stdin()) && isatty(io::stdout()) && owner == Some(getpgrp())
}

/// Whether standard output and standard error lead to the same file.
pub fn streams_are_one() -> bool {
    let status = |stream| rustix::fs::fstat(stream).map(|found| (found.st_dev, found.st_ino));
    let errors = rustix::fs::fstat(io::stderr()).map(|found| (found.st_dev, found.st_ino));
    status(io::stdout()).is_ok_and(|output| errors.is_ok_and(|errors| errors == output))
}

/// Asks the terminal for its size.
fn measure(size: &WindowSize) {
    if let Ok(found) = tcgetwinsize(io::stdout()) {
        size.set(found.ws_col, found.ws_row);
    }
}

impl Terminal {
    /// Makes the terminal raw. `resized` is called when it has got another size, which stands in `size` then.
    pub fn take(size: Arc<WindowSize>, resized: impl Fn() + Send + 'static) -> Result<Self, Error> {
        let failed = |error: rustix::io::Errno| Error::system("preparing the terminal", error);
        let modes = tcgetattr(io::stdin()).map_err(failed)?;
        let before = Arc::new(Before {
            modes: modes.clone(),
            raw: AtomicBool::new(true),
        });
        // Whatever ends us leaves the terminal as it was; signals that the keyboard sends do not come while it is raw.
        let mut signals = Signals::new([SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGQUIT])
            .map_err(|error| Error::system("preparing the terminal", error))?;
        measure(&size);
        let restored = before.clone();
        std::thread::Builder::new()
            .name("terminal".into())
            .spawn(move || {
                for signal in signals.forever() {
                    if signal == SIGWINCH {
                        measure(&size);
                        resized();
                    } else {
                        restored.restore();
                        let _ = emulate_default_handler(signal);
                    }
                }
            })
            .map_err(|error| Error::system("starting a thread", error))?;
        let mut raw = modes;
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).map_err(failed)?;
        Ok(Self { before })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.before.restore();
    }
}

/// A stream to a raw terminal: lines begin at its left edge, as those who write them expect.
pub struct RawLines<W>(pub W);

impl<W: Write> Write for RawLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            match line.split_last() {
                Some((b'\n', text)) => {
                    self.0.write_all(text)?;
                    self.0.write_all(b"\r\n")?;
                }
                _ => self.0.write_all(line)?,
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
