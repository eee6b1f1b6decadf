//! Virtio console driver: one port, whose bytes are sent and received as far as there is room, without waiting.

use alloc::collections::VecDeque;

use exo_abi::function::QueueService;
use exo_abi::virtio::console::CONFIGURATION_SIZE;
use exo_rt::dma::DmaMemory;
use exo_rt::environment::{self, Function};
use exo_rt::wait::Spinner;
use exo_rt::{gate, processor};

use crate::queue::{BadAnswer, Part, Queue, RingLayout};
use crate::transport::{OpenError, Transport};
use crate::virtio::feature;

/// Queue that brings input (virtio 1.2, section 5.3.2).
const RECEIVE: u16 = 0;
/// Queue that takes output.
const TRANSMIT: u16 = 1;
/// Entries of the input queue; one is in use at a time.
const RECEIVE_SIZE: u16 = 2;
/// Most entries of the output queue.
const TRANSMIT_SIZE: u16 = 64;
/// Bytes of the input buffer.
const INPUT_SIZE: u64 = 16 << 10;
/// Bytes of the output buffer, a ring.
const OUTPUT_SIZE: u64 = 64 << 10;

/// A console.
pub struct Console {
    transport: Transport,
    receive: Queue<DmaMemory>,
    transmit: Queue<DmaMemory>,
    input: DmaMemory,
    output: DmaMemory,
    service: QueueService,
    /// Bytes of `input` that were read, and bytes that it holds.
    position: u64,
    filled: u64,
    ended: bool,
    /// Bytes that were ever put into `output`, and those that the device has taken.
    sent: u64,
    taken: u64,
    /// Lengths of the pieces that the device has not taken yet.
    pieces: VecDeque<u32>,
    /// Why output was lost, as the host's error number.
    error: u32,
    /// Changes of the configuration that were seen.
    changes: u64,
    /// Whether whoever uses this now has the doorbells.
    has_doorbells: bool,
    /// Bit q: queue q is to be rung by whoever has them.
    due: u32,
}

/// What has been received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// Nothing, and nothing will come.
    End,
}

impl Console {
    /// Binds a function and starts the device.
    pub fn open(function: Function, service: QueueService) -> Result<Self, OpenError> {
        let transport = Transport::bind(function)?;
        transport.negotiate(feature::CONSOLE_SIZE)?;
        transport.set_configuration_vector(service)?;
        let open_queue = |index, size: u16| {
            let size = size.min(transport.queue_size_limit(index));
            if size < RECEIVE_SIZE {
                return Err(OpenError::Queue(index));
            }
            let memory = allocate(RingLayout::new(size).bytes)?;
            transport.open_queue(index, size, memory, service)
        };
        let receive = open_queue(RECEIVE, RECEIVE_SIZE)?;
        let transmit = open_queue(TRANSMIT, TRANSMIT_SIZE)?;
        let (input, output) = (allocate(INPUT_SIZE)?, allocate(OUTPUT_SIZE)?);
        transport.start();
        Ok(Self {
            transport,
            receive,
            transmit,
            input,
            output,
            service,
            position: 0,
            filled: 0,
            ended: false,
            sent: 0,
            taken: 0,
            pieces: VecDeque::new(),
            error: 0,
            changes: 0,
            has_doorbells: true,
            due: 0,
        })
    }

    /// Says whether whoever uses this from now on has the doorbells mapped; one of several environments that share it has.
    pub fn set_has_doorbells(&mut self, has: bool) {
        self.has_doorbells = has;
    }

    /// Whether something is to be rung by whoever has the doorbells.
    pub fn is_due(&self) -> bool {
        self.due != 0
    }

    /// Rings what is due.
    pub fn ring_due(&mut self) {
        for queue in [RECEIVE, TRANSMIT] {
            if self.due >> queue & 1 != 0 {
                self.transport.ring(queue);
            }
        }
        self.due = 0;
    }

    fn ring(&mut self, queue: u16) {
        match self.has_doorbells {
            true => self.transport.ring(queue),
            false => self.due |= 1 << queue,
        }
    }

    /// Whether the size may have changed since this was asked last.
    pub fn has_new_size(&mut self) -> bool {
        let changes = self.transport.configuration_changes();
        core::mem::replace(&mut self.changes, changes) != changes
    }

    /// Columns and rows of the terminal behind it; 0 where there is none.
    pub fn size(&self) -> (u16, u16) {
        let word = self.transport.configuration_u64(CONFIGURATION_SIZE);
        (word as u16, (word >> 16) as u16)
    }

    /// The host's error number, if output was lost, else 0.
    pub fn error(&self) -> u32 {
        self.error
    }

    /// Whether an interrupt tells when the device has taken output. One always tells of input.
    pub fn set_output_interrupts(&self, wanted: bool) {
        self.transmit.set_interrupts(wanted);
        // Who looks next whether the device has taken something, looks after it knows.
        processor::fence();
    }

    /// Sends bytes as far as there is room; says how many.
    pub fn send(&mut self, bytes: &[u8]) -> Result<usize, BadAnswer> {
        self.reclaim()?;
        let mut rest = bytes;
        while !rest.is_empty() && self.room() != 0 {
            let place = self.sent % OUTPUT_SIZE;
            let most = self.room().min(OUTPUT_SIZE - place) as usize;
            let (piece, later) = rest.split_at(most.min(rest.len()));
            self.output.copy_in(place, piece);
            let part = Part {
                address: self.output.physical(place),
                length: piece.len() as u32,
                device_writes: false,
            };
            self.transmit
                .add(&[part])
                .expect("there is a descriptor where there is room");
            self.pieces.push_back(part.length);
            self.sent += piece.len() as u64;
            rest = later;
        }
        if self.transmit.publish() {
            self.ring(TRANSMIT);
        }
        Ok(bytes.len() - rest.len())
    }

    /// Bytes that can be sent now, or will be when the device has taken what it was given.
    pub fn room(&self) -> u64 {
        match self.transmit.room() {
            0 => 0,
            _ => OUTPUT_SIZE - (self.sent - self.taken),
        }
    }

    /// Looks what the device has taken; says whether that is everything.
    pub fn reclaim(&mut self) -> Result<bool, BadAnswer> {
        while let Some(used) = self.transmit.take()? {
            // The device takes pieces in order.
            let length = self.pieces.pop_front();
            let length = u64::from(length.ok_or(BadAnswer(used.head.into()))?);
            self.taken += length;
            // A buffer that the device only reads comes back with length 0, or with why it was lost.
            self.error = used.written;
            environment::count_requests(1, length);
        }
        Ok(self.pieces.is_empty())
    }

    /// Takes what has been received, and asks for more when there is nothing left.
    pub fn receive(&mut self, into: &mut [u8]) -> Result<Received, BadAnswer> {
        if !self.has_received()? {
            return Ok(Received::Nothing);
        }
        if self.ended {
            return Ok(Received::End);
        }
        let bytes = ((self.filled - self.position) as usize).min(into.len());
        if let Some(into) = into.get_mut(..bytes) {
            self.input.copy_out(self.position, into);
        }
        self.position += bytes as u64;
        Ok(Received::Bytes(bytes))
    }

    /// Whether [`Self::receive`] has something to give, the end included.
    pub fn has_received(&mut self) -> Result<bool, BadAnswer> {
        if self.ended || self.position != self.filled {
            return Ok(true);
        }
        if self.receive.in_flight() == 0 {
            let part = Part {
                address: self.input.physical(0),
                length: INPUT_SIZE as u32,
                device_writes: true,
            };
            self.receive
                .add(&[part])
                .expect("the queue is empty between requests");
            if self.receive.publish() {
                self.ring(RECEIVE);
            }
        }
        let Some(used) = self.receive.take()? else {
            return Ok(false);
        };
        self.position = 0;
        self.filled = u64::from(used.written).min(INPUT_SIZE);
        environment::count_requests(1, self.filled);
        // The device gives a buffer back with nothing in it once, at the end.
        self.ended = self.filled == 0;
        Ok(true)
    }

    /// Writes bytes and waits until the device has taken them.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BadAnswer> {
        let mut rest = bytes;
        let mut wait = Waiting::new(self.service);
        loop {
            let sent = self.send(rest)?;
            rest = rest.get(sent..).unwrap_or_default();
            if self.reclaim()? && rest.is_empty() {
                return Ok(());
            }
            wait.relax();
        }
    }

    /// The next byte of input, for which it waits; `None` at its end.
    pub fn read_byte(&mut self) -> Result<Option<u8>, BadAnswer> {
        let mut byte = [0];
        let mut wait = Waiting::new(self.service);
        loop {
            match self.receive(&mut byte)? {
                Received::Bytes(_) => return Ok(byte.first().copied()),
                Received::End => return Ok(None),
                Received::Nothing => wait.relax(),
            }
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // The rings are about to leave the DMA domain.
        self.transport.reset();
    }
}

fn allocate(bytes: u64) -> Result<DmaMemory, OpenError> {
    DmaMemory::allocate(bytes).map_err(|error| OpenError::Refused("map memory for DMA", error))
}

/// Waits for the device between two looks at what it has done.
struct Waiting {
    service: QueueService,
    spinner: Spinner,
    seen: u64,
}

impl Waiting {
    fn new(service: QueueService) -> Self {
        Self {
            service,
            spinner: Spinner::new(),
            seen: environment::events(),
        }
    }

    /// Waits for an event since it was called last, at which the caller looks again.
    fn relax(&mut self) {
        match self.service {
            QueueService::Polled => self.spinner.relax(),
            QueueService::Events => {
                gate::environment_wait(self.seen).expect("a wait has nothing to refuse");
                self.seen = environment::events();
            }
        }
    }
}
