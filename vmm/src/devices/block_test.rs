//! The block device as its driver sees it.

use std::sync::Arc;

use exo_abi::control::{Command, CommandStatus};
use exo_abi::function::QueueService;
use exo_abi::virtio::block::{
    DISCARD, FLUSH, IN, OUT, STATUS_IO_ERROR, STATUS_OK, STATUS_UNSUPPORTED,
};
use exo_abi::virtio::{common, descriptor, feature, status};
use vm_memory::{Bytes, GuestAddress};

use super::block::disk::{Disk, pattern};
use super::board::{Board, block, file_disk};
use super::driver::{Driver, SIZE};

fn memory_disk() -> Arc<Disk> {
    Arc::new(Disk::in_memory(64).unwrap())
}

fn expected(first_sector: u64, bytes: u64) -> Vec<u8> {
    let words = first_sector * 64..first_sector * 64 + bytes / 8;
    words.flat_map(|word| pattern(word).to_le_bytes()).collect()
}

fn data(driver: &Driver<'_>) -> u64 {
    driver.base + 0x1_0000
}

#[test]
fn reads_show_the_disk_in_both_modes() {
    for service in [QueueService::Events, QueueService::Polled] {
        let board = Board::with_disks(vec![memory_disk()]);
        let driver = board.bind(1);
        driver.start(service);
        let place = data(&driver);
        let read = |sector, bytes| driver.request(IN, sector, (place, bytes), descriptor::WRITE);
        assert_eq!(read(0, 4096), Ok(STATUS_OK));
        assert_eq!(driver.bytes(place, 4096), expected(0, 4096));
        assert_eq!(driver.used(0, SIZE, 0), (0, 4097));
        assert_eq!(read(63, 512), Ok(STATUS_OK));
        assert_eq!(driver.bytes(place, 512), expected(63, 512));
    }
}

#[test]
fn a_polled_queue_needs_no_doorbell_and_says_so() {
    let board = Board::with_disks(vec![memory_disk()]);
    let driver = board.bind(1);
    driver.start(QueueService::Polled);
    let flags: u16 = board
        .memory
        .read_obj(GuestAddress(driver.used_ring(0)))
        .unwrap();
    assert_eq!(flags, exo_abi::virtio::USED_NO_NOTIFY);
    for round in 0..100 {
        driver.prepare(0, IN, 1, (data(&driver), 512), descriptor::WRITE);
        driver.offer(0);
        driver.wait_used(round + 1);
        assert_eq!(driver.request_status(0), STATUS_OK);
    }
    let statistics = &board.devices.statistics()[1].queues[0];
    assert_eq!((statistics.doorbells, statistics.requests), (0, 100));
}

#[test]
fn many_requests_fly_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let disk = file_disk(folder.path(), &expected(0, 64 * 512));
    let board = Board::with_disks(vec![disk]);
    let driver = board.bind(1);
    driver.start(QueueService::Events);
    for round in 0..50u16 {
        for request in 0..5u16 {
            let place = data(&driver) + 4096 * u64::from(request);
            driver.prepare(
                3 * request,
                IN,
                8 * u64::from(request),
                (place, 4096),
                descriptor::WRITE,
            );
            driver.offer(3 * request);
        }
        driver.ring(0);
        driver.wait_used(5 * (round + 1));
        assert_eq!(driver.bytes(data(&driver), 5 * 4096), expected(0, 5 * 4096));
    }
}

#[test]
fn writes_reach_the_file_and_flush_and_discard_work() {
    let folder = tempfile::tempdir().unwrap();
    let board = Board::with_disks(vec![file_disk(folder.path(), &[7; 64 * 512])]);
    let driver = board.bind(1);
    driver.start(QueueService::Events);
    let place = data(&driver);
    board
        .memory
        .write_slice(&[9; 4096], GuestAddress(place))
        .unwrap();
    assert_eq!(driver.request(OUT, 8, (place, 4096), 0), Ok(STATUS_OK));
    // Not aligned for O_DIRECT.
    assert_eq!(driver.request(OUT, 3, (place + 1, 512), 0), Ok(STATUS_OK));
    driver.describe(0, 0, driver.header_place(0), 16, descriptor::NEXT, 2);
    driver.header(driver.header_place(0), FLUSH, 0);
    assert_eq!(driver.submit(0), Ok(()));
    assert_eq!(driver.request_status(0), STATUS_OK);
    let file = std::fs::read(folder.path().join("disk")).unwrap();
    assert_eq!(file[8 * 512..16 * 512], [9; 4096]);
    assert_eq!(file[3 * 512..4 * 512], [9; 512]);
    assert_eq!(file[4 * 512..8 * 512], [7; 2048]);
    board.memory.write_obj(40u64, GuestAddress(place)).unwrap();
    board
        .memory
        .write_obj(8u64, GuestAddress(place + 8))
        .unwrap();
    let answer = driver.request(DISCARD, 0, (place, 16), 0).unwrap();
    assert_eq!(answer, STATUS_OK);
    let file = std::fs::read(folder.path().join("disk")).unwrap();
    assert_eq!(file[40 * 512..48 * 512], [0; 4096]);
    assert_eq!(file[48 * 512..], [7; 16 * 512]);
}

#[test]
fn the_header_may_be_in_pieces_and_the_status_at_the_end_of_the_data() {
    let board = Board::with_disks(vec![memory_disk()]);
    let driver = board.bind(1);
    driver.start(QueueService::Events);
    let (header, place) = (driver.header_place(0), data(&driver));
    driver.header(header, IN, 2);
    driver.describe(0, 0, header, 5, descriptor::NEXT, 1);
    driver.describe(0, 1, header + 5, 11, descriptor::NEXT, 2);
    driver.describe(0, 2, place, 513, descriptor::WRITE, 0);
    assert_eq!(driver.submit(0), Ok(()));
    assert_eq!(driver.bytes(place, 512), expected(2, 512));
    assert_eq!(driver.bytes(place + 512, 1), [STATUS_OK]);
}

#[test]
fn requests_outside_the_extent_fail_and_touch_nothing() {
    let board = Board::new(vec![block(memory_disk(), Some((8, 8)), false, 1)]);
    let driver = board.bind(1);
    driver.start(QueueService::Events);
    assert_eq!(board.load(board.record(1).registers + 2 * 4096, 8), 8);
    let place = data(&driver);
    let read = |sector, bytes| driver.request(IN, sector, (place, bytes), descriptor::WRITE);
    assert_eq!(read(7, 512), Ok(STATUS_OK));
    assert_eq!(driver.bytes(place, 512), expected(15, 512));
    board
        .memory
        .write_slice(&[0xaa; 1024], GuestAddress(place))
        .unwrap();
    for (sector, bytes) in [
        (8, 512),
        (7, 1024),
        (u64::MAX, 512),
        (u64::MAX - 7, 512),
        (0, 511),
        (0, 1),
    ] {
        assert_eq!(read(sector, bytes), Ok(STATUS_IO_ERROR), "{sector} {bytes}");
    }
    assert_eq!(driver.bytes(place, 1024), [0xaa; 1024]);
    assert_eq!(driver.request(OUT, 8, (place, 512), 0), Ok(STATUS_IO_ERROR));
    assert_eq!(
        driver.request(0x7777, 0, (place, 512), 0),
        Ok(STATUS_UNSUPPORTED)
    );
}

#[test]
fn a_read_only_disk_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let disk = file_disk(folder.path(), &[7; 4096]);
    let board = Board::new(vec![block(disk, None, true, 1)]);
    let driver = board.bind(1);
    driver.start(QueueService::Events);
    assert_ne!(
        driver.get(common::DEVICE_FEATURE, 4) & feature::BLOCK_READ_ONLY,
        0
    );
    let place = data(&driver);
    assert_eq!(driver.request(OUT, 0, (place, 512), 0), Ok(STATUS_IO_ERROR));
    assert_eq!(
        driver.request(DISCARD, 0, (place, 16), 0),
        Ok(STATUS_IO_ERROR)
    );
    assert_eq!(
        std::fs::read(folder.path().join("disk")).unwrap(),
        [7; 4096]
    );
}

#[test]
fn the_kernel_can_change_the_extent() {
    let board = Board::with_disks(vec![memory_disk()]);
    let driver = board.bind(1);
    driver.start(QueueService::Events);
    let generation = driver.get(common::CONFIGURATION_GENERATION, 1);
    let set = |arguments| board.control(Command::ExtentSet, arguments);
    assert_eq!(set([1, 60, 4, 0]), CommandStatus::Done);
    assert_ne!(driver.get(common::CONFIGURATION_GENERATION, 1), generation);
    let place = data(&driver);
    let read = |sector| driver.request(IN, sector, (place, 512), descriptor::WRITE);
    assert_eq!(read(3), Ok(STATUS_OK));
    assert_eq!(driver.bytes(place, 512), expected(63, 512));
    assert_eq!(read(4), Ok(STATUS_IO_ERROR));
    assert_eq!(driver.request(OUT, 0, (place, 512), 0), Ok(STATUS_IO_ERROR));
    for arguments in [
        [1, 60, 5, 0],
        [0, 0, 1, 0],
        [2, 0, 1, 0],
        [1, u64::MAX, 1, 0],
        [1, 0, 1, 2],
    ] {
        assert_eq!(set(arguments), CommandStatus::BadArgument, "{arguments:?}");
    }
}

#[test]
fn a_reset_with_requests_in_flight_ends_them_first() {
    let folder = tempfile::tempdir().unwrap();
    let board = Board::with_disks(vec![file_disk(folder.path(), &[7; 1 << 20])]);
    let driver = board.bind(1);
    for round in 0..50 {
        driver.start(QueueService::Events);
        let place = data(&driver);
        for request in 0..5u16 {
            let buffer = place + 0x10000 * u64::from(request);
            driver.prepare(3 * request, IN, 0, (buffer, 0x10000), descriptor::WRITE);
            driver.offer(3 * request);
        }
        driver.ring(0);
        match round % 2 {
            0 => driver.set(common::STATUS, 1, 0),
            _ => assert_eq!(
                board.control(Command::FunctionReset, [1, 0, 0, 0]),
                CommandStatus::Done
            ),
        }
        assert_eq!(driver.status(), 0);
        // Nothing is written from now on.
        let mark = vec![0x55; 5 * 0x10000];
        board
            .memory
            .write_slice(&mark, GuestAddress(place))
            .unwrap();
        std::thread::yield_now();
        assert!(driver.bytes(place, mark.len()) == mark);
    }
    driver.start(QueueService::Events);
    let answer = driver.request(IN, 0, (data(&driver), 512), descriptor::WRITE);
    assert_eq!(answer, Ok(STATUS_OK));
}

#[test]
fn interrupts_come_by_msix_and_only_if_wanted() {
    let board = Board::with_disks(vec![memory_disk()]);
    let driver = board.bind(1);
    let record = board.record(1);
    board.store(record.msix + 16, &0xfee0_0000u32.to_le_bytes());
    board.store(record.msix + 24, &0x55u32.to_le_bytes());
    board.store(record.msix + 28, &0u32.to_le_bytes());
    board.store(record.configuration + 0x42, &0x8000u16.to_le_bytes());
    let features = feature::VERSION_1 | feature::ACCESS_PLATFORM;
    assert!(driver.negotiate(features));
    driver.clear_rings(0);
    driver.set(common::QUEUE_SELECT, 2, 0);
    driver.set(common::QUEUE_VECTOR, 2, 9);
    assert_eq!(
        driver.get(common::QUEUE_VECTOR, 2),
        0xffff,
        "no such vector"
    );
    driver.set(common::QUEUE_VECTOR, 2, 1);
    assert_eq!(driver.get(common::QUEUE_VECTOR, 2), 1);
    driver.enable(0, SIZE, QueueService::Events);
    driver.set_status(status::DRIVER_OK);
    let read = || driver.request(IN, 0, (data(&driver), 512), descriptor::WRITE);
    assert_eq!(read(), Ok(STATUS_OK));
    driver.wait("an interrupt", || board.routes.taken(0x55) == 1);
    let flags = GuestAddress(driver.available(0));
    board
        .memory
        .write_obj(exo_abi::virtio::AVAILABLE_NO_INTERRUPT, flags)
        .unwrap();
    assert_eq!(read(), Ok(STATUS_OK));
    // The pass that gave the buffer back may still be under way: a reset waits for its end.
    driver.set(common::STATUS, 1, 0);
    assert_eq!(board.routes.taken(0x55), 0);
    assert_eq!(board.devices.statistics()[1].queues[0].interrupts, 1);
}

#[test]
fn queues_of_one_function_are_served_each_in_its_way() {
    let board = Board::new(vec![block(memory_disk(), None, false, 2)]);
    let driver = board.bind(1);
    assert!(driver.negotiate(feature::VERSION_1 | feature::ACCESS_PLATFORM));
    for (queue, service) in [(0, QueueService::Polled), (1, QueueService::Events)] {
        driver.clear_rings(queue);
        driver.enable(queue, SIZE, service);
        driver.set(common::QUEUE_SELECT, 2, queue.into());
        assert_eq!(driver.get(common::QUEUE_NOTIFY_OFFSET, 2), u64::from(queue));
    }
    driver.set_status(status::DRIVER_OK);
    let place = data(&driver);
    let header = driver.header_place(9);
    driver.header(header, IN, 5);
    for queue in 0..2 {
        driver.describe(queue, 0, header, 16, descriptor::NEXT, 1);
        driver.describe(queue, 1, place, 513, descriptor::WRITE, 0);
        driver.offer_at(queue, SIZE, 0, 0);
        if queue == 1 {
            driver.ring(1);
        }
        driver.wait("a used buffer", || driver.used_index(queue) == 1);
        assert_eq!(driver.bytes(place, 512), expected(5, 512));
        board
            .memory
            .write_slice(&[0; 513], GuestAddress(place))
            .unwrap();
    }
    let queues = &board.devices.statistics()[1].queues;
    assert_eq!((queues[0].doorbells, queues[1].doorbells), (0, 1));
}

#[test]
fn event_indexes_are_kept_where_they_were_negotiated() {
    let board = Board::with_disks(vec![memory_disk()]);
    let driver = board.bind(1);
    let record = board.record(1);
    board.store(record.msix + 24, &0x55u32.to_le_bytes());
    board.store(record.msix + 28, &0u32.to_le_bytes());
    board.store(record.configuration + 0x42, &0x8000u16.to_le_bytes());
    let features = feature::VERSION_1 | feature::ACCESS_PLATFORM | super::ring::FEATURE_EVENT_INDEX;
    let start = |service| {
        assert!(driver.negotiate(features));
        driver.clear_rings(0);
        driver.set(common::QUEUE_SELECT, 2, 0);
        driver.set(common::QUEUE_VECTOR, 2, 1);
        driver.enable(0, SIZE, service);
        driver.set_status(status::DRIVER_OK);
    };
    let read = || driver.request(IN, 0, (data(&driver), 512), descriptor::WRITE);
    let used_event = GuestAddress(driver.available(0) + 4 + 2 * u64::from(SIZE));
    let available_event = GuestAddress(driver.used_ring(0) + 4 + 8 * u64::from(SIZE));
    let wanted = || board.memory.read_obj::<u16>(available_event).unwrap();
    start(QueueService::Events);
    // An interrupt for the first, and then none before the fourth.
    assert_eq!(read(), Ok(STATUS_OK));
    driver.wait("an interrupt", || board.routes.taken(0x55) == 1);
    driver.wait("the wish for a doorbell", || wanted() == 1);
    board.memory.write_obj(3u16, used_event).unwrap();
    assert_eq!((read(), read()), (Ok(STATUS_OK), Ok(STATUS_OK)));
    driver.wait("the wish for a doorbell", || wanted() == 3);
    assert_eq!(board.routes.taken(0x55), 0);
    assert_eq!(read(), Ok(STATUS_OK));
    driver.wait("an interrupt", || board.routes.taken(0x55) == 1);
    // A polled queue names an index that the driver passes last.
    start(QueueService::Polled);
    assert_eq!(wanted(), u16::MAX);
    assert_eq!(read(), Ok(STATUS_OK));
    driver.wait("the next such index", || wanted() == 0);
}
