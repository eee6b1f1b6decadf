//! The console as its driver sees it.

use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex};

use exo_abi::address::PAGE_SIZE;
use exo_abi::function::{DEVICE_PAGE, QueueService, StopReason};
use exo_abi::virtio::block::{IN, STATUS_OK};
use exo_abi::virtio::descriptor::WRITE;
use exo_abi::virtio::{feature, status};
use vm_memory::{Bytes, GuestAddress};

use super::block::disk::Disk;
use super::board::{Board, block};
use super::console::WindowSize;
use super::driver::{Driver, SIZE};
use super::{DeviceSpecification, FunctionSpecification};

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn board(input: &[u8]) -> (Board, Written) {
    let written = Written::default();
    let device = DeviceSpecification::Streams {
        input: Box::new(Cursor::new(input.to_vec())),
        output: Box::new(written.clone()),
    };
    let name = "terminal".into();
    (
        Board::new(vec![FunctionSpecification { name, device }]),
        written,
    )
}

fn start(driver: &Driver<'_>, service: QueueService) {
    assert!(driver.negotiate(feature::VERSION_1 | feature::ACCESS_PLATFORM));
    for queue in 0..2 {
        driver.clear_rings(queue);
        driver.enable(queue, SIZE, service);
    }
    driver.set_status(status::DRIVER_OK);
}

#[test]
fn input_comes_in_order_and_its_end_once() {
    for service in [QueueService::Events, QueueService::Polled] {
        let input: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
        let (board, _) = board(&input);
        let driver = board.bind(1);
        start(&driver, service);
        let place = driver.base + 0x1_0000;
        let mut received = Vec::new();
        driver.describe(0, 0, place, 1000, WRITE, 0);
        loop {
            let index = driver.used_index(0);
            assert_eq!(driver.submit(0), Ok(()));
            let length = driver.used(0, SIZE, index).1 as usize;
            if length == 0 {
                break;
            }
            received.extend(driver.bytes(place, length));
        }
        assert!(received == input);
        driver.offer(0);
        driver.ring(0);
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_ne!(driver.used_index(0), driver.available_index(0));
    }
}

#[test]
fn output_is_written() {
    let (board, written) = board(b"");
    let driver = board.bind(1);
    start(&driver, QueueService::Events);
    let place = driver.base + 0x1_0000;
    let text: Vec<u8> = (0..10_000u32).map(|n| (n % 251) as u8).collect();
    board
        .memory
        .write_slice(&text, GuestAddress(place))
        .unwrap();
    driver.describe(1, 3, place, text.len() as u32, 0, 0);
    driver.offer_at(1, SIZE, 0, 3);
    driver.ring(1);
    driver.wait("the end of the output", || driver.used_index(1) == 1);
    assert!(*written.0.lock().unwrap() == text);
}

/// Takes nothing until it is told to.
struct Blocked(std::sync::mpsc::Receiver<()>, Written);

impl Write for Blocked {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.recv();
        self.1.write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn output_that_nobody_takes_holds_up_no_other_queue() {
    for service in [QueueService::Events, QueueService::Polled] {
        let (release, blocked) = std::sync::mpsc::channel();
        let written = Written::default();
        let streams = DeviceSpecification::Streams {
            input: Box::new(Cursor::new(Vec::new())),
            output: Box::new(Blocked(blocked, written.clone())),
        };
        let disk = Arc::new(Disk::in_memory(64).unwrap());
        let board = Board::new(vec![
            FunctionSpecification {
                name: "terminal".into(),
                device: streams,
            },
            block(disk, None, false, 1),
        ]);
        let (terminal, disk) = (board.bind(1), board.bind(2));
        start(&terminal, service);
        terminal.describe(1, 3, terminal.base + 0x1_0000, 9, 0, 0);
        terminal.offer_at(1, SIZE, 0, 3);
        terminal.ring(1);
        std::thread::sleep(std::time::Duration::from_millis(5));
        disk.start(service);
        let data = (disk.base + 0x1_0000, 512);
        for _ in 0..10 {
            assert_eq!(disk.request(IN, 0, data, WRITE), Ok(STATUS_OK));
        }
        assert_eq!(terminal.used_index(1), 0, "not written yet");
        // Neither does it hold up a reset, nor what comes after it.
        start(&terminal, service);
        terminal.describe(1, 3, terminal.base + 0x1_0000, 7, 0, 0);
        terminal.offer_at(1, SIZE, 0, 3);
        terminal.ring(1);
        assert_eq!(disk.request(IN, 0, data, WRITE), Ok(STATUS_OK));
        drop(release);
        terminal.wait("the output", || terminal.used_index(1) == 1);
        assert_eq!(written.0.lock().unwrap().len(), 16);
    }
}

#[test]
fn lost_output_comes_back_with_its_reason() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from_raw_os_error(28))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let board = Board::new(vec![FunctionSpecification {
        name: "terminal".into(),
        device: DeviceSpecification::Streams {
            input: Box::new(Cursor::new(Vec::new())),
            output: Box::new(Full),
        },
    }]);
    let driver = board.bind(1);
    start(&driver, QueueService::Events);
    driver.describe(1, 3, driver.base + 0x1_0000, 5, 0, 0);
    driver.offer_at(1, SIZE, 0, 3);
    driver.ring(1);
    driver.wait("the buffer", || driver.used_index(1) == 1);
    assert_eq!(driver.used(1, SIZE, 0).1, 28);
}

#[test]
fn the_configuration_has_the_size_of_the_terminal() {
    let size = Arc::new(WindowSize::default());
    let board = Board::new(vec![FunctionSpecification {
        name: "terminal".into(),
        device: DeviceSpecification::Console(size.clone()),
    }]);
    size.set(132, 43);
    let place = board.record(1).registers + DEVICE_PAGE * PAGE_SIZE;
    let load = |offset, length| board.load(place + offset, length);
    assert_eq!(load(0, 4), 43 << 16 | 132);
    assert_eq!(load(2, 2), 43);
    assert_eq!(load(4, 4), 0);
}

#[test]
fn buffers_outside_the_domain_stop_the_queue() {
    let (board, _) = board(b"input");
    let driver = board.bind(1);
    start(&driver, QueueService::Events);
    driver.describe(0, 0, 0x10000, 1000, WRITE, 0);
    assert_eq!(driver.submit(0), Err(StopReason::BufferAddress));
    start(&driver, QueueService::Events);
    driver.describe(1, 0, 0x10000, 1000, 0, 0);
    driver.offer_at(1, SIZE, 0, 0);
    driver.ring(1);
    driver.wait("a stop", || {
        driver.stop_reason(1) == StopReason::BufferAddress
    });
}
