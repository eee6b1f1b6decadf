//! A device of the tests drives the other side of the queue, through memory alone.

extern crate std;

use std::cell::RefCell;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

const BASE: u64 = 0x1234_5000;

/// Bytes that both sides see.
#[derive(Clone)]
struct TestMemory(Rc<RefCell<Vec<u8>>>);

impl TestMemory {
    fn new(size: u16) -> Self {
        Self(Rc::new(RefCell::new(vec![
            0;
            RingLayout::new(size).bytes
                as usize
        ])))
    }

    fn get<const N: usize>(&self, offset: u64) -> [u8; N] {
        let bytes = self.0.borrow();
        bytes[offset as usize..offset as usize + N]
            .try_into()
            .unwrap()
    }

    fn put(&self, offset: u64, bytes: &[u8]) {
        self.0.borrow_mut()[offset as usize..offset as usize + bytes.len()].copy_from_slice(bytes);
    }
}

impl RingMemory for TestMemory {
    fn read_u16(&self, offset: u64) -> u16 {
        u16::from_le_bytes(self.get(offset))
    }
    fn read_u32(&self, offset: u64) -> u32 {
        u32::from_le_bytes(self.get(offset))
    }
    fn write_u16(&self, offset: u64, value: u16) {
        self.put(offset, &value.to_le_bytes());
    }
    fn write_u32(&self, offset: u64, value: u32) {
        self.put(offset, &value.to_le_bytes());
    }
    fn write_u64(&self, offset: u64, value: u64) {
        self.put(offset, &value.to_le_bytes());
    }
    fn load_index(&self, offset: u64) -> u16 {
        self.read_u16(offset)
    }
    fn store_index(&self, offset: u64, value: u16) {
        self.write_u16(offset, value);
    }
    fn fence(&self) {}
    fn physical(&self, offset: u64) -> u64 {
        BASE + offset
    }
}

/// The device's side.
struct Device {
    memory: TestMemory,
    size: u16,
    layout: RingLayout,
    seen: u16,
    done: u16,
}

impl Device {
    fn new(memory: &TestMemory, size: u16) -> Self {
        Self {
            memory: memory.clone(),
            size,
            layout: RingLayout::new(size),
            seen: 0,
            done: 0,
        }
    }

    /// The next request: its head and its parts.
    fn next(&mut self) -> Option<(u16, Vec<Part>)> {
        if self.memory.read_u16(self.layout.available + 2) == self.seen {
            return None;
        }
        let slot = u64::from(self.seen % self.size);
        let head = self.memory.read_u16(self.layout.available + 4 + 2 * slot);
        self.seen = self.seen.wrapping_add(1);
        let mut parts = Vec::new();
        let mut index = head;
        loop {
            let entry = u64::from(index) * descriptor::SIZE;
            let flags = self.memory.read_u16(entry + 12);
            parts.push(Part {
                address: u64::from_le_bytes(self.memory.get(entry)),
                length: self.memory.read_u32(entry + 8),
                device_writes: flags & descriptor::WRITE != 0,
            });
            if flags & descriptor::NEXT == 0 {
                return Some((head, parts));
            }
            index = self.memory.read_u16(entry + 14);
        }
    }

    fn finish(&mut self, id: u32, written: u32) {
        let entry = self.layout.used + 4 + 8 * u64::from(self.done % self.size);
        self.memory.write_u32(entry, id);
        self.memory.write_u32(entry + 4, written);
        self.done = self.done.wrapping_add(1);
        self.memory.write_u16(self.layout.used + 2, self.done);
    }
}

fn part(number: u32) -> Part {
    Part {
        address: 0x1000 * u64::from(number),
        length: number,
        device_writes: number % 2 == 1,
    }
}

fn new_pair(size: u16) -> (Queue<TestMemory>, Device) {
    let memory = TestMemory::new(size);
    (Queue::new(memory.clone(), size), Device::new(&memory, size))
}

#[test]
fn layout_is_aligned_as_virtio_asks() {
    for order in 0..=15 {
        let layout = RingLayout::new(1 << order);
        assert_eq!(
            (
                layout.descriptors % 16,
                layout.available % 2,
                layout.used % 4
            ),
            (0, 0, 0)
        );
        assert!(
            layout.available >= 16 << order && layout.used >= layout.available + 4 + (2 << order)
        );
    }
    assert_eq!(
        RingLayout::new(256),
        RingLayout {
            descriptors: 0,
            available: 4096,
            used: 4612,
            bytes: 6664
        }
    );
}

#[test]
fn addresses_are_the_devices_names() {
    let (queue, _) = new_pair(4);
    assert_eq!(queue.addresses(), [BASE, BASE + 64, BASE + 76]);
}

#[test]
fn nothing_is_seen_before_it_is_published() {
    let (mut queue, mut device) = new_pair(4);
    queue.add(&[part(1)]).unwrap();
    assert_eq!(device.next(), None);
    assert!(queue.publish());
    assert!(!queue.publish(), "nothing new to tell");
    assert_eq!(device.next(), Some((0, vec![part(1)])));
}

#[test]
fn doorbell_is_left_alone_where_the_device_says_so() {
    let (mut queue, device) = new_pair(4);
    device.memory.write_u16(device.layout.used, USED_NO_NOTIFY);
    queue.add(&[part(1)]).unwrap();
    assert!(!queue.publish());
}

#[test]
fn full_queue_takes_no_more_and_changes_nothing() {
    let (mut queue, _) = new_pair(4);
    queue.add(&[part(1), part(2), part(3)]).unwrap();
    assert_eq!(queue.add(&[part(4), part(5)]), Err(Full));
    assert_eq!(queue.add(&[]), Err(Full));
    assert_eq!((queue.room(), queue.in_flight()), (1, 1));
    queue.add(&[part(4)]).unwrap();
}

#[test]
fn answer_that_was_not_asked_for_is_refused() {
    for id in [1, 3, 4, u32::MAX] {
        let (mut queue, mut device) = new_pair(4);
        queue.add(&[part(1), part(2)]).unwrap(); // descriptors 0 and 1: 1 is no head
        queue.publish();
        device.finish(id, 0);
        assert_eq!(queue.take(), Err(BadAnswer(id)));
    }
    let (mut queue, mut device) = new_pair(4);
    let head = queue.add(&[part(1)]).unwrap();
    queue.publish();
    device.finish(head.into(), 7);
    device.finish(head.into(), 7);
    assert_eq!(queue.take(), Ok(Some(Used { head, written: 7 })));
    assert_eq!(
        queue.take(),
        Err(BadAnswer(head.into())),
        "twice the same answer"
    );
}

proptest! {
    /// Any order of adding, publishing and finishing: each request comes through whole, once, and nothing is lost, also when
    /// the 16-bit indexes wrap.
    #[test]
    fn every_request_comes_back_once(order in 0u32..=5, start in any::<u16>(), steps in prop::collection::vec((0u8..4, 1u32..6), 1..400)) {
        let size = 1u16 << order;
        let (mut queue, mut device) = new_pair(size);
        (queue.added, queue.published, queue.taken) = (start, start, start);
        (device.seen, device.done) = (start, start);
        device.memory.write_u16(device.layout.used + 2, start);
        device.memory.write_u16(device.layout.available + 2, start);
        let mut sent = Vec::new();
        let mut at_device: Vec<u16> = Vec::new();
        let mut finished: Vec<u16> = Vec::new();
        let mut number = 0;
        for (step, count) in steps {
            match step {
                0 => {
                    let parts: Vec<Part> = (0..count).map(|offset| part(number + offset)).collect();
                    let room = queue.room();
                    match queue.add(&parts) {
                        Ok(head) => sent.push((head, parts)),
                        Err(Full) => prop_assert!(room < count as usize),
                    }
                    number += count;
                }
                1 => { queue.publish(); }
                2 => {
                    while let Some((head, parts)) = device.next() {
                        let position = sent.iter().position(|(one, _)| *one == head).unwrap();
                        prop_assert_eq!(&sent.remove(position).1, &parts);
                        at_device.push(head);
                    }
                    if !at_device.is_empty() {
                        let head = at_device.remove(number as usize % at_device.len());
                        device.finish(head.into(), number);
                        finished.push(head);
                    }
                }
                _ => {
                    let answer = queue.take().unwrap();
                    prop_assert_eq!(answer.map(|used| used.head), if finished.is_empty() { None } else { Some(finished.remove(0)) });
                }
            }
            let pending = sent.len() + at_device.len() + finished.len();
            prop_assert_eq!(usize::from(queue.in_flight()), pending);
        }
    }
}
