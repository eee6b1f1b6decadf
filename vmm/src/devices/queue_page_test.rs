//! Queues of one function with an owner each: what one can do by its page, and what it cannot do to the others.

use std::sync::Arc;

use exo_abi::function::{
    MSIX_TABLE, PCI_COMMAND_BUS_MASTER, PCI_COMMAND_MEMORY, PCI_MSIX_CAPABILITY, PCI_MSIX_ENABLE,
    QueueService, REGISTER_PAGES, StopReason, queue_endpoint, queue_page,
};
use exo_abi::virtio::block::{CONFIGURATION_CAPACITY, HEADER_SIZE, IN, STATUS_OK};
use exo_abi::virtio::descriptor::{NEXT, WRITE};
use exo_abi::virtio::iommu::Status;
use exo_abi::virtio::{NO_VECTOR, common, feature, status};
use vm_memory::{Bytes, GuestAddress};

use super::block::disk::Disk;
use super::board::{Board, block, file_disk};
use super::driver::{Driver, SIZE};

/// The function's owner is domain 1; queue q belongs to domain 10 + q.
const QUEUES: u32 = 4;
const FEATURES: u64 = feature::VERSION_1 | feature::ACCESS_PLATFORM | feature::INDIRECT;

/// One queue of function 1 and who has bound it: its memory is the part of the driver's that holds this queue's rings.
struct Holder<'a> {
    driver: Driver<'a>,
    queue: u16,
}

fn board(disk: Arc<Disk>) -> Board {
    let functions = vec![
        block(disk.clone(), None, false, QUEUES),
        block(disk, None, false, 1),
    ];
    let board = Board::new(functions);
    let command = PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER;
    assert_eq!(board.attach(1, 1), 0);
    board.set_command(1, command);
    board
}

fn memory_board() -> Board {
    board(Arc::new(Disk::in_memory(64).unwrap()))
}

/// What the owner of the function does: features and status.
fn start_function(board: &Board) {
    let driver = board.driver(1);
    assert!(driver.negotiate(FEATURES));
    driver.set_status(status::DRIVER_OK);
}

fn holder(board: &Board, queue: u16) -> Holder<'_> {
    let domain = 10 + u32::from(queue);
    assert_eq!(board.attach_queue(domain, 1, queue.into()), 0);
    let holder = Holder {
        driver: Driver {
            base: 0x40_0000 + 0x10_0000 * u64::from(queue),
            ..board.driver(1)
        },
        queue,
    };
    assert_eq!(board.map(domain, holder.driver.base, 0x10_0000, 3), 0);
    holder
}

impl Holder<'_> {
    fn place(&self, register: u64) -> u64 {
        let record = self.driver.board.record(1);
        record.registers + (REGISTER_PAGES + u64::from(self.queue)) * 4096 + register
    }

    fn set(&self, register: u64, width: usize, value: u64) {
        let bytes = value.to_le_bytes();
        let board = self.driver.board;
        board.store(self.place(register), &bytes[..width]);
    }

    fn get(&self, register: u64, width: usize) -> u64 {
        self.driver.board.load(self.place(register), width)
    }

    fn reason(&self) -> StopReason {
        StopReason::from_number(self.get(queue_page::STOP_REASON, 4) as u32).unwrap()
    }

    fn is_enabled(&self) -> bool {
        self.get(common::QUEUE_ENABLE, 2) == 1
    }

    /// Ends the queue, and sets it up with its own page only.
    fn start(&self, service: QueueService) {
        let (driver, queue) = (&self.driver, self.queue);
        self.set(common::QUEUE_ENABLE, 2, 0);
        driver.clear_rings(queue);
        self.set(queue_page::SERVICE, 4, service as u64);
        self.set(common::QUEUE_SIZE, 2, SIZE.into());
        self.set(common::QUEUE_DESCRIPTORS, 8, driver.descriptors(queue));
        let available = driver.available(queue);
        self.set(common::QUEUE_AVAILABLE, 4, available & 0xffff_ffff);
        self.set(common::QUEUE_AVAILABLE + 4, 4, available >> 32);
        self.set(common::QUEUE_USED, 8, driver.used_ring(queue));
        self.set(common::QUEUE_ENABLE, 2, 1);
        assert!(self.is_enabled());
    }

    fn data(&self) -> u64 {
        self.driver.base + 0x2_0000
    }

    /// Offers a read of `bytes` from sector 0 to `place`.
    fn offer_read(&self, place: u64, bytes: u32) {
        let (driver, queue) = (&self.driver, self.queue);
        let header = self.data() - 0x1000;
        driver.header(header, IN, 0);
        driver.describe(queue, 0, header, HEADER_SIZE, NEXT, 1);
        driver.describe(queue, 1, place, bytes, WRITE | NEXT, 2);
        driver.describe(queue, 2, header + 16, 1, WRITE, 0);
        driver.offer_at(queue, SIZE, driver.available_index(queue), 0);
        driver.ring(queue);
    }

    fn read(&self, place: u64, bytes: u32) -> Result<u8, StopReason> {
        let (driver, queue) = (&self.driver, self.queue);
        let index = driver.used_index(queue).wrapping_add(1);
        self.offer_read(place, bytes);
        let stopped = || self.reason() != StopReason::None;
        driver.wait("an answer", || {
            driver.used_index(queue) == index || stopped()
        });
        match driver.used_index(queue) == index {
            true => Ok(driver.bytes(self.data() - 0x1000 + 16, 1)[0]),
            false => Err(self.reason()),
        }
    }

    fn read_own(&self) -> Result<u8, StopReason> {
        self.read(self.data(), 4096)
    }
}

#[test]
fn holders_of_queues_use_them_in_parallel_with_their_own_pages_only() {
    for service in [QueueService::Events, QueueService::Polled] {
        let board = memory_board();
        let holders = [0, 1, 2].map(|queue| holder(&board, queue));
        holders[0].set(common::QUEUE_ENABLE, 2, 1);
        assert!(!holders[0].is_enabled(), "features are not agreed on yet");
        assert!(board.driver(1).negotiate(FEATURES));
        for holder in &holders[..2] {
            holder.start(service); // runs once the function does
        }
        board.driver(1).set_status(status::DRIVER_OK);
        holders[2].start(service);
        for holder in &holders {
            assert_eq!(holder.get(queue_page::FEATURES, 8), FEATURES);
            assert_eq!(holder.get(queue_page::FEATURES + 4, 4), FEATURES >> 32);
            let capacity = queue_page::CONFIGURATION + CONFIGURATION_CAPACITY;
            assert_eq!(holder.get(capacity, 8), 64);
            assert_eq!(
                holder.get(common::STATUS, 1),
                u64::from(board.driver(1).status())
            );
        }
        for _ in 0..20 {
            for holder in &holders {
                assert_eq!(holder.read_own(), Ok(STATUS_OK), "{service}");
            }
        }
    }
}

#[test]
fn a_queue_reaches_what_its_own_domain_has_and_nothing_of_the_others() {
    let board = memory_board();
    start_function(&board);
    let (first, second) = (holder(&board, 0), holder(&board, 1));
    assert_eq!(board.map(1, 0xc0_0000, 0x1000, 3), 0, "the function's own");
    second.start(QueueService::Events);
    for place in [second.data(), 0xc0_0000, 0x10000, 0xc000_0000] {
        first.start(QueueService::Events);
        assert_eq!(first.read(place, 512), Err(StopReason::BufferAddress));
    }
    // Rings in the other's memory.
    first.set(common::QUEUE_ENABLE, 2, 0);
    first.set(common::QUEUE_SIZE, 2, SIZE.into());
    for register in [
        common::QUEUE_DESCRIPTORS,
        common::QUEUE_AVAILABLE,
        common::QUEUE_USED,
    ] {
        first.set(register, 8, second.driver.descriptors(1));
    }
    first.set(common::QUEUE_ENABLE, 2, 1);
    assert_eq!(first.reason(), StopReason::RingAddress);
    // Nobody else has noticed.
    assert_eq!(board.driver(1).status() & status::NEEDS_RESET, 0);
    assert_eq!(second.reason(), StopReason::None);
    assert_eq!(second.read_own(), Ok(STATUS_OK));
    first.start(QueueService::Polled);
    assert_eq!(first.read_own(), Ok(STATUS_OK));
}

#[test]
fn the_function_does_not_know_a_queue_that_is_bound_by_itself() {
    let board = memory_board();
    let owner = board.driver(1);
    start_function(&board);
    let holder = holder(&board, 1);
    holder.start(QueueService::Events);
    owner.set(common::QUEUE_SELECT, 2, 1);
    for (register, width) in [
        (common::QUEUE_SIZE, 2),
        (common::QUEUE_VECTOR, 2),
        (common::QUEUE_ENABLE, 2),
        (common::QUEUE_DESCRIPTORS, 8),
        (common::QUEUE_AVAILABLE, 4),
        (common::QUEUE_USED + 4, 4),
    ] {
        assert_eq!(owner.get(register, width), 0);
        owner.set(register, width, 1);
    }
    assert_eq!(holder.get(common::QUEUE_SIZE, 2), u64::from(SIZE));
    assert_eq!(holder.get(common::QUEUE_VECTOR, 2), u64::from(NO_VECTOR));
    assert_eq!(holder.read_own(), Ok(STATUS_OK));
    // Nor does its service page.
    owner.enable(1, 4, QueueService::Polled);
    assert_eq!(holder.get(queue_page::SERVICE, 4), 0);
    // What the owner had set up before does not run on in the holder's domain.
    assert_eq!(board.map(1, owner.base, 0x10_0000, 3), 0);
    owner.clear_rings(2);
    owner.enable(2, SIZE, QueueService::Events);
    let later = self::holder(&board, 2);
    assert!(!later.is_enabled());
    assert_eq!(later.get(common::QUEUE_DESCRIPTORS, 8), 0);
    assert_eq!(board.detach_queue(12, 1, 2), 0);
    owner.set(common::QUEUE_SELECT, 2, 2);
    assert_eq!(owner.get(common::QUEUE_ENABLE, 2), 0);
    assert_eq!(
        owner.get(common::QUEUE_SIZE, 2),
        256,
        "the function's again"
    );
}

#[test]
fn the_page_of_a_queue_that_is_not_bound_by_itself_does_nothing() {
    let board = memory_board();
    let owner = board.driver(1);
    assert_eq!(board.map(1, owner.base, 0x10_0000, 3), 0);
    owner.start(QueueService::Events);
    let page = Holder {
        driver: owner,
        queue: 0,
    };
    for register in (0..0x1000).step_by(4) {
        page.set(register, 4, u64::from(u32::MAX));
        assert_eq!(page.get(register, 4), 0, "{register:#x}");
    }
    page.set(common::QUEUE_ENABLE, 2, 0);
    assert_eq!(
        owner.request(IN, 0, (owner.base + 0x1_0000, 512), WRITE),
        Ok(STATUS_OK)
    );
    // Nor do pages of queues that are not there.
    for page in u64::from(QUEUES)..16 {
        let place = owner.registers() + (REGISTER_PAGES + page) * 4096;
        board.store(place + common::QUEUE_ENABLE, &[1, 0]);
    }
}

#[test]
fn odd_accesses_to_the_page_change_nothing() {
    let board = memory_board();
    start_function(&board);
    let holder = holder(&board, 0);
    holder.start(QueueService::Events);
    for register in 0..0x1000u64 {
        for width in [1, 2, 4, 8] {
            if (register, width) != (common::QUEUE_ENABLE, 2) {
                holder.set(register, width, u64::MAX);
                holder.set(register, width, 0);
                holder.get(register, width);
            }
        }
    }
    assert_eq!(holder.read_own(), Ok(STATUS_OK));
    assert_eq!(
        board.driver(1).status() & status::DRIVER_OK,
        status::DRIVER_OK
    );
    // An odd size stops the queue before it starts.
    holder.set(common::QUEUE_ENABLE, 2, 0);
    for size in [0, 3, 257, u16::MAX] {
        holder.set(common::QUEUE_SIZE, 2, size.into());
        holder.set(common::QUEUE_ENABLE, 2, 1);
        assert_eq!(holder.reason(), StopReason::QueueSize);
        holder.set(common::QUEUE_ENABLE, 2, 0);
        assert_eq!(holder.reason(), StopReason::None);
    }
}

/// Routes vector `vector` of function 1 as the kernel does.
fn route(board: &Board, vector: u64, data: u32) {
    let record = board.record(1);
    let entry = record.msix + MSIX_TABLE + 16 * vector;
    for (offset, value) in [(0, 0xfee0_0000), (4, 0), (8, data), (12, 0)] {
        board.store(entry + offset, &u32::to_le_bytes(value));
    }
    let control = record.configuration + PCI_MSIX_CAPABILITY + 2;
    board.store(control, &PCI_MSIX_ENABLE.to_le_bytes());
}

#[test]
fn a_queue_raises_its_own_vector_and_nobody_elses() {
    let board = memory_board();
    let owner = board.driver(1);
    for vector in 0..=u64::from(QUEUES) {
        route(&board, vector, 0x40 + vector as u32);
    }
    start_function(&board);
    // The owner lets a queue of its own, and itself, use the vector of queue 1; that ends when queue 1 is bound.
    owner.set(common::CONFIGURATION_VECTOR, 2, 2);
    owner.set(common::QUEUE_SELECT, 2, 3);
    owner.set(common::QUEUE_VECTOR, 2, 2);
    let holder = holder(&board, 1);
    assert_eq!(
        owner.get(common::CONFIGURATION_VECTOR, 2),
        u64::from(NO_VECTOR)
    );
    assert_eq!(owner.get(common::QUEUE_VECTOR, 2), u64::from(NO_VECTOR));
    owner.set(common::QUEUE_VECTOR, 2, 2);
    assert_eq!(owner.get(common::QUEUE_VECTOR, 2), u64::from(NO_VECTOR));
    owner.set(common::CONFIGURATION_VECTOR, 2, 0);
    holder.start(QueueService::Events);
    for vector in [0, 1, 3, 4, 5, 0x1_0002, NO_VECTOR.into()] {
        holder.set(common::QUEUE_VECTOR, 2, vector);
        let kept = vector == 0x1_0002; // of which two bytes are written
        let due = if kept { 2 } else { NO_VECTOR };
        assert_eq!(holder.get(common::QUEUE_VECTOR, 2), u64::from(due));
    }
    holder.set(common::QUEUE_VECTOR, 2, 2);
    assert_eq!(holder.read_own(), Ok(STATUS_OK));
    holder
        .driver
        .wait("an interrupt", || board.routes.taken(0x42) > 0);
    // Its stop is its own affair too.
    holder
        .driver
        .offer_at(1, SIZE, holder.driver.available_index(1), SIZE);
    holder.driver.ring(1);
    holder
        .driver
        .wait("an interrupt", || board.routes.taken(0x42) > 0);
    assert_eq!(holder.reason(), StopReason::DescriptorIndex);
    for other in [0x40, 0x41, 0x43, 0x44] {
        assert_eq!(board.routes.taken(other), 0);
    }
}

#[test]
fn who_resets_the_function_ends_its_queues_and_they_are_told() {
    let board = memory_board();
    route(&board, 1, 0x41);
    start_function(&board);
    let (running, idle) = (holder(&board, 0), holder(&board, 1));
    running.start(QueueService::Events);
    running.set(common::QUEUE_VECTOR, 2, 1);
    assert!(board.driver(1).negotiate(FEATURES));
    assert!(!running.is_enabled());
    assert_eq!(running.reason(), StopReason::Reset);
    assert_eq!(idle.reason(), StopReason::None);
    assert_eq!(board.routes.taken(0x41), 1);
    board.driver(1).set_status(status::DRIVER_OK);
    running.start(QueueService::Events);
    assert_eq!(running.read_own(), Ok(STATUS_OK));
}

#[test]
fn a_queue_that_leaves_its_domain_has_nothing_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    let board = board(file_disk(folder.path(), &[7; 2 << 20]));
    start_function(&board);
    let neighbour = holder(&board, 1);
    neighbour.start(QueueService::Events);
    for service in [QueueService::Events, QueueService::Polled] {
        for round in 1..10u8 {
            let holder = holder(&board, 0);
            let (place, bytes) = (0xa0_0000, 2 << 20);
            assert_eq!(board.map(10, place, bytes, 3), 0);
            holder.start(service);
            holder.offer_read(place, bytes as u32);
            neighbour.offer_read(neighbour.data(), 0x8_0000);
            if round % 2 == 0 {
                std::thread::yield_now();
            }
            assert_eq!(board.detach_queue(10, 1, 0), 0);
            // From here on the memory is somebody else's.
            let mark = vec![round; bytes as usize];
            let memory = &board.memory;
            memory.write_slice(&mark, GuestAddress(place)).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(1));
            assert!(holder.driver.bytes(place, mark.len()) == mark);
            assert_eq!(neighbour.reason(), StopReason::None);
        }
    }
    let index = neighbour.driver.available_index(1);
    let done = || neighbour.driver.used_index(1) == index;
    neighbour.driver.wait("the neighbour's reads", done);
}

#[test]
fn endpoints_of_queues_that_are_not_there_are_refused() {
    let board = memory_board();
    let none = Status::NoEntry as u8;
    assert_eq!(board.attach_queue(10, 1, QUEUES), none);
    assert_eq!(board.attach_queue(10, 2, 1), none);
    assert_eq!(board.attach_queue(10, 0, 0), none, "the IOMMU's own");
    let address = board.record(1).address;
    for endpoint in [address | 0xffff << 16, queue_endpoint(0x700, 0), u32::MAX] {
        assert_eq!(board.attach_endpoint(10, endpoint), none, "{endpoint:#x}");
    }
    assert_eq!(board.attach_queue(10, 1, 0), 0);
    assert_eq!(board.attach_queue(10, 1, 0), 0, "it is there already");
    assert_eq!(board.detach_queue(11, 1, 0), Status::Invalid as u8);
    assert_eq!(board.detach_queue(10, 1, 1), Status::Invalid as u8);
    assert_eq!(board.detach_queue(10, 1, 0), 0);
}
