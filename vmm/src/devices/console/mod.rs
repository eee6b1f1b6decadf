//! virtio-console (virtio 1.2, section 5.3) with one port: a stream in, a stream out.
//!
//! Input is read only once a driver has offered a first buffer for it, so that a guest that wants none leaves it alone. At
//! the end of the input the driver gets one buffer back with nothing in it. A buffer of output is given back when it is
//! written; output that nobody takes holds up this queue, and no other. Once output is lost, the length that comes back with a buffer,
//! which has no other meaning there, is the host's error number, so that a driver can tell whoever writes.

mod input;
mod output;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use exo_abi::function::{QueueService, StopReason};
use exo_abi::virtio::console::CONFIGURATION_SIZE;
use exo_abi::virtio::{DEVICE_CONSOLE, feature};

use super::VirtioDevice;
use super::chain::{Buffer, Chain};
use super::ring::Ring;
use super::server::QueueHandler;
use super::signals::QueueCounters;
use input::Input;
use output::Output;

const QUEUE_SIZE_MAX: u16 = 64;
/// Queues: input and output.
pub const QUEUES: u32 = 2;
/// Queue that brings input (section 5.3.2); the other one takes output.
const RECEIVE: u16 = 0;
/// Bytes that are moved at a time.
const PIECE: usize = 32 << 10;

/// How many characters the terminal behind a console shows; none by none where there is no terminal.
#[derive(Debug, Default)]
pub struct WindowSize(AtomicU32);

impl WindowSize {
    /// It has so many columns and rows now.
    pub fn set(&self, columns: u16, rows: u16) {
        let size = u32::from(rows) << 16 | u32::from(columns);
        self.0.store(size, Ordering::Relaxed);
    }
}

/// A console.
pub struct Console {
    input: Arc<Input>,
    output: Arc<Output>,
    size: Arc<WindowSize>,
}

impl Console {
    /// A console over these streams, with a terminal of this size.
    pub fn new(
        input: Box<dyn Read + Send>,
        output: Box<dyn Write + Send>,
        size: Arc<WindowSize>,
    ) -> io::Result<Self> {
        Ok(Self {
            input: Arc::new(Input::new(input)?),
            output: Arc::new(Output::new(output)?),
            size,
        })
    }
}

impl VirtioDevice for Console {
    fn device_type(&self) -> u32 {
        DEVICE_CONSOLE
    }

    fn features(&self) -> u64 {
        feature::CONSOLE_SIZE
    }

    fn queue_size_max(&self) -> u16 {
        QUEUE_SIZE_MAX
    }

    /// No other field has a meaning without a feature that we do not offer.
    fn read_configuration(&self, offset: u64, data: &mut [u8]) {
        let size = self.size.0.load(Ordering::Relaxed).to_le_bytes();
        for (place, byte) in (offset..).zip(data) {
            if let Some(&value) = size.get((place - CONFIGURATION_SIZE) as usize) {
                *byte = value;
            }
        }
    }

    fn handler(
        &self,
        queue: u16,
        _service: QueueService,
        _size: u16,
    ) -> io::Result<Box<dyn QueueHandler>> {
        if queue != RECEIVE {
            self.output.start()?;
            return Ok(Box::new(Transmitter {
                output: self.output.clone(),
                chain: Chain::default(),
                current: None,
            }));
        }
        Ok(Box::new(Receiver {
            input: self.input.clone(),
            chain: Chain::default(),
            waiting: VecDeque::new(),
            told_end: false,
        }))
    }
}

/// The receive queue: buffers wait here until there is something to put into them.
struct Receiver {
    input: Arc<Input>,
    chain: Chain,
    waiting: VecDeque<(u16, Buffer)>,
    told_end: bool,
}

impl QueueHandler for Receiver {
    fn serve(
        &mut self,
        ring: Option<&mut Ring>,
        counters: &QueueCounters,
    ) -> Result<bool, StopReason> {
        let Some(ring) = ring else {
            return Ok(false);
        };
        let mut worked = false;
        while let Some(head) = ring.pop(&mut self.chain)? {
            worked = true;
            let buffer = std::mem::take(&mut self.chain.writable);
            self.waiting.push_back((head, buffer));
            // Without a thread nothing comes, as from a terminal that nobody uses.
            let _ = self.input.start();
        }
        while let Some((head, buffer)) = self.waiting.front() {
            let room = PIECE.min(buffer.length() as usize);
            let bytes = match self.input.take(room) {
                Some(bytes) => bytes,
                None if self.input.has_ended() && !self.told_end => {
                    self.told_end = true;
                    Vec::new()
                }
                None => break,
            };
            worked = true;
            let written = buffer.fill(ring.memory(), &bytes)?;
            counters.count(u64::from(written));
            ring.push(*head, written)?;
            self.waiting.pop_front();
        }
        Ok(worked)
    }

    fn events(&self) -> Vec<RawFd> {
        vec![self.input.event()]
    }
}

/// The transmit queue.
struct Transmitter {
    output: Arc<Output>,
    chain: Chain,
    /// The chain that is being written, and what of it has not been offered yet.
    current: Option<(u16, Buffer)>,
}

impl QueueHandler for Transmitter {
    fn serve(
        &mut self,
        ring: Option<&mut Ring>,
        counters: &QueueCounters,
    ) -> Result<bool, StopReason> {
        let Some(ring) = ring else {
            return Ok(false);
        };
        let mut worked = false;
        while self.output.is_idle() {
            match &mut self.current {
                Some((head, rest)) if rest.length() == 0 => {
                    ring.push(*head, self.output.error())?;
                    self.current = None;
                }
                Some((_, rest)) => {
                    let mut piece = vec![0; PIECE.min(rest.length() as usize)];
                    rest.take_front(ring.memory(), &mut piece)?;
                    self.output.offer(piece);
                }
                None => {
                    let Some(head) = ring.pop(&mut self.chain)? else {
                        break;
                    };
                    let buffer = std::mem::take(&mut self.chain.readable);
                    counters.count(u64::from(buffer.length()));
                    self.current = Some((head, buffer));
                }
            }
            worked = true;
        }
        Ok(worked)
    }

    fn events(&self) -> Vec<RawFd> {
        vec![self.output.event()]
    }
}
