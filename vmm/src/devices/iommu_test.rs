//! The IOMMU and the control device as the kernel sees them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use exo_abi::control::{Command, CommandStatus, ControlBlock};
use exo_abi::function::{QueueService, StopReason};
use exo_abi::virtio::block::{IN, STATUS_OK};
use exo_abi::virtio::descriptor::WRITE;
use exo_abi::virtio::iommu::Status;
use vm_memory::{Bytes, GuestAddress};

use super::block::disk::Disk;
use super::board::{Board, MEMORY, file_disk};
use super::driver::Driver;

fn board() -> Board {
    let disk = Arc::new(Disk::in_memory(64).unwrap());
    Board::with_disks(vec![disk.clone(), disk])
}

fn read(driver: &Driver<'_>, place: u64) -> Result<u8, StopReason> {
    driver.request(IN, 0, (place, 512), WRITE)
}

#[test]
fn only_identity_mappings_of_memory_are_made() {
    let board = board();
    assert_eq!(board.attach(1, 1), 0);
    let (range, invalid) = (Status::Range as u8, Status::Invalid as u8);
    let last = |first: u64| first + 0xfff;
    let map = |first, last, physical, flags| board.map_raw(1, first, last, physical, flags);
    assert_eq!(map(0x10_0000, last(0x10_0000), 0x20_0000, 3), invalid);
    assert_eq!(map(0x10_0000, last(0x10_0000), 0x10_0000, 0), invalid);
    assert_eq!(
        map(0x10_0000, last(0x10_0000), 0x10_0000, 4 | 3),
        invalid,
        "MMIO"
    );
    for (first, last) in [
        (MEMORY, MEMORY + 0xfff),
        (MEMORY - 0x1000, MEMORY + 0xfff),
        (0xc000_0000, 0xc000_0fff),
        (0x10_0800, 0x10_17ff),
        (0x10_0000, 0x10_0ffe),
        (0x10_0000, 0x0f_ffff),
        (0, u64::MAX),
        (u64::MAX - 0xfff, u64::MAX),
    ] {
        assert_eq!(map(first, last, first, 3), range, "{first:#x} {last:#x}");
    }
    assert_eq!(
        board.map(2, 0x10_0000, 0x1000, 3),
        Status::NoEntry as u8,
        "no such domain"
    );
    assert_eq!(board.map(1, 0x10_0000, 0x3000, 3), 0);
    for (first, bytes) in [
        (0x10_0000, 0x1000),
        (0x10_2000, 0x2000),
        (0xf_f000, 0x2000),
        (0xf_0000, 0x10_0000),
    ] {
        assert_eq!(
            board.map(1, first, bytes, 3),
            invalid,
            "{first:#x} overlaps"
        );
    }
    assert_eq!(board.map(1, 0x10_3000, 0x1000, 3), 0);
}

#[test]
fn mappings_are_ended_whole() {
    let board = board();
    let driver = board.bind(1);
    driver.start(QueueService::Events);
    assert_eq!(board.map(1, 0x80_0000, 0x4000, 3), 0);
    let range = Status::Range as u8;
    for (first, bytes) in [
        (0x80_0000, 0x1000),
        (0x80_1000, 0x3000),
        (0x7f_f000, 0x2000),
        (0x80_1000, 0x1000),
    ] {
        assert_eq!(board.unmap(1, first, bytes), range, "{first:#x}");
    }
    assert_eq!(read(&driver, 0x80_3e00), Ok(STATUS_OK));
    assert_eq!(board.unmap(2, 0x80_0000, 0x4000), Status::NoEntry as u8);
    assert_eq!(board.unmap(1, 0x80_0000, 0x4000), 0);
    assert_eq!(read(&driver, 0x80_3e00), Err(StopReason::BufferAddress));
}

#[test]
fn functions_of_one_domain_share_its_mappings_and_others_do_not() {
    let board = board();
    let first = board.bind(1);
    assert_eq!(board.map(1, 0x80_0000, 0x1000, 3), 0);
    let second = board.bind(2);
    second.start(QueueService::Events);
    assert_eq!(read(&second, 0x80_0000), Err(StopReason::BufferAddress));
    // Moves to the first one's domain, and loses its own.
    assert_eq!(board.attach(1, 2), 0);
    assert_eq!(board.map(1, second.base, 0x10_0000, 3), 0);
    second.start(QueueService::Events);
    assert_eq!(read(&second, 0x80_0000), Ok(STATUS_OK));
    assert_eq!(board.map(1, 0x90_0000, 0x1000, 3), 0);
    assert_eq!(read(&second, 0x90_0000), Ok(STATUS_OK));
    assert_eq!(board.detach(1, 1), 0);
    assert_eq!(board.detach(1, 1), Status::Invalid as u8);
    assert_eq!(read(&second, 0x90_0000), Ok(STATUS_OK));
    first.negotiate(0);
    // The last one out ends the domain.
    assert_eq!(board.detach(1, 2), 0);
    assert_eq!(board.map(1, 0xa0_0000, 0x1000, 3), Status::NoEntry as u8);
    let mut attach = vec![1, 0, 0, 0];
    for word in [1u32, 0x777, 0, 0] {
        attach.extend(word.to_le_bytes());
    }
    assert_eq!(board.iommu(&attach), Some(Status::NoEntry as u8));
}

#[test]
fn strange_requests_are_refused_and_short_ones_stop_the_queue() {
    let board = board();
    assert_eq!(board.iommu(&[9; 20]), Some(Status::Unsupported as u8));
    let mut probe = vec![5, 0, 0, 0];
    probe.extend(board.record(1).address.to_le_bytes());
    probe.extend([0; 64]);
    assert_eq!(board.iommu(&probe), Some(0));
    assert_eq!(board.iommu(&[3; 20]), None, "a map that is too short");
    assert_eq!(
        board.devices.statistics()[0].queues[0].stop_reason,
        "request-header"
    );
}

#[test]
fn an_unmap_waits_for_what_is_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    let board = Board::with_disks(vec![file_disk(folder.path(), &[7; 4 << 20])]);
    for service in [QueueService::Events, QueueService::Polled] {
        let driver = board.bind(1);
        driver.start(service);
        let (place, bytes) = (0x80_0000, 4 << 20);
        for round in 0..20u16 {
            assert_eq!(board.map(1, place, bytes, 3), 0);
            driver.prepare(0, IN, 0, (place, bytes as u32), WRITE);
            driver.offer(0);
            driver.ring(0);
            if round % 2 == 0 {
                std::thread::yield_now();
            }
            assert_eq!(board.unmap(1, place, bytes), 0);
            // From here on the memory is somebody else's.
            let mark = vec![round as u8; bytes as usize];
            board
                .memory
                .write_slice(&mark, GuestAddress(place))
                .unwrap();
            std::thread::sleep(std::time::Duration::from_millis(1));
            assert!(
                driver.bytes(place, mark.len()) == mark,
                "written after the unmap"
            );
            driver.start(service);
        }
        assert_eq!(board.detach(1, 1), 0);
    }
}

#[test]
fn the_kernel_is_not_kept_waiting_by_a_driver_that_never_stops() {
    let board = board();
    let driver = board.bind(1);
    let ending = AtomicBool::new(false);
    driver.start(QueueService::Polled);
    let memory = board.memory.clone();
    let (ring, used) = (driver.available(0), driver.used_ring(0));
    driver.prepare(0, IN, 0, (driver.base + 0x1_0000, 512), WRITE);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ending.load(Ordering::Relaxed) {
                let index: u16 = memory
                    .load(GuestAddress(used + 2), Ordering::Acquire)
                    .unwrap();
                memory
                    .store(
                        index.wrapping_add(16),
                        GuestAddress(ring + 2),
                        Ordering::Release,
                    )
                    .unwrap();
            }
        });
        for _ in 0..500 {
            assert_eq!(board.map(1, 0x80_0000, 0x1000, 3), 0);
            assert_eq!(board.unmap(1, 0x80_0000, 0x1000), 0);
        }
        ending.store(true, Ordering::Relaxed);
    });
}

#[test]
fn scrubbed_frames_read_as_zero_and_no_others() {
    let board = board();
    let memory = &board.memory;
    memory
        .write_slice(&[7; 0x4000], GuestAddress(0x80_0000))
        .unwrap();
    let scrub = |first, count| board.control(Command::Scrub, [first, count, 0, 0]);
    assert_eq!(scrub(0x801, 2), CommandStatus::Done);
    let driver = board.driver(1);
    let (old, new) = ([7; 0x1000], [0; 0x2000]);
    assert!(driver.bytes(0x80_0000, 0x1000) == old && driver.bytes(0x80_3000, 0x1000) == old);
    assert!(driver.bytes(0x80_1000, 0x2000) == new);
    let frames = MEMORY / 4096;
    for (first, count) in [
        (frames, 1),
        (frames - 1, 2),
        (0x801, 0),
        (0xc_0000, 1),
        (u64::MAX, 1),
        (1, u64::MAX),
        (1 << 52, 1),
    ] {
        assert_eq!(
            scrub(first, count),
            CommandStatus::BadArgument,
            "{first:#x} {count:#x}"
        );
    }
}

#[test]
fn strange_commands_are_refused() {
    let board = board();
    let reset = |number| board.control(Command::FunctionReset, [number, 0, 0, 0]);
    assert_eq!(reset(2), CommandStatus::Done);
    for number in [0, 3, u64::MAX] {
        assert_eq!(reset(number), CommandStatus::BadArgument);
    }
    let handler = board.attachments.handler.as_ref().unwrap();
    for command in [0, 5, u64::MAX] {
        let mut block = ControlBlock {
            command,
            ..Default::default()
        };
        assert_eq!(handler.command(&mut block), CommandStatus::BadCommand);
    }
}
