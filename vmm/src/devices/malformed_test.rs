//! Whatever a driver gets wrong about its rings stops its queue, for the reason that it can read, and nothing else.

use std::sync::Arc;

use exo_abi::function::{PCI_COMMAND_MEMORY, QueueService, StopReason};
use exo_abi::virtio::block::{IN, OUT, STATUS_OK};
use exo_abi::virtio::descriptor::{INDIRECT, NEXT, WRITE};
use exo_abi::virtio::{common, feature, status};
use vm_memory::{Bytes, GuestAddress};

use super::block::disk::Disk;
use super::board::{Board, MEMORY};
use super::driver::{Driver, SIZE};

/// Two functions: the one that errs, and a bystander.
fn board() -> Board {
    let disk = Arc::new(Disk::in_memory(64).unwrap());
    Board::with_disks(vec![disk.clone(), disk])
}

fn data(driver: &Driver<'_>) -> u64 {
    driver.base + 0x1_0000
}

/// Has a driver err in both modes; afterwards a reset must make its queue usable, and the bystander must not have noticed.
fn assert_stops(reason: StopReason, err: impl Fn(&Driver<'_>)) {
    for service in [QueueService::Events, QueueService::Polled] {
        let board = board();
        let (driver, bystander) = (board.bind(1), board.bind(2));
        driver.start(service);
        bystander.start(QueueService::Events);
        let secret = vec![0x5a; 4096];
        let place = GuestAddress(data(&bystander) + 0x8000);
        board.memory.write_slice(&secret, place).unwrap();
        let read = |driver: &Driver<'_>| driver.request(IN, 0, (data(driver), 4096), WRITE);
        assert_eq!(read(&driver), Ok(STATUS_OK));
        err(&driver);
        driver.ring(0);
        assert_eq!(driver.wait_stopped(), reason, "{service}");
        assert_eq!(read(&bystander), Ok(STATUS_OK));
        assert_eq!(bystander.stop_reason(0), StopReason::None);
        assert!(driver.bytes(place.0, 4096) == secret);
        let statistics = board.devices.statistics();
        assert_eq!(statistics[1].queues[0].stop_reason, reason.name());
        driver.start(service);
        assert_eq!(driver.stop_reason(0), StopReason::None);
        assert_eq!(read(&driver), Ok(STATUS_OK));
    }
}

#[test]
fn an_available_index_that_jumps() {
    assert_stops(StopReason::AvailableIndex, |driver| {
        driver.set_available_index(0, driver.available_index(0).wrapping_add(SIZE + 1));
    });
    assert_stops(StopReason::AvailableIndex, |driver| {
        driver.set_available_index(0, driver.available_index(0).wrapping_sub(1));
    });
}

#[test]
fn a_head_outside_the_table() {
    assert_stops(StopReason::DescriptorIndex, |driver| driver.offer(SIZE));
    assert_stops(StopReason::DescriptorIndex, |driver| driver.offer(u16::MAX));
}

#[test]
fn a_next_outside_the_table() {
    assert_stops(StopReason::DescriptorIndex, |driver| {
        driver.describe(0, 0, data(driver), 16, NEXT, SIZE);
        driver.offer(0);
    });
}

#[test]
fn a_loop() {
    assert_stops(StopReason::ChainTooLong, |driver| {
        driver.describe(0, 0, data(driver), 16, NEXT, 0);
        driver.offer(0);
    });
    assert_stops(StopReason::ChainTooLong, |driver| {
        driver.describe(0, 0, data(driver), 16, NEXT, 1);
        driver.describe(0, 1, data(driver), 16, NEXT, 0);
        driver.offer(0);
    });
}

#[test]
fn an_indirect_chain_longer_than_the_queue() {
    assert_stops(StopReason::ChainTooLong, |driver| {
        // One descriptor in the queue, and as many as the queue has in the table.
        let table = driver.base + 0x9000;
        for index in 0..SIZE {
            let flags = if index + 1 < SIZE { NEXT } else { 0 };
            driver.describe_at(
                table + 16 * u64::from(index),
                data(driver),
                16,
                flags,
                index + 1,
            );
        }
        driver.describe(0, 0, data(driver), 16, NEXT, 1);
        driver.describe(0, 1, table, 16 * u32::from(SIZE), INDIRECT, 0);
        driver.offer(0);
    });
}

#[test]
fn lengths_that_overflow() {
    assert_stops(StopReason::ChainLength, |driver| {
        driver.describe(0, 0, data(driver), u32::MAX, NEXT, 1);
        driver.describe(0, 1, data(driver), 1, WRITE, 0);
        driver.offer(0);
    });
}

#[test]
fn flags_without_a_meaning() {
    assert_stops(StopReason::DescriptorFlags, |driver| {
        driver.describe(0, 0, data(driver), 16, 8, 0);
        driver.offer(0);
    });
}

#[test]
fn a_readable_descriptor_after_a_writable_one() {
    assert_stops(StopReason::DescriptorOrder, |driver| {
        driver.describe(0, 0, data(driver), 16, WRITE | NEXT, 1);
        driver.describe(0, 1, data(driver), 16, 0, 0);
        driver.offer(0);
    });
}

#[test]
fn malformed_indirect_tables() {
    let table = |driver: &Driver<'_>| driver.base + 0x9000;
    for (length, flags) in [
        (0, INDIRECT),
        (17, INDIRECT),
        (15, INDIRECT),
        (16 * (u32::from(SIZE) + 1), INDIRECT),
        (!15, INDIRECT),
        (16, INDIRECT | NEXT),
    ] {
        assert_stops(StopReason::IndirectTable, |driver| {
            driver.describe(0, 0, table(driver), length, flags, 1);
            driver.offer(0);
        });
    }
    // Nested.
    assert_stops(StopReason::IndirectTable, |driver| {
        driver.describe_at(table(driver), table(driver), 16, INDIRECT, 0);
        driver.describe(0, 0, table(driver), 16, INDIRECT, 0);
        driver.offer(0);
    });
    // Outside: the next function's memory, no memory at all, and around the end.
    for place in [0x20_0000, MEMORY, u64::MAX - 15, u64::MAX - 7] {
        assert_stops(StopReason::IndirectAddress, |driver| {
            driver.describe(0, 0, place, 32, INDIRECT, 0);
            driver.offer(0);
        });
    }
    assert_stops(StopReason::DescriptorIndex, |driver| {
        driver.describe_at(table(driver), data(driver), 16, NEXT, 1);
        driver.describe(0, 0, table(driver), 16, INDIRECT, 0);
        driver.offer(0);
    });
}

#[test]
fn indirect_tables_that_were_not_negotiated() {
    let board = board();
    let driver = board.bind(1);
    assert!(driver.negotiate(feature::VERSION_1 | feature::ACCESS_PLATFORM));
    driver.clear_rings(0);
    driver.enable(0, SIZE, QueueService::Events);
    driver.set_status(status::DRIVER_OK);
    driver.describe(0, 0, driver.base + 0x9000, 16, INDIRECT, 0);
    driver.offer(0);
    driver.ring(0);
    assert_eq!(driver.wait_stopped(), StopReason::IndirectTable);
}

#[test]
fn an_indirect_request_that_is_well_formed_is_done() {
    let board = board();
    let driver = board.bind(1);
    driver.start(QueueService::Events);
    let (table, header) = (driver.base + 0x9000, driver.header_place(0));
    driver.header(header, IN, 0);
    driver.describe_at(table, data(&driver), 512, WRITE | NEXT, 1);
    driver.describe_at(table + 16, header + 16, 1, WRITE, 0);
    // A chain may begin in the queue and go on in a table, whose WRITE flag means nothing.
    driver.describe(0, 5, header, 16, NEXT, 6);
    driver.describe(0, 6, table, 32, INDIRECT | WRITE, 0);
    assert_eq!(driver.submit(5), Ok(()));
    assert_eq!(driver.request_status(0), STATUS_OK);
}

#[test]
fn requests_without_a_header_or_a_status() {
    assert_stops(StopReason::RequestHeader, |driver| {
        driver.describe(0, 0, data(driver), 15, NEXT, 1);
        driver.describe(0, 1, data(driver), 513, WRITE, 0);
        driver.offer(0);
    });
    assert_stops(StopReason::RequestHeader, |driver| {
        driver.describe(0, 0, data(driver), 513, WRITE, 0);
        driver.offer(0);
    });
    assert_stops(StopReason::RequestStatus, |driver| {
        driver.describe(0, 0, data(driver), 16, 0, 0);
        driver.offer(0);
    });
    assert_stops(StopReason::RequestStatus, |driver| {
        driver.describe(0, 0, data(driver), 16, NEXT, 1);
        driver.describe(0, 1, data(driver), 0, WRITE, 0);
        driver.offer(0);
    });
}

#[test]
fn buffers_outside_the_domain() {
    // The kernel, the other function's memory, no memory, devices, around the end, and across the end of the domain.
    let outside = [
        0x10000,
        0x21_8000,
        MEMORY,
        0xc000_0000,
        u64::MAX - 255,
        0x1f_fe01,
    ];
    for place in outside {
        for (kind, flags) in [(IN, WRITE), (OUT, 0)] {
            assert_stops(StopReason::BufferAddress, |driver| {
                driver.prepare(0, kind, 0, (place, 512), flags);
                driver.offer(0);
            });
        }
        assert_stops(StopReason::BufferAddress, |driver| {
            driver.prepare(0, IN, 0, (data(driver), 512), WRITE);
            // What is left of the header's descriptor is not touched, and may lie anywhere.
            let start = if place == 0x1f_fe01 { 0x1f_fff8 } else { place };
            driver.describe(0, 0, start, 512, NEXT, 1);
            driver.offer(0);
        });
        assert_stops(StopReason::BufferAddress, |driver| {
            driver.prepare(0, IN, 0, (data(driver), 512), WRITE);
            driver.describe(0, 2, place, 512, WRITE, 0);
            driver.offer(0);
        });
    }
}

#[test]
fn a_buffer_that_may_only_be_read_is_not_written() {
    let board = board();
    let driver = board.bind(1);
    driver.start(QueueService::Events);
    // Frames that only the device of this domain may read.
    assert_eq!(board.map(1, 0x80_0000, 0x1000, 1), 0);
    assert_eq!(driver.request(OUT, 0, (0x80_0000, 512), 0), Ok(STATUS_OK));
    let answer = driver.request(IN, 8, (0x80_0000, 512), WRITE);
    assert_eq!(answer, Err(StopReason::BufferAddress));
    assert_eq!(driver.bytes(0x80_0000, 512), [0; 512]);
}

/// Sets queue 0 up with one register changed, and returns why it stopped.
fn start_with(driver: &Driver<'_>, register: u64, width: usize, value: u64) -> StopReason {
    assert!(driver.negotiate(feature::VERSION_1 | feature::ACCESS_PLATFORM));
    driver.clear_rings(0);
    driver.set(common::QUEUE_SELECT, 2, 0);
    driver.set(common::QUEUE_SIZE, 2, SIZE.into());
    driver.set(common::QUEUE_DESCRIPTORS, 8, driver.descriptors(0));
    driver.set(common::QUEUE_AVAILABLE, 8, driver.available(0));
    driver.set(common::QUEUE_USED, 8, driver.used_ring(0));
    driver.set(register, width, value);
    driver.set(common::QUEUE_ENABLE, 2, 1);
    driver.set_status(status::DRIVER_OK);
    driver.stop_reason(0)
}

#[test]
fn queue_sizes_that_are_none() {
    let board = board();
    let driver = board.bind(1);
    for size in [0, 3, 6, 255, 512, 32768, 0xffff] {
        let reason = start_with(&driver, common::QUEUE_SIZE, 2, size);
        assert_eq!(reason, StopReason::QueueSize, "{size}");
        assert_eq!(driver.get(common::QUEUE_ENABLE, 2), 0);
        assert_ne!(driver.status() & status::NEEDS_RESET, 0);
    }
    for size in [1, 2, 256] {
        let reason = start_with(&driver, common::QUEUE_SIZE, 2, size);
        assert_eq!(reason, StopReason::None, "{size}");
    }
}

#[test]
fn rings_that_are_misaligned_or_outside_the_domain() {
    let board = board();
    let driver = board.bind(1);
    for (register, misaligned) in [
        (common::QUEUE_DESCRIPTORS, 8),
        (common::QUEUE_AVAILABLE, 1),
        (common::QUEUE_USED, 2),
    ] {
        let reason = start_with(&driver, register, 8, driver.base + misaligned);
        assert_eq!(reason, StopReason::RingAlignment);
        for outside in [0, 0x10000, 0x20_0000, MEMORY, 0xc000_0000, !15, 0x1f_fff0] {
            let reason = start_with(&driver, register, 8, outside);
            assert_eq!(
                reason,
                StopReason::RingAddress,
                "{register:#x} {outside:#x}"
            );
        }
    }
    assert_eq!(
        start_with(&driver, common::QUEUE_VECTOR, 2, 0),
        StopReason::None
    );
}

#[test]
fn a_function_that_is_not_attached_or_no_bus_master_can_do_no_dma() {
    let board = board();
    let driver = board.driver(1);
    let set_up = || start_with(&driver, common::QUEUE_SIZE, 2, SIZE.into());
    assert_eq!(set_up(), StopReason::RingAddress, "not attached");
    board.bind(1);
    board.set_command(1, PCI_COMMAND_MEMORY);
    assert_eq!(set_up(), StopReason::RingAddress, "no bus master");
    drop(board);
    assert_stops(StopReason::RingAddress, |driver| {
        driver.board.set_command(1, PCI_COMMAND_MEMORY);
        driver.prepare(0, IN, 0, (data(driver), 512), WRITE);
        driver.offer(0);
        driver.ring(0);
        driver.wait_stopped();
        driver.board.set_command(
            1,
            PCI_COMMAND_MEMORY | exo_abi::function::PCI_COMMAND_BUS_MASTER,
        );
    });
}

#[test]
fn a_stop_is_told_by_the_configuration_interrupt() {
    let board = board();
    let driver = board.bind(1);
    let record = board.record(1);
    board.store(record.msix, &0xfee0_0000u32.to_le_bytes());
    board.store(record.msix + 8, &0x66u32.to_le_bytes());
    board.store(record.msix + 12, &0u32.to_le_bytes());
    board.store(record.configuration + 0x42, &0x8000u16.to_le_bytes());
    assert!(driver.negotiate(feature::VERSION_1 | feature::ACCESS_PLATFORM));
    driver.set(common::CONFIGURATION_VECTOR, 2, 0);
    driver.clear_rings(0);
    driver.enable(0, SIZE, QueueService::Polled);
    driver.set_status(status::DRIVER_OK);
    driver.set_available_index(0, SIZE + 1);
    driver.wait("the interrupt", || board.routes.taken(0x66) == 1);
    assert_eq!(driver.stop_reason(0), StopReason::AvailableIndex);
}

#[test]
fn features_that_are_not_offered_or_not_enough_are_refused() {
    let board = board();
    let driver = board.bind(1);
    let good = feature::VERSION_1 | feature::ACCESS_PLATFORM;
    assert!(driver.negotiate(good));
    for bad in [
        0,
        feature::VERSION_1,
        feature::ACCESS_PLATFORM,
        good | 1 << 63,
        good | 1,
    ] {
        assert!(!driver.negotiate(bad), "{bad:#x}");
        driver.set_status(status::DRIVER_OK);
        assert_eq!(driver.status() & status::DRIVER_OK, 0);
        driver.enable(0, SIZE, QueueService::Events);
        assert_eq!(driver.get(common::QUEUE_ENABLE, 2), 0);
    }
}

#[test]
fn registers_of_queues_that_are_not_there_and_odd_accesses_do_nothing() {
    let board = board();
    let driver = board.bind(1);
    driver.start(QueueService::Events);
    driver.set(common::QUEUE_SELECT, 2, 7);
    for register in (0..0x48).step_by(2) {
        if register != common::STATUS && register != common::QUEUE_SELECT {
            driver.set(register, 2, 0xffff);
        }
    }
    assert_eq!(driver.get(common::QUEUE_SIZE, 2), 0);
    assert_eq!(driver.get(common::QUEUE_ENABLE, 2), 0);
    for width in [1, 2, 4, 8] {
        for offset in 0x38..0x60 {
            driver.set(offset, width, u64::MAX);
            assert_eq!(driver.get(offset, width), 0);
        }
    }
    // A queue that runs is not moved.
    driver.set(common::QUEUE_SELECT, 2, 0);
    driver.set(common::QUEUE_DESCRIPTORS, 8, 0);
    assert_eq!(
        driver.get(common::QUEUE_DESCRIPTORS, 8),
        driver.descriptors(0)
    );
    let answer = driver.request(IN, 0, (data(&driver), 512), WRITE);
    assert_eq!(answer, Ok(STATUS_OK));
}
