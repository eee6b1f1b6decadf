//! The streams between the program and the outside: those that `exo` was started with.
//!
//! Standard input and output go through the virtio console, which the first process drives; its buffers lie in the family's heap, so that every process
//! reads and writes them itself. Standard error, where it leads elsewhere than standard output, goes out by a port.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use exo_abi::environment::EnvironmentId;
use exo_abi::function::QueueService;
use exo_abi::virtio::DEVICE_CONSOLE;
use exo_drivers::console::{Console as Device, Received};
use exo_drivers::queue::BadAnswer;
use exo_drivers::transport::Transport;
use exo_rt::{console, environment, family};
use linux_raw_sys::general::{POLLERR, POLLIN, POLLOUT};

use crate::calls::program::Buffer;
use crate::errno::{Errno, Result};
use crate::wait::{self, WaitQueue};

/// Bytes that are moved at a time.
const PIECE: usize = 2048;

/// The seat of the process that drives the device: the first.
const DRIVER_SEAT: usize = 0;

/// One of the streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard input.
    Input,
    /// Standard output.
    Output,
    /// Standard error.
    Errors,
}

/// All of them.
pub struct Console {
    device: RefCell<Option<Device>>,
    /// The environment that gets the device's interrupts.
    driver: EnvironmentId,
    /// Whether standard error leads where standard output does.
    one_output: bool,
    /// Interrupts that were seen.
    seen: Cell<u64>,
    /// How often something was received.
    pub receptions: Cell<u64>,
    /// Who waits for input.
    pub received: Rc<WaitQueue>,
    /// Who waits for room.
    pub taken: Rc<WaitQueue>,
}

impl core::fmt::Debug for Console {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("console")
    }
}

/// A device that answers nonsense is as good as none.
impl From<BadAnswer> for Errno {
    fn from(_: BadAnswer) -> Self {
        Self::EIO
    }
}

impl Console {
    /// Binds the virtio console of this environment, if it has one; what is written goes out by ports else.
    pub fn open(one_output: bool) -> Rc<Self> {
        let device = Transport::find(DEVICE_CONSOLE, 0)
            .and_then(|function| Device::open(function, QueueService::Events))
            .ok();
        if let Some(device) = &device {
            device.set_output_interrupts(false);
        }
        Rc::new(Self {
            device: RefCell::new(device),
            driver: environment::id(),
            one_output,
            seen: Cell::new(0),
            receptions: Cell::new(0),
            received: WaitQueue::new(),
            taken: WaitQueue::new(),
        })
    }

    /// Columns and rows of the terminal, if it has said.
    pub fn size(&self) -> (u16, u16) {
        let device = self.device.borrow();
        device.as_ref().map_or((0, 0), Device::size)
    }

    /// Whether it has said that since this was asked last.
    pub fn has_new_size(&self) -> bool {
        let mut device = self.device.borrow_mut();
        device.as_mut().is_some_and(Device::has_new_size)
    }

    /// Whether the device may have interrupted since [`Self::take_news`]. True for nobody but the process that drives it.
    pub fn has_news(&self) -> bool {
        self.is_driver() && (environment::events() != self.seen.get() || self.is_due())
    }

    fn is_driver(&self) -> bool {
        self.driver == environment::id()
    }

    fn is_due(&self) -> bool {
        self.device.borrow().as_ref().is_some_and(Device::is_due)
    }

    /// Lets `user` use the device, if there is one. Doorbells are for the driver, which is woken where one is to be rung.
    fn with_device<R>(&self, user: impl FnOnce(&mut Device) -> R) -> Option<R> {
        let mut device = self.device.borrow_mut();
        let device = device.as_mut()?;
        device.set_has_doorbells(self.is_driver());
        let result = user(device);
        if device.is_due() {
            family::wake(DRIVER_SEAT, self.driver);
        }
        Some(result)
    }

    /// The same, and from now on only of what comes later.
    pub fn take_news(&self) -> bool {
        let has_news = self.has_news();
        if has_news {
            self.seen.set(environment::events());
        }
        has_news
    }

    /// Lets those go on who wait for what the device has done meanwhile.
    pub fn serve(&self) {
        self.with_device(Device::ring_due);
        if !self.received.is_empty() && self.has_input() {
            self.tell_received();
        }
        if self.taken.is_empty() {
            return;
        }
        let mut device = self.device.borrow_mut();
        let Some(device) = device.as_mut() else {
            return;
        };
        if device.reclaim().is_err() || device.room() != 0 {
            device.set_output_interrupts(false);
            self.taken.wake_all();
        }
    }

    /// Whether a read gives something at once, the end included.
    fn has_input(&self) -> bool {
        self.with_device(|device| device.has_received().unwrap_or(true))
            .unwrap_or(true)
    }

    /// Takes what has been received; none at the end.
    pub fn receive(&self, into: &mut [u8]) -> Received {
        match self.with_device(|device| device.receive(into)) {
            Some(Ok(received)) => received,
            Some(Err(_)) | None => Received::End,
        }
    }

    /// Sends bytes to standard output as far as there is room; how many.
    pub fn send(&self, bytes: &[u8]) -> Result<usize> {
        let sent = self.with_device(|device| {
            let sent = device.send(bytes)?;
            match device.error() {
                0 => Ok(sent),
                number => Err(Errno(number)),
            }
        });
        sent.unwrap_or_else(|| {
            console::write(bytes);
            Ok(bytes.len())
        })
    }

    /// Bytes that can be sent at once.
    pub fn room(&self) -> usize {
        let mut device = self.device.borrow_mut();
        let Some(device) = device.as_mut() else {
            return PIECE;
        };
        match device.reclaim() {
            Ok(_) => device.room() as usize,
            Err(_) => PIECE,
        }
    }

    /// The same; where there is none, an interrupt tells of some.
    pub fn room_or_interrupt(&self) -> usize {
        match self.room() {
            0 => {
                if let Some(device) = self.device.borrow().as_ref() {
                    device.set_output_interrupts(true);
                }
                // What came before the device knew has no interrupt.
                self.room()
            }
            room => room,
        }
    }

    /// Lets those go on who wait for input.
    pub fn tell_received(&self) {
        self.receptions.set(self.receptions.get() + 1);
        self.received.wake_all();
    }

    /// Waits until everything that was sent is written; why some was not.
    pub fn finish(&self) -> Result<()> {
        let mut device = self.device.borrow_mut();
        let Some(device) = device.as_mut() else {
            return Ok(());
        };
        device.set_output_interrupts(true);
        device.write(&[])?;
        match device.error() {
            0 => Ok(()),
            number => Err(Errno(number)),
        }
    }

    /// Reads from a stream.
    pub fn read(&self, stream: Stream, buffer: &mut Buffer, now: bool) -> wait::Result<()> {
        if stream != Stream::Input {
            return Err(Errno::EBADF.into());
        }
        let mut piece = [0; PIECE];
        while buffer.left() != 0 {
            let most = buffer.left().min(PIECE as u64) as usize;
            match self.receive(piece.get_mut(..most).unwrap_or_default()) {
                Received::Bytes(bytes) => buffer.put(piece.get(..bytes).unwrap_or_default())?,
                Received::Nothing if buffer.moved() == 0 && now => {
                    return Err(Errno::EAGAIN.into());
                }
                Received::Nothing if buffer.moved() == 0 => {
                    return Err(buffer.wait(&self.received));
                }
                Received::Nothing | Received::End => break,
            };
        }
        Ok(())
    }

    /// Writes to a stream.
    pub fn write(&self, stream: Stream, buffer: &mut Buffer, now: bool) -> wait::Result<()> {
        let by_port = match stream {
            Stream::Input => return Err(Errno::EBADF.into()),
            Stream::Output => false,
            Stream::Errors => !self.one_output,
        };
        let mut piece = [0; PIECE];
        while buffer.left() != 0 {
            let room = match by_port {
                true => PIECE,
                false => self.room_or_interrupt().min(PIECE),
            };
            if room == 0 {
                return match (now, buffer.moved()) {
                    (true, 0) => Err(Errno::EAGAIN.into()),
                    (true, _) => Ok(()),
                    (false, _) => Err(buffer.wait(&self.taken)),
                };
            }
            let bytes = buffer.take(piece.get_mut(..room).unwrap_or_default())?;
            let bytes = piece.get(..bytes).unwrap_or_default();
            if by_port {
                console::write_error(bytes);
            } else {
                self.send(bytes)?;
            }
        }
        Ok(())
    }

    /// What can be done with a stream without waiting.
    pub fn readiness(&self, stream: Stream) -> u32 {
        match stream {
            Stream::Input if self.has_input() => POLLIN,
            Stream::Input => 0,
            Stream::Errors if !self.one_output => POLLOUT,
            Stream::Output | Stream::Errors => self.readiness_to_write(),
        }
    }

    /// What can be done with standard output.
    pub fn readiness_to_write(&self) -> u32 {
        let room = self.room_or_interrupt();
        let device = self.device.borrow();
        match device.as_ref().map_or(0, Device::error) {
            0 if room != 0 => POLLOUT,
            0 => 0,
            _ => POLLOUT | POLLERR,
        }
    }

    /// Adds the queues that tell of changes.
    pub fn queues(&self, queues: &mut Vec<Rc<WaitQueue>>) {
        queues.push(self.received.clone());
        queues.push(self.taken.clone());
    }
}
