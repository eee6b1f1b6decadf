//! A guest's driver in miniature for tests: it does what it is told, wrong or right.

use std::time::{Duration, Instant};

use exo_abi::function::{
    COMMON_PAGE, DOORBELL_STRIDE, QueueService, SERVICE_PAGE, STOP_REASONS, StopReason,
};
use exo_abi::virtio::{common, descriptor, feature, status};
use vm_memory::{Bytes, GuestAddress};

use super::board::Board;
use crate::memory::GuestMemory;

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
