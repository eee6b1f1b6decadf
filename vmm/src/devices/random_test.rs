//! Rings and descriptors of random bytes: nothing panics, and nothing outside the domain is written.

use std::sync::Arc;

use exo_abi::function::QueueService;
use exo_abi::virtio::block::{IN, STATUS_OK};
use exo_abi::virtio::descriptor::WRITE;
use exo_abi::virtio::{common, feature, status};
use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

use super::block::disk::Disk;
use super::board::{Board, MEMORY};
use super::driver::SIZE;

/// Where the function may go: the domain's end is in the middle of the addresses that are tried.
const DOMAIN: std::ops::Range<u64> = 0x10_0000..0x20_0000;
/// Rings, headers and tables of the driver: random bytes all over.
const CHAOS: u64 = 0x1_0000;

#[derive(Clone, Debug)]
struct Descriptor {
    address: u64,
    length: u32,
    flags: u16,
    next: u16,
}

/// Addresses inside, outside, across the edges, and at the ends of the world.
fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => DOMAIN.start..DOMAIN.start + CHAOS,
        2 => DOMAIN.start..DOMAIN.end,
        1 => (DOMAIN.end - 0x1000)..(DOMAIN.end + 0x1000),
        1 => (DOMAIN.start - 0x1000)..(DOMAIN.start + 0x1000),
        1 => 0..MEMORY + 0x1000,
        1 => any::<u64>(),
        1 => (u64::MAX - 0x1000)..=u64::MAX,
    ]
}

fn length() -> impl Strategy<Value = u32> {
    prop_oneof![
        Just(16u32),
        Just(512),
        Just(4096),
        0..0x2000u32,
        any::<u32>(),
        (0..20u32).prop_map(|entries| entries * 16)
    ]
}

fn descriptor() -> impl Strategy<Value = Descriptor> {
    let flags = prop_oneof![8 => 0..8u16, 1 => any::<u16>()];
    let next = prop_oneof![8 => 0..SIZE + 1, 1 => any::<u16>()];
    (address(), length(), flags, next).prop_map(|(address, length, flags, next)| Descriptor {
        address,
        length,
        flags,
        next,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_nothing_outside_the_domain_is_written(
        descriptors in prop::collection::vec(descriptor(), 16),
        headers in prop::collection::vec((0..16u32, any::<u64>()), 64),
        heads in prop::collection::vec(prop_oneof![9 => 0..SIZE, 1 => any::<u16>()], 16),
        available in prop_oneof![9 => 0..SIZE + 1, 1 => any::<u16>()],
        features in any::<u64>(),
        rings in prop::collection::vec(prop_oneof![6 => Just(None), 1 => address().prop_map(Some)], 3),
        polled in any::<bool>(),
    ) {
        let board = Board::with_disks(vec![Arc::new(Disk::in_memory(64).unwrap())]);
        let driver = board.bind(1);
        let mut before = vec![0xa5; MEMORY as usize];
        // Requests that mean something, all over the place where descriptors point to.
        for (index, (kind, sector)) in headers.iter().cycle().take(CHAOS as usize / 16).enumerate() {
            let place = DOMAIN.start as usize + 16 * index;
            before[place..place + 4].copy_from_slice(&kind.to_le_bytes());
            before[place + 4..place + 16].fill(0);
            if sector % 4 != 0 {
                before[place + 8] = (sector % 80) as u8;
            } else {
                before[place + 8..place + 16].copy_from_slice(&sector.to_le_bytes());
            }
        }
        board.memory.write_slice(&before, GuestAddress(0)).unwrap();
        driver.clear_rings(0);
        for (index, one) in (0..).zip(&descriptors) {
            driver.describe(0, index, one.address, one.length, one.flags, one.next);
        }
        for (index, head) in (0..).zip(&heads) {
            driver.offer_at(0, SIZE, index, *head);
        }
        driver.set_available_index(0, available);
        let required = feature::VERSION_1 | feature::ACCESS_PLATFORM;
        if driver.negotiate(features & (feature::INDIRECT | 1 << 29) | required) {
            driver.enable(0, SIZE, if polled { QueueService::Polled } else { QueueService::Events });
        }
        let addresses = [common::QUEUE_DESCRIPTORS, common::QUEUE_AVAILABLE, common::QUEUE_USED];
        if rings.iter().any(Option::is_some) {
            prop_assert!(driver.negotiate(required));
            driver.set(common::QUEUE_SIZE, 2, SIZE.into());
            let usual = [driver.descriptors(0), driver.available(0), driver.used_ring(0)];
            for ((register, usual), ring) in addresses.into_iter().zip(usual).zip(&rings) {
                driver.set(register, 8, ring.unwrap_or(usual));
            }
            driver.set(common::QUEUE_ENABLE, 2, 1);
        }
        // What the setup wrote is the driver's own.
        let image = |board: &Board| {
            let mut bytes = vec![0; MEMORY as usize];
            board.memory.read_slice(&mut bytes, GuestAddress(0)).unwrap();
            bytes
        };
        let start = image(&board);
        driver.set_status(status::DRIVER_OK);
        let server = &board.devices.functions()[1].servers()[0];
        for _ in 0..4 {
            server.process();
            server.poll();
        }
        server.quiesce(super::server::EVERYTHING);
        server.process();
        driver.set(common::STATUS, 1, 0);
        let end = image(&board);
        prop_assert!(start[..DOMAIN.start as usize] == end[..DOMAIN.start as usize]);
        prop_assert!(start[DOMAIN.end as usize..] == end[DOMAIN.end as usize..]);
        driver.start(QueueService::Events);
        let answer = driver.request(IN, 0, (DOMAIN.start + 0x8_0000, 512), WRITE);
        prop_assert_eq!(answer, Ok(STATUS_OK));
    }
    #[test]
    fn no_store_to_any_register_panics(
        stores in prop::collection::vec((0..4usize, 0..0x4000u64, 0..4u32, any::<u64>()), 1..200),
    ) {
        let board = Board::with_disks(vec![Arc::new(Disk::in_memory(64).unwrap())]);
        let driver = board.bind(1);
        let record = board.record(1);
        let bases = [record.registers, record.doorbells, record.msix, record.configuration];
        for (base, offset, width, value) in stores {
            let width = 1 << width;
            // Half of the stores go where most registers are.
            let offset = if value % 2 == 0 { offset % 0x100 } else { offset };
            let place = bases[base] + offset;
            board.store(place, &value.to_le_bytes()[..width]);
            board.load(place, width);
        }
        driver.set(common::STATUS, 1, 0);
    }
}
