//! A guest in miniature for tests: a kernel that drives the IOMMU, and drivers that drive functions, over the bus.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use exo_abi::control::{Command, CommandStatus, ControlBlock};
use exo_abi::function::{
    COMMON_PAGE, DOORBELL_STRIDE, FunctionRecord, PCI_COMMAND, PCI_COMMAND_BUS_MASTER,
    PCI_COMMAND_MEMORY, QueueService, SERVICE_PAGE, STOP_REASONS, StopReason,
};
use exo_abi::virtio::{common, descriptor, feature, iommu, status};
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::EventFd;

use super::block::disk::Disk;
use super::{DeviceSpecification, Devices, FunctionSpecification};
use crate::machine::Attachments;
use crate::machine::interrupts::{InterruptRouter, Message};
use crate::memory::GuestMemory;

/// Memory of the miniature machine.
pub const MEMORY: u64 = 16 << 20;
/// Where the kernel's own queue lies.
const KERNEL: u64 = 0x10000;
/// Memory of the driver of function n: 1 MiB from here on.
const DRIVERS: u64 = 0x10_0000;

/// Routes that were installed, with their events.
#[derive(Default)]
pub struct Routes(Mutex<Vec<(u32, Message, EventFd)>>);

impl InterruptRouter for Routes {
    fn install(&self, route: u32, message: Message, event: &EventFd) -> std::io::Result<()> {
        let event = event.try_clone()?;
        self.0.lock().unwrap().push((route, message, event));
        Ok(())
    }
    fn remove(&self, _: u32, _: &EventFd) -> std::io::Result<()> {
        Ok(())
    }
}

impl Routes {
    /// Interrupts with this message since the last call.
    pub fn taken(&self, data: u32) -> u64 {
        let routes = self.0.lock().unwrap();
        let events = routes.iter().filter(|route| route.1.data == data);
        events.filter_map(|route| route.2.read().ok()).sum()
    }
}

/// The machine, with the kernel's part.
pub struct Board {
    pub memory: GuestMemory,
    pub devices: Devices,
    pub routes: Arc<Routes>,
    pub attachments: Attachments,
    kernel_requests: std::cell::Cell<u16>,
}

impl Board {
    /// One block function over each disk, with one queue.
    pub fn with_disks(disks: Vec<Arc<Disk>>) -> Self {
        let blocks = disks.into_iter().map(|disk| block(disk, None, false, 1));
        Self::new(blocks.collect())
    }

    pub fn new(specifications: Vec<FunctionSpecification>) -> Self {
        let memory = GuestMemory::from_ranges(&[(GuestAddress(0), MEMORY as usize)]).unwrap();
        let routes = Arc::new(Routes::default());
        let router: Arc<dyn InterruptRouter> = routes.clone();
        let devices = Devices::new(specifications, &memory, &router).unwrap();
        let attachments = devices.attach().unwrap();
        let board = Self {
            memory,
            devices,
            routes,
            attachments,
            kernel_requests: Default::default(),
        };
        board.start_iommu();
        board
    }

    pub fn record(&self, number: usize) -> FunctionRecord {
        self.attachments.functions[number]
    }

    pub fn store(&self, address: u64, data: &[u8]) {
        self.attachments.bus.write(address, data);
    }

    pub fn load(&self, address: u64, width: usize) -> u64 {
        let mut data = [0; 8];
        self.attachments.bus.read(address, &mut data[..width]);
        u64::from_le_bytes(data)
    }

    pub fn set_command(&self, number: usize, command: u16) {
        let place = self.record(number).configuration + PCI_COMMAND;
        self.store(place, &command.to_le_bytes());
    }

    fn start_iommu(&self) {
        self.set_command(0, PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER);
        let driver = Driver {
            board: self,
            number: 0,
            base: KERNEL,
        };
        assert!(driver.negotiate(feature::VERSION_1));
        driver.enable(0, 2, QueueService::Events);
        driver.set_status(status::DRIVER_OK);
    }

    /// A request to the IOMMU: its status, or `None` where the device did not answer.
    pub fn iommu(&self, request: &[u8]) -> Option<u8> {
        let driver = Driver {
            board: self,
            number: 0,
            base: KERNEL,
        };
        let (place, answer) = (KERNEL + 0x8000, KERNEL + 0x9000);
        let write = |data: &[u8], place| self.memory.write_slice(data, GuestAddress(place));
        write(request, place).unwrap();
        write(&[0xff; 64], answer).unwrap();
        driver.describe(0, 0, place, request.len() as u32, descriptor::NEXT, 1);
        driver.describe(0, 1, answer, 64, descriptor::WRITE, 0);
        let number = self.kernel_requests.get();
        self.kernel_requests.set(number.wrapping_add(1));
        driver.offer_at(0, 2, number, 0);
        driver.ring(0);
        if driver.used_index(0) != self.kernel_requests.get() {
            return None;
        }
        let length = driver.used(0, 2, number).1;
        let tail = GuestAddress(answer + u64::from(length) - iommu::ANSWER_SIZE);
        self.memory.read_obj(tail).ok()
    }

    pub fn attach(&self, domain: u32, number: usize) -> u8 {
        let endpoint = self.record(number).address;
        self.iommu(&words(&[1, domain, endpoint, 0, 0])).unwrap()
    }

    pub fn detach(&self, domain: u32, number: usize) -> u8 {
        let endpoint = self.record(number).address;
        self.iommu(&words(&[2, domain, endpoint, 0, 0])).unwrap()
    }

    pub fn map(&self, domain: u32, first: u64, bytes: u64, flags: u32) -> u8 {
        self.map_raw(
            domain,
            first,
            first.wrapping_add(bytes).wrapping_sub(1),
            first,
            flags,
        )
    }

    pub fn map_raw(&self, domain: u32, first: u64, last: u64, physical: u64, flags: u32) -> u8 {
        let mut request = words(&[3, domain]);
        for long in [first, last, physical] {
            request.extend(long.to_le_bytes());
        }
        request.extend(flags.to_le_bytes());
        self.iommu(&request).unwrap()
    }

    pub fn unmap(&self, domain: u32, first: u64, bytes: u64) -> u8 {
        let mut request = words(&[4, domain]);
        request.extend(first.to_le_bytes());
        request.extend((first + bytes - 1).to_le_bytes());
        request.extend([0; 4]);
        self.iommu(&request).unwrap()
    }

    pub fn control(&self, command: Command, arguments: [u64; 4]) -> CommandStatus {
        let mut block = ControlBlock {
            command: command as u64,
            ..Default::default()
        };
        block.arguments[..4].copy_from_slice(&arguments);
        self.attachments.handler.as_ref().unwrap().command(&block)
    }

    /// A driver of function `number`, in domain `number`, whose memory is mapped.
    pub fn bind(&self, number: usize) -> Driver<'_> {
        let domain = number as u32;
        assert_eq!(self.attach(domain, number), 0);
        let driver = self.driver(number);
        assert_eq!(self.map(domain, driver.base, 0x10_0000, 3), 0);
        self.set_command(number, PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER);
        driver
    }

    /// The same, with nothing done yet.
    pub fn driver(&self, number: usize) -> Driver<'_> {
        Driver {
            board: self,
            number,
            base: DRIVERS * number as u64,
        }
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub fn block(
    disk: Arc<Disk>,
    extent: Option<(u64, u64)>,
    read_only: bool,
    queues: u32,
) -> FunctionSpecification {
    FunctionSpecification {
        name: "disk".into(),
        device: DeviceSpecification::Block {
            disk,
            extent,
            read_only,
            queues,
        },
    }
}

/// A file-backed disk with `bytes`.
pub fn file_disk(folder: &Path, bytes: &[u8]) -> Arc<Disk> {
    let path = folder.join("disk");
    std::fs::write(&path, bytes).unwrap();
    Arc::new(Disk::open(&path, false).unwrap())
}

/// The driver of one function. Queue q has its rings at `base + q * 0x4000`, its buffers where the test likes.
#[derive(Clone, Copy)]
pub struct Driver<'a> {
    pub board: &'a Board,
    pub number: usize,
    pub base: u64,
}

pub const SIZE: u16 = 16;

impl Driver<'_> {
    pub fn memory(&self) -> &GuestMemory {
        &self.board.memory
    }

    pub fn registers(&self) -> u64 {
        self.board.record(self.number).registers + COMMON_PAGE
    }

    pub fn set(&self, register: u64, width: usize, value: u64) {
        let bytes = value.to_le_bytes();
        self.board
            .store(self.registers() + register, &bytes[..width]);
    }

    pub fn get(&self, register: u64, width: usize) -> u64 {
        self.board.load(self.registers() + register, width)
    }

    pub fn status(&self) -> u8 {
        self.get(common::STATUS, 1) as u8
    }

    /// Sets bits of the status.
    pub fn set_status(&self, bits: u8) {
        let old = self.status();
        self.set(common::STATUS, 1, u64::from(old | bits));
    }

    /// True where the device accepts these features.
    pub fn negotiate(&self, features: u64) -> bool {
        self.set(common::STATUS, 1, 0);
        assert_eq!(self.status(), 0);
        self.set_status(status::ACKNOWLEDGE | status::DRIVER);
        for half in 0..2 {
            self.set(common::DRIVER_FEATURE_SELECT, 4, half);
            self.set(
                common::DRIVER_FEATURE,
                4,
                features >> (32 * half) & 0xffff_ffff,
            );
        }
        self.set_status(status::FEATURES_OK);
        self.status() & status::FEATURES_OK != 0
    }

    fn queue_base(&self, queue: u16) -> u64 {
        self.base + 0x4000 * u64::from(queue)
    }

    pub fn descriptors(&self, queue: u16) -> u64 {
        self.queue_base(queue)
    }

    pub fn available(&self, queue: u16) -> u64 {
        self.queue_base(queue) + 0x2000
    }

    pub fn used_ring(&self, queue: u16) -> u64 {
        self.queue_base(queue) + 0x3000
    }

    /// Enables a queue where this driver keeps it.
    pub fn enable(&self, queue: u16, size: u16, service: QueueService) {
        let service_page = self.board.record(self.number).registers + SERVICE_PAGE * 4096;
        let place = service_page + 4 * u64::from(queue);
        self.board.store(place, &(service as u32).to_le_bytes());
        self.set(common::QUEUE_SELECT, 2, queue.into());
        self.set(common::QUEUE_SIZE, 2, size.into());
        self.set(common::QUEUE_DESCRIPTORS, 8, self.descriptors(queue));
        // Both ways that drivers use.
        let available = self.available(queue);
        self.set(common::QUEUE_AVAILABLE, 4, available & 0xffff_ffff);
        self.set(common::QUEUE_AVAILABLE + 4, 4, available >> 32);
        self.set(common::QUEUE_USED, 8, self.used_ring(queue));
        self.set(common::QUEUE_ENABLE, 2, 1);
    }

    /// Negotiates the usual features and starts queue 0.
    pub fn start(&self, service: QueueService) {
        let features = feature::VERSION_1 | feature::ACCESS_PLATFORM | feature::INDIRECT;
        assert!(self.negotiate(features));
        self.clear_rings(0);
        self.enable(0, SIZE, service);
        self.set_status(status::DRIVER_OK);
    }

    pub fn clear_rings(&self, queue: u16) {
        let zeros = [0; 0x4000];
        let place = GuestAddress(self.queue_base(queue));
        self.memory().write_slice(&zeros, place).unwrap();
    }

    pub fn stop_reason(&self, queue: u16) -> StopReason {
        let page = self.board.record(self.number).registers + SERVICE_PAGE * 4096;
        let place = page + STOP_REASONS + 4 * u64::from(queue);
        StopReason::from_number(self.board.load(place, 4) as u32).unwrap()
    }

    pub fn describe(
        &self,
        queue: u16,
        index: u16,
        address: u64,
        length: u32,
        flags: u16,
        next: u16,
    ) {
        let place = self.descriptors(queue) + 16 * u64::from(index);
        self.describe_at(place, address, length, flags, next);
    }

    /// Writes a descriptor anywhere.
    pub fn describe_at(&self, place: u64, address: u64, length: u32, flags: u16, next: u16) {
        let rest = u64::from(length) | u64::from(flags) << 32 | u64::from(next) << 48;
        for (offset, value) in [(0, address), (8, rest)] {
            self.memory()
                .write_obj(value, GuestAddress(place + offset))
                .unwrap();
        }
    }

    /// Makes chain `head` available as number `index`.
    pub fn offer_at(&self, queue: u16, size: u16, index: u16, head: u16) {
        let slot = self.available(queue) + 4 + 2 * u64::from(index % size);
        self.memory().write_obj(head, GuestAddress(slot)).unwrap();
        self.set_available_index(queue, index.wrapping_add(1));
    }

    pub fn set_available_index(&self, queue: u16, index: u16) {
        let place = GuestAddress(self.available(queue) + 2);
        let order = std::sync::atomic::Ordering::Release;
        self.memory().store(index, place, order).unwrap();
    }

    pub fn available_index(&self, queue: u16) -> u16 {
        self.memory()
            .read_obj(GuestAddress(self.available(queue) + 2))
            .unwrap()
    }

    /// Makes chain `head` available as the next.
    pub fn offer(&self, head: u16) {
        self.offer_at(0, SIZE, self.available_index(0), head);
    }

    pub fn used_index(&self, queue: u16) -> u16 {
        let order = std::sync::atomic::Ordering::Acquire;
        self.memory()
            .load(GuestAddress(self.used_ring(queue) + 2), order)
            .unwrap()
    }

    /// Used entry `index`: head and length.
    pub fn used(&self, queue: u16, size: u16, index: u16) -> (u32, u32) {
        let slot = self.used_ring(queue) + 4 + 8 * u64::from(index % size);
        let pair: u64 = self.memory().read_obj(GuestAddress(slot)).unwrap();
        (pair as u32, (pair >> 32) as u32)
    }

    /// Rings the doorbell, as KVM would have it rung.
    pub fn ring(&self, queue: u16) {
        let record = self.board.record(self.number);
        let place = record.doorbells + u64::from(DOORBELL_STRIDE) * u64::from(queue);
        let doorbells = &self.board.attachments.doorbells;
        match doorbells.iter().find(|(address, _)| *address == place) {
            Some((_, event)) => event.write(1).unwrap(),
            None => self.board.store(place, &queue.to_le_bytes()),
        }
    }

    /// Waits until `done`, or fails.
    pub fn wait(&self, what: &str, done: impl Fn() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{what} never came"
            );
            std::thread::yield_now();
        }
    }

    pub fn wait_used(&self, index: u16) {
        self.wait("a used buffer", || self.used_index(0) == index);
    }

    /// Waits until the queue has stopped, and returns why.
    pub fn wait_stopped(&self) -> StopReason {
        self.wait("a stop", || self.status() & status::NEEDS_RESET != 0);
        self.stop_reason(0)
    }

    /// Writes a request header to `place`.
    pub fn header(&self, place: u64, kind: u32, sector: u64) {
        self.memory()
            .write_obj(u64::from(kind), GuestAddress(place))
            .unwrap();
        self.memory()
            .write_obj(sector, GuestAddress(place + 8))
            .unwrap();
    }

    /// Where the request made of descriptors `first` and the two after it keeps its header; the status follows at 16.
    pub fn header_place(&self, first: u16) -> u64 {
        self.base + 0x8000 + 32 * u64::from(first)
    }

    /// A request of three descriptors: header, data, status.
    pub fn prepare(&self, first: u16, kind: u32, sector: u64, data: (u64, u32), data_flags: u16) {
        let place = self.header_place(first);
        self.header(place, kind, sector);
        self.memory()
            .write_obj(0xffu8, GuestAddress(place + 16))
            .unwrap();
        self.describe(0, first, place, 16, descriptor::NEXT, first + 1);
        self.describe(
            0,
            first + 1,
            data.0,
            data.1,
            data_flags | descriptor::NEXT,
            first + 2,
        );
        self.describe(0, first + 2, place + 16, 1, descriptor::WRITE, 0);
    }

    pub fn request_status(&self, first: u16) -> u8 {
        self.memory()
            .read_obj(GuestAddress(self.header_place(first) + 16))
            .unwrap()
    }

    /// Carries one request out and returns its status, or why the queue stopped.
    pub fn request(
        &self,
        kind: u32,
        sector: u64,
        data: (u64, u32),
        data_flags: u16,
    ) -> Result<u8, StopReason> {
        self.prepare(0, kind, sector, data, data_flags);
        self.submit(0)?;
        Ok(self.request_status(0))
    }

    /// Offers `head`, rings, and waits for the end.
    pub fn submit(&self, head: u16) -> Result<(), StopReason> {
        let index = self.used_index(0).wrapping_add(1);
        self.offer(head);
        self.ring(0);
        let stopped = || self.status() & status::NEEDS_RESET != 0;
        self.wait("an answer", || self.used_index(0) == index || stopped());
        match self.used_index(0) == index {
            true => Ok(()),
            false => Err(self.stop_reason(0)),
        }
    }

    pub fn bytes(&self, place: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.memory()
            .read_slice(&mut bytes, GuestAddress(place))
            .unwrap();
        bytes
    }
}
