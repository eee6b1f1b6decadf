//! A machine in miniature for tests: devices on a bus, and a kernel that drives the IOMMU.

use std::path::Path;
use std::sync::{Arc, Mutex};

use exo_abi::control::{Command, CommandStatus, ControlBlock};
use exo_abi::function::{
    FunctionRecord, PCI_COMMAND, PCI_COMMAND_BUS_MASTER, PCI_COMMAND_MEMORY, QueueService,
    queue_endpoint,
};
use exo_abi::virtio::{descriptor, feature, iommu, status};
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::EventFd;

use super::block::disk::Disk;
use super::driver::Driver;
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
        let attachments = devices.attach(0..0).unwrap();
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
        self.attach_endpoint(domain, self.record(number).address)
    }

    pub fn detach(&self, domain: u32, number: usize) -> u8 {
        self.detach_endpoint(domain, self.record(number).address)
    }

    pub fn attach_queue(&self, domain: u32, number: usize, queue: u32) -> u8 {
        let address = self.record(number).address;
        self.attach_endpoint(domain, queue_endpoint(address, queue))
    }

    pub fn detach_queue(&self, domain: u32, number: usize, queue: u32) -> u8 {
        let address = self.record(number).address;
        self.detach_endpoint(domain, queue_endpoint(address, queue))
    }

    pub fn attach_endpoint(&self, domain: u32, endpoint: u32) -> u8 {
        self.iommu(&words(&[1, domain, endpoint, 0, 0])).unwrap()
    }

    pub fn detach_endpoint(&self, domain: u32, endpoint: u32) -> u8 {
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
        self.attachments
            .handler
            .as_ref()
            .unwrap()
            .command(&mut block)
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
            number: 0,
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
