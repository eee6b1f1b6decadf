//! virtio-console (virtio 1.2, section 5.3) with one port: a stream in, a stream out.
//!
//! Input is read only once a driver has started the receive queue, so that a guest that wants none leaves it alone. At
//! the end of the input the driver gets one buffer back with nothing in it. A buffer of output is given back when it is
//! written; output that nobody takes holds up this queue, and no other.

mod input;
mod output;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::RawFd;
use std::sync::Arc;

use exo_abi::function::{QueueService, StopReason};
use exo_abi::virtio::DEVICE_CONSOLE;

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
const PIECE: usize = 4096;

/// A console.
pub struct Console {
    input: Arc<Input>,
    output: Arc<Output>,
}

impl Console {
    /// A console over these streams.
    pub fn new(input: Box<dyn Read + Send>, output: Box<dyn Write + Send>) -> io::Result<Self> {
        Ok(Self {
            input: Arc::new(Input::new(input)?),
            output: Arc::new(Output::new(output)?),
        })
    }
}

impl VirtioDevice for Console {
    fn device_type(&self) -> u32 {
        DEVICE_CONSOLE
    }

    fn features(&self) -> u64 {
        0
    }

    fn queue_size_max(&self) -> u16 {
        QUEUE_SIZE_MAX
    }

    /// No field has a meaning without a feature that we do not offer.
    fn read_configuration(&self, _offset: u64, _data: &mut [u8]) {}

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
        self.input.start()?;
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
                    ring.push(*head, 0)?;
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
