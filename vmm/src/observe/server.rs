//! The control socket of a running machine: one thread, one client after the other.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::net::sockopt::socket_peercred;

use super::folder::Folder;
use super::protocol::{Answer, REQUEST_MAX, Request, line, parse};
use super::watched::Watched;
use crate::cli::exit_status;

/// Stack of the thread.
const STACK_BYTES: usize = 128 << 10;
/// How long one client may keep the others waiting.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long to wait after the system could not accept a client, for want of descriptors for example.
const PAUSE: Duration = Duration::from_millis(10);

/// The socket, from its machine's start to its end.
pub struct ControlSocket {
    bound: Arc<Mutex<Bound>>,
}

/// Whether there is a path to remove at the end.
enum Bound {
    NotYet,
    At(PathBuf),
    Closed,
}

impl ControlSocket {
    /// Serves `watched` under `name`. All work is the thread's own, so that nothing is late for it. Where the socket cannot be made
    /// that is said on standard error, and the machine runs without.
    pub fn open(name: String, watched: Watched) -> Self {
        let bound = Arc::new(Mutex::new(Bound::NotYet));
        let slot = bound.clone();
        let serve = move || match bind(&slot, &name) {
            Ok(Some(listener)) => serve(&listener, &watched),
            Ok(None) => {}
            Err(error) => warn(&error),
        };
        let thread = std::thread::Builder::new()
            .name("control".into())
            .stack_size(STACK_BYTES)
            .spawn(serve);
        if let Err(error) = thread {
            warn(&error);
        }
        Self { bound }
    }

    /// Nobody finds the machine from now on.
    pub fn close(&self) {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        if let Bound::At(path) = std::mem::replace(&mut *bound, Bound::Closed) {
            // Whatever keeps us from removing it, `exo ctl` finds out that nobody listens.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn warn(error: &io::Error) {
    eprintln!(
        "exo: no control socket: {error}; exo ctl and exo top cannot find this machine (--no-control leaves it out)"
    );
}

/// Makes the socket, unless the machine has ended already.
fn bind(slot: &Mutex<Bound>, name: &str) -> io::Result<Option<UnixListener>> {
    let mut bound = slot.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(*bound, Bound::Closed) {
        return Ok(None);
    }
    let folder = Folder::find();
    folder.make()?;
    let path = folder.socket(name);
    let listener = match UnixListener::bind(&path) {
        // Left over from a machine that was killed, or a living one's.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if UnixStream::connect(&path).is_ok() {
                return Err(io::Error::other(format!(
                    "another machine is called {name}"
                )));
            }
            std::fs::remove_file(&path)?;
            UnixListener::bind(&path)?
        }
        other => other?,
    };
    *bound = Bound::At(path);
    Ok(Some(listener))
}

fn serve(listener: &UnixListener, watched: &Watched) {
    loop {
        match listener.accept() {
            // A client that goes away, or sends nothing, has only itself to blame.
            Ok((stream, _)) => drop(answer(&stream, watched)),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Reads one request and writes its answer.
fn answer(stream: &UnixStream, watched: &Watched) -> io::Result<()> {
    // The folder keeps other users out already; this does too where somebody has opened it.
    if socket_peercred(stream)?.uid != rustix::process::geteuid() {
        return Ok(());
    }
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    BufReader::new(stream.take(REQUEST_MAX)).read_line(&mut text)?;
    let answer = match parse::<Request>(&text) {
        Ok(request) => watched.answer(&request),
        Err(reason) => Answer::Refused {
            status: exit_status::USAGE,
            reason,
        },
    };
    let mut stream = stream;
    stream.write_all(line(answer).as_bytes())
}
