//! `exo run --gdb`: a gdb on the host debugs the guest, kernel and programs alike.
//!
//! The guest waits for it before its first instruction. Each vCPU is a thread to gdb; when one stops, all do.

mod breakpoints;
mod connection;
mod guest;
mod patches;
mod reflection;
mod registers;
mod stops;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use gdbstub::common::Signal;
use gdbstub::conn::ConnectionExt;
use gdbstub::stub::run_blocking::{BlockingEventLoop, Event as LoopEvent, WaitForStopReasonError};
use gdbstub::stub::{DisconnectReason, GdbStub};

pub use connection::Listener;
use connection::Stream;
use guest::{Guest, StopReason};
use reflection::Entries;
use stops::Event;
pub use stops::Stops;

use crate::error::Error;
use crate::machine::Machine;
use crate::machine::ending::End;

/// A connection to gdb.
type Connection = Box<dyn ConnectionExt<Error = std::io::Error>>;

/// How long events of the guest are waited for before the connection is looked at again.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// A debugger before the machine runs: it listens, and the vCPUs will wait for it.
pub struct Debugger {
    listener: Listener,
    stops: Arc<Stops>,
    events: Receiver<Event>,
}

impl Debugger {
    /// Listens for gdb on a port, `HOST:PORT` or the path of a socket.
    pub fn listen(address: &str, vcpus: u32) -> Result<Self, Error> {
        let listener = Listener::open(address)?;
        let (stops, events) = Stops::new(vcpus);
        Ok(Self {
            listener,
            stops: Arc::new(stops),
            events,
        })
    }

    /// Where the vCPUs are to stop.
    pub fn stops(&self) -> Arc<Stops> {
        self.stops.clone()
    }

    /// Waits for gdb. `symbols` are files with symbols, to be named to the user.
    pub fn accept(self, symbols: &[PathBuf]) -> Result<Accepted, Error> {
        let files: String = symbols
            .iter()
            .map(|file| format!(" -ex 'add-symbol-file {}'", file.display()))
            .collect();
        eprintln!(
            "exo: waiting for gdb: gdb -ex 'target remote {}'{files}",
            self.listener.address()
        );
        let stream = self.listener.accept()?;
        Ok(Accepted {
            stream,
            stops: self.stops,
            events: self.events,
        })
    }
}

/// A debugger with its gdb.
pub struct Accepted {
    stream: Stream,
    stops: Arc<Stops>,
    events: Receiver<Event>,
}

impl Accepted {
    /// Lets gdb debug a machine that was just started.
    pub fn debug(self, machine: &Machine, kernel: &Path) -> Result<Session, Error> {
        let entries = match machine.runs_ring_3_natively() {
            true => Some(Entries::read(kernel)?),
            false => None,
        };
        let (threads, around) = (machine.threads(), machine.surroundings());
        let stops = self.stops.clone();
        let thread = std::thread::Builder::new()
            .name("gdb".into())
            .spawn(move || {
                let mut guest =
                    Guest::new(self.stops, self.events, threads, around.clone(), entries);
                match GdbStub::new(self.stream.into_connection()).run_blocking::<Loop>(&mut guest) {
                    Ok(DisconnectReason::Kill) => {
                        let end = End::Failed {
                            what: "gdb has killed the machine".into(),
                            registers: String::new(),
                        };
                        around.ending.report(end, None);
                    }
                    Ok(
                        DisconnectReason::TargetExited(_)
                        | DisconnectReason::TargetTerminated(_)
                        | DisconnectReason::Disconnect,
                    ) => {}
                    Err(error) => eprintln!("exo: gdb is gone, the guest goes on: {error}"),
                }
                guest.release();
            })
            .map_err(|error| Error::system("starting the debugger's thread", error))?;
        Ok(Session { thread, stops })
    }
}

/// gdb debugs a machine.
pub struct Session {
    thread: JoinHandle<()>,
    stops: Arc<Stops>,
}

impl Session {
    /// Tells gdb the machine's exit status.
    pub fn finish(self, status: u8) {
        self.stops.report_end(status);
        // It ends at that word, or has ended before.
        let _ = self.thread.join();
    }
}

/// What gdb says, and what the guest does, one after the other.
enum Loop {}

impl BlockingEventLoop for Loop {
    type Target = Guest;
    type Connection = Connection;
    type StopReason = StopReason;

    fn wait_for_stop_reason(
        guest: &mut Guest,
        connection: &mut Connection,
    ) -> Result<
        LoopEvent<StopReason>,
        WaitForStopReasonError<std::convert::Infallible, std::io::Error>,
    > {
        loop {
            if connection
                .peek()
                .map_err(WaitForStopReasonError::Connection)?
                .is_some()
            {
                let byte = connection
                    .read()
                    .map_err(WaitForStopReasonError::Connection)?;
                return Ok(LoopEvent::IncomingData(byte));
            }
            let reason = match guest.events.recv_timeout(POLL_INTERVAL) {
                Ok(Event::Trapped(index, dr6)) => match guest.stop(Some(index)) {
                    None => guest.reason(index, dr6),
                    Some(status) => StopReason::Exited(status),
                },
                Ok(Event::Ended(status)) => StopReason::Exited(status),
                Ok(Event::Stopped(_)) | Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => StopReason::Exited(0),
            };
            return Ok(LoopEvent::TargetStopped(reason));
        }
    }

    fn on_interrupt(guest: &mut Guest) -> Result<Option<StopReason>, std::convert::Infallible> {
        Ok(Some(match guest.stop(None) {
            None => StopReason::SignalWithThread {
                tid: guest::thread(0),
                signal: Signal::SIGINT,
            },
            Some(status) => StopReason::Exited(status),
        }))
    }
}
