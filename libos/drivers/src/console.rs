//! Virtio console driver: one port, polled, for programs that read lines.

use exo_abi::function::QueueService;
use exo_rt::dma::DmaMemory;
use exo_rt::environment::{self, Function};
use exo_rt::gate;
use exo_rt::wait::Spinner;

use crate::queue::{BadAnswer, Part, Queue, RingLayout};
use crate::transport::{OpenError, Transport};

/// Queue that brings input (virtio 1.2, section 5.3.2).
const RECEIVE: u16 = 0;
/// Queue that takes output.
const TRANSMIT: u16 = 1;
/// Entries of each queue; one is in use at a time.
const QUEUE_SIZE: u16 = 2;
/// Bytes of the input and of the output buffer.
const BUFFER_SIZE: u64 = 4096;

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
}

impl Console {
    /// Binds a function and starts the device.
    pub fn open(function: Function, service: QueueService) -> Result<Self, OpenError> {
        let transport = Transport::bind(function)?;
        transport.negotiate(0)?;
        transport.set_configuration_vector(service)?;
        let open_queue = |index| {
            if transport.queue_size_limit(index) < QUEUE_SIZE {
                return Err(OpenError::Queue(index));
            }
            let memory = allocate(RingLayout::new(QUEUE_SIZE).bytes)?;
            transport.open_queue(index, QUEUE_SIZE, memory, service)
        };
        let receive = open_queue(RECEIVE)?;
        let transmit = open_queue(TRANSMIT)?;
        let (input, output) = (allocate(BUFFER_SIZE)?, allocate(BUFFER_SIZE)?);
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
        })
    }

    /// Writes bytes and waits until the device has taken them.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), BadAnswer> {
        for piece in bytes.chunks(BUFFER_SIZE as usize) {
            self.output.copy_in(0, piece);
            let part = Part {
                address: self.output.physical(0),
                length: piece.len() as u32,
                device_writes: false,
            };
            run(
                &mut self.transmit,
                &self.transport,
                TRANSMIT,
                part,
                self.service,
            )?;
            environment::count_requests(1, piece.len() as u64);
        }
        Ok(())
    }

    /// The next byte of input, for which it waits; `None` at its end.
    pub fn read_byte(&mut self) -> Result<Option<u8>, BadAnswer> {
        if self.ended {
            return Ok(None);
        }
        if self.position == self.filled {
            let part = Part {
                address: self.input.physical(0),
                length: BUFFER_SIZE as u32,
                device_writes: true,
            };
            let written = run(
                &mut self.receive,
                &self.transport,
                RECEIVE,
                part,
                self.service,
            )?;
            self.position = 0;
            self.filled = u64::from(written).min(BUFFER_SIZE);
            environment::count_requests(1, self.filled);
            // The device gives a buffer back with nothing in it once, at the end.
            self.ended = self.filled == 0;
            if self.ended {
                return Ok(None);
            }
        }
        let byte = self.input.read_u8(self.position);
        self.position += 1;
        Ok(Some(byte))
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

/// Does one request and waits for it.
fn run(
    queue: &mut Queue<DmaMemory>,
    transport: &Transport,
    index: u16,
    part: Part,
    service: QueueService,
) -> Result<u32, BadAnswer> {
    queue
        .add(&[part])
        .expect("the queue is empty between requests");
    if queue.publish() {
        transport.ring(index);
    }
    let mut spinner = Spinner::new();
    loop {
        let seen = environment::events();
        if let Some(used) = queue.take()? {
            return Ok(used.written);
        }
        match service {
            QueueService::Polled => spinner.relax(),
            QueueService::Events => {
                gate::environment_wait(seen).expect("a wait has nothing to refuse")
            }
        }
    }
}
