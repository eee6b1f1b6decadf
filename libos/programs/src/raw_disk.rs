//! A block device driven by hand: every descriptor and index may be as wrong as the attack wants it.

use alloc::format;
use alloc::string::{String, ToString};

use exo_drivers::queue::RingLayout;
use exo_drivers::transport::{QueueSetup, Transport};
use exo_drivers::virtio::{DEVICE_BLOCK, NO_VECTOR, block, descriptor, feature, status};
use exo_rt::abi::function::{QueueService, StopReason};
use exo_rt::abi::layout::KERNEL_DATA;
use exo_rt::dma::DmaMemory;
use exo_rt::{processor, tables, window};

use crate::Verdict;
use crate::victim::Victim;

/// Entries of the queue.
pub const SIZE: u16 = 16;
/// Offset of the request header in the memory, behind the rings.
pub const HEADER: u64 = 0x1000;
/// Offset of the status byte.
pub const STATUS: u64 = 0x1100;
/// Offset of an indirect table.
pub const TABLE: u64 = 0x2000;
/// Offset of the data.
pub const DATA: u64 = 0x3000;
/// Bytes of data.
pub const DATA_SIZE: u64 = 0x1000;
/// All of it.
const MEMORY_SIZE: u64 = DATA + DATA_SIZE;
/// Looks at the used ring and the device status before the device counts as hung.
const LOOKS_MAX: u32 = 200_000;

/// A descriptor (virtio 1.2, section 2.7.5).
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    /// Physical address.
    pub address: u64,
    /// Bytes.
    pub length: u32,
    /// Flags.
    pub flags: u16,
    /// Next of the chain.
    pub next: u16,
}

/// What the device did with what it was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It finished a request: its status byte.
    Finished(u8),
    /// It stopped the queue.
    Stopped(StopReason),
}

/// The device and its memory.
pub struct RawDisk {
    /// The function.
    pub transport: Transport,
    /// Rings, header, table, data.
    pub memory: DmaMemory,
    /// How the VMM serves the queue.
    pub service: QueueService,
    layout: RingLayout,
    offered: u16,
}

impl RawDisk {
    /// Attacks this environment's first disk twice: served by the event loop, and by a polling thread.
    pub fn for_each_service(mut attack: impl FnMut(&mut Self) -> Verdict) -> Verdict {
        let mut disk = Self::open(QueueService::Events)?;
        attack(&mut disk).map_err(|error| format!("events: {error}"))?;
        disk.service = QueueService::Polled;
        disk.restart()?;
        attack(&mut disk).map_err(|error| format!("polled: {error}"))
    }

    /// Binds this environment's first disk and starts it.
    pub fn open(service: QueueService) -> Result<Self, String> {
        let function = Transport::find(DEVICE_BLOCK, 0).map_err(|error| error.to_string())?;
        let transport = Transport::bind(function).map_err(|error| error.to_string())?;
        let memory = DmaMemory::allocate(MEMORY_SIZE).map_err(|error| error.to_string())?;
        let mut disk = Self {
            transport,
            memory,
            service,
            layout: RingLayout::new(SIZE),
            offered: 0,
        };
        disk.restart()?;
        Ok(disk)
    }

    /// Resets the device and sets it up as it should be.
    pub fn restart(&mut self) -> Result<(), String> {
        let setup = self.setup();
        self.restart_with(&setup)
    }

    /// Resets the device and sets it up as told.
    pub fn restart_with(&mut self, setup: &QueueSetup) -> Result<(), String> {
        self.transport
            .negotiate(feature::INDIRECT)
            .map_err(|error| error.to_string())?;
        self.transport.clear_configuration_vector();
        for offset in (0..HEADER).step_by(8) {
            self.memory.write_u64(offset, 0);
        }
        self.offered = 0;
        self.transport.enable_queue(setup);
        self.transport.start();
        Ok(())
    }

    /// Physical addresses that the function may not reach, and what they are.
    pub fn addresses_out_of_reach(&self, victim: &Victim) -> [(&'static str, u64); 6] {
        let record = self.transport.function.entry.record;
        [
            ("the victim's memory", victim.physical()),
            ("the kernel's memory", KERNEL_DATA),
            ("a device", record.registers),
            ("behind the end of memory", tables::memory_end()),
            ("the end of the address space", u64::MAX - 0xfff),
            (
                "own memory that is not in the domain",
                window::physical(window::grant_start()).unwrap_or(0),
            ),
        ]
    }

    /// The set-up as it should be.
    pub fn setup(&self) -> QueueSetup {
        let addresses = [
            self.layout.descriptors,
            self.layout.available,
            self.layout.used,
        ]
        .map(|offset| self.memory.physical(offset));
        QueueSetup {
            index: 0,
            size: SIZE,
            addresses,
            service: self.service,
            vector: NO_VECTOR,
        }
    }

    /// Writes descriptor `index` of the ring.
    pub fn write(&self, index: u16, descriptor: Descriptor) {
        self.write_at(u64::from(index) * descriptor::SIZE, descriptor);
    }

    /// Writes descriptor `index` of the indirect table.
    pub fn write_to_table(&self, index: u16, descriptor: Descriptor) {
        self.write_at(TABLE + u64::from(index) * descriptor::SIZE, descriptor);
    }

    fn write_at(&self, offset: u64, descriptor: Descriptor) {
        self.memory.write_u64(offset, descriptor.address);
        self.memory.write_u32(offset + 8, descriptor.length);
        self.memory.write_u16(offset + 12, descriptor.flags);
        self.memory.write_u16(offset + 14, descriptor.next);
    }

    /// The three descriptors of an honest request: header, data, status. The header is written too.
    pub fn request(&self, kind: u32, sector: u64) -> [Descriptor; 3] {
        self.memory.write_u32(HEADER, kind);
        self.memory.write_u32(HEADER + 4, 0);
        self.memory.write_u64(HEADER + 8, sector);
        self.memory.write_u8(STATUS, 0xff);
        let data_flags = if kind == block::IN {
            descriptor::WRITE
        } else {
            0
        };
        let at = |offset| self.memory.physical(offset);
        [
            Descriptor {
                address: at(HEADER),
                length: block::HEADER_SIZE,
                flags: descriptor::NEXT,
                next: 1,
            },
            Descriptor {
                address: at(DATA),
                length: DATA_SIZE as u32,
                flags: descriptor::NEXT | data_flags,
                next: 2,
            },
            Descriptor {
                address: at(STATUS),
                length: 1,
                flags: descriptor::WRITE,
                next: 0,
            },
        ]
    }

    /// Writes a chain to descriptors 0, 1, ... and offers it.
    pub fn offer_chain(&mut self, chain: &[Descriptor]) -> Result<Reaction, String> {
        for (index, descriptor) in chain.iter().enumerate() {
            self.write(index as u16, *descriptor);
        }
        self.offer(0)
    }

    /// Writes a chain to the indirect table and offers that. Links that leave the table are the attack's.
    pub fn offer_table(&mut self, chain: &[Descriptor]) -> Result<Reaction, String> {
        for (index, descriptor) in chain.iter().enumerate() {
            self.write_to_table(index as u16, *descriptor);
        }
        let length = (chain.len() as u64 * descriptor::SIZE) as u32;
        let address = self.memory.physical(TABLE);
        self.offer_chain(&[Descriptor {
            address,
            length,
            flags: descriptor::INDIRECT,
            next: 0,
        }])
    }

    /// Offers the chain that starts at descriptor `head`.
    pub fn offer(&mut self, head: u16) -> Result<Reaction, String> {
        let before = self.used();
        self.offer_all([head]);
        self.await_reaction(before)
    }

    /// Offers as many reads as the queue has descriptors for, all into the same data, and does not wait.
    pub fn offer_reads(&mut self) {
        let chain = self.request(block::IN, 0);
        let heads = (0..=SIZE - chain.len() as u16).step_by(chain.len());
        for head in heads.clone() {
            for (index, mut descriptor) in chain.into_iter().enumerate() {
                descriptor.next += head;
                self.write(head + index as u16, descriptor);
            }
        }
        self.offer_all(heads);
    }

    /// Offers the chains that start at these descriptors, and does not wait.
    fn offer_all(&mut self, heads: impl IntoIterator<Item = u16>) {
        for head in heads {
            let slot = u64::from(self.offered % SIZE);
            self.memory
                .write_u16(self.layout.available + 4 + 2 * slot, head);
            self.offered = self.offered.wrapping_add(1);
        }
        self.show_offered();
    }

    /// Raises the available index by `count`, rings, and waits for the reaction.
    pub fn advance(&mut self, count: u16) -> Result<Reaction, String> {
        let before = self.used();
        self.offered = self.offered.wrapping_add(count);
        self.show_offered();
        self.await_reaction(before)
    }

    /// Writes the available index and rings.
    fn show_offered(&self) {
        self.memory
            .store_index(self.layout.available + 2, self.offered);
        processor::fence();
        self.transport.ring(0);
    }

    /// Waits until the device has finished something or has stopped.
    pub fn await_reaction(&self, used_before: u16) -> Result<Reaction, String> {
        for _ in 0..LOOKS_MAX {
            if self.used() != used_before {
                return Ok(Reaction::Finished(self.memory.read_u8(STATUS)));
            }
            if self.transport.status() & status::NEEDS_RESET != 0 {
                let reason = self.transport.stop_reason(0);
                return reason
                    .map(Reaction::Stopped)
                    .ok_or_else(|| String::from("an unknown reason for the stop"));
            }
        }
        Err(String::from(
            "the device neither finished the request nor stopped",
        ))
    }

    /// Requests that the device has finished since it was started.
    pub fn used(&self) -> u16 {
        self.memory.load_index(self.layout.used + 2)
    }

    /// Fails unless the device did exactly this; then shows that after a reset it serves as before.
    pub fn expect(
        &mut self,
        what: &str,
        reaction: Result<Reaction, String>,
        due: Reaction,
    ) -> Verdict {
        match reaction {
            Ok(found) if found == due => {}
            Ok(found) => return Err(format!("{what}: {found:?}, not {due:?}")),
            Err(error) => return Err(format!("{what}: {error}; due was {due:?}")),
        }
        self.restart()?;
        self.expect_service(what)
    }

    /// Fails unless an honest read is served.
    pub fn expect_service(&mut self, what: &str) -> Verdict {
        let chain = self.request(block::IN, 0);
        match self.offer_chain(&chain) {
            Ok(Reaction::Finished(block::STATUS_OK)) => Ok(()),
            other => Err(format!("{what}: an honest read afterwards: {other:?}")),
        }
    }
}
