//! Both carriers of operations do the same.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use vm_memory::{Bytes, GuestAddress, IommuMemory, Permissions};

use super::engine::{Engine, Operation, create_memory_file};
use crate::devices::chain::{Buffer, Segment};
use crate::devices::endpoint::{DmaMemory, Endpoint};
use crate::memory::GuestMemory;

fn set_up() -> (GuestMemory, DmaMemory, File, Buffer) {
    let memory = GuestMemory::from_ranges(&[(GuestAddress(0), 0x10000)]).unwrap();
    let dma = IommuMemory::new(memory.clone(), Endpoint::default(), false, ());
    let file = create_memory_file(c"test").unwrap();
    file.write_all_at(&[7; 8192], 0).unwrap();
    let segment = |address, length| Segment { address, length };
    let buffer = Buffer::from(vec![segment(0x1000, 512), segment(0x3000, 3584)]);
    (memory, dma, file, buffer)
}

fn land(engine: &mut Engine) -> (u16, i32) {
    engine.flush();
    loop {
        match engine.landed() {
            Some(landed) => return landed,
            None => engine.wait(),
        }
    }
}

#[test]
fn operations_do_the_same_with_and_without_io_uring() {
    for ring in [true, false] {
        let (memory, dma, file, buffer) = set_up();
        let mut engine = match ring {
            true => Engine::new(memory.clone(), 4, false).unwrap(),
            false => Engine::without_ring(memory.clone(), 4),
        };
        let descriptor = file.as_raw_fd();
        let alignment = engine.aim(3, &dma, &buffer, Permissions::Write).unwrap();
        assert_eq!(alignment % 512, 0);
        engine.start(3, descriptor, Operation::Read(0));
        assert_eq!(engine.flying(), 1);
        assert_eq!(land(&mut engine), (3, 4096));
        assert_eq!(engine.flying(), 0);
        let mut bytes = [0; 3584];
        memory.read_slice(&mut bytes, GuestAddress(0x3000)).unwrap();
        assert_eq!(bytes, [7; 3584]);
        memory
            .write_slice(&[9; 4096], GuestAddress(0x3000))
            .unwrap();
        engine.aim(0, &dma, &buffer, Permissions::Read).unwrap();
        // The first segment, and a byte of the second, are already there.
        engine.advance(0, 513);
        engine.start(0, descriptor, Operation::Write(4096));
        assert_eq!(land(&mut engine), (0, 3583));
        let mut bytes = [0; 3584];
        file.read_exact_at(&mut bytes, 4096).unwrap();
        assert_eq!((bytes[3582], bytes[3583]), (9, 7));
        engine.start(1, descriptor, Operation::Clear(0, 4096));
        assert_eq!(land(&mut engine), (1, 0));
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(bytes, [0; 3584]);
        engine.start(1, descriptor, Operation::Synchronize);
        assert_eq!(land(&mut engine), (1, 0));
        engine.start(1, -1, Operation::Synchronize);
        assert_eq!(land(&mut engine), (1, -libc::EBADF));
    }
}

#[test]
fn a_slot_in_flight_is_left_alone() {
    let (memory, dma, file, buffer) = set_up();
    let mut engine = Engine::without_ring(memory, 1);
    engine.aim(0, &dma, &buffer, Permissions::Write).unwrap();
    engine.start(0, file.as_raw_fd(), Operation::Read(0));
    assert!(engine.aim(0, &dma, &buffer, Permissions::Write).is_err());
    engine.start(0, file.as_raw_fd(), Operation::Read(0));
    engine.start(1, file.as_raw_fd(), Operation::Read(0));
    assert_eq!(engine.flying(), 1);
    assert_eq!(land(&mut engine), (0, 4096));
}
