//! Configuration space of one function: a type 0 header and its capabilities (PCI 3.0, chapter 6; virtio 1.2, 4.1.4).
//!
//! BARs are 64-bit and assigned. Writing all ones to one shows its size, as the sizing protocol asks; any other value
//! puts the assigned address back, because functions do not move.

use exo_abi::address::PAGE_SIZE;
use exo_abi::function::{
    COMMON_PAGE, DEVICE_PAGE, DOORBELL_STRIDE, FunctionRecord, ISR_PAGE, MSIX_BAR_SIZE,
    MSIX_PENDING, MSIX_TABLE, PCI_COMMAND, PCI_COMMAND_BUS_MASTER, PCI_COMMAND_MEMORY,
    PCI_MSIX_CAPABILITY,
};

use super::placement::{doorbells_size, registers_size};

/// Bytes of the space that have a meaning; what follows, to 4 KiB, reads as zero.
const SIZE: usize = 256;
const VENDOR_VIRTIO: u16 = 0x1af4;
/// Device number of a modern virtio function, less its type (virtio 1.2, section 4.1.2).
const DEVICE_BASE: u16 = 0x1040;
const STATUS: usize = 0x06;
const STATUS_CAPABILITIES: u16 = 1 << 4;
const HEADER_TYPE: usize = 0x0e;
const MULTI_FUNCTION: u8 = 0x80;
const BARS: usize = 0x10;
const BAR_64_BIT: u32 = 4;
const CAPABILITY_POINTER: usize = 0x34;
const CAPABILITY_MSIX: u8 = 0x11;
const CAPABILITY_VENDOR: u8 = 0x09;
/// The virtio capabilities, by place; each is 16 bytes, and those for doorbells and configuration access 20.
const COMMON: usize = 0x50;
const NOTIFY: usize = 0x60;
const ISR: usize = 0x74;
const DEVICE: usize = 0x84;
/// VIRTIO_PCI_CAP_PCI_CFG: a window to the BARs (virtio 1.2, section 4.1.4.9).
const WINDOW: usize = 0x94;
const WINDOW_DATA: usize = WINDOW + 16;

/// The space, as bytes that a write may change where the mask has ones.
pub struct Configuration {
    bytes: [u8; SIZE],
    writable: [u8; SIZE],
    assigned: [u32; 6],
}

/// What an access to the window's data asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowAccess {
    /// Number of the BAR.
    pub bar: u8,
    /// Offset in it.
    pub offset: u64,
    /// Bytes.
    pub length: usize,
}

impl Configuration {
    /// The space of the function at `record`.
    pub fn new(record: &FunctionRecord) -> Self {
        let mut space = Self {
            bytes: [0; SIZE],
            writable: [0; SIZE],
            assigned: [0; 6],
        };
        let device = DEVICE_BASE + record.device_type as u16;
        space.set(0x00, &VENDOR_VIRTIO.to_le_bytes());
        space.set(0x02, &device.to_le_bytes());
        space.set(PCI_COMMAND as usize, &PCI_COMMAND_MEMORY.to_le_bytes());
        let command = PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER;
        space.allow(PCI_COMMAND as usize, &command.to_le_bytes());
        space.set(STATUS, &STATUS_CAPABILITIES.to_le_bytes());
        // Revision 1 or higher says modern; then programming interface, subclass, class.
        let [subclass, class] = class_of(record.device_type);
        space.set(0x08, &[1, 0, subclass, class]);
        space.allow(0x0c, &[0xff]); // cache line size: kept, means nothing
        // Type 0. Whoever looks for functions 1 to 7 too finds them where there are more than 32 functions.
        space.set(HEADER_TYPE, &[MULTI_FUNCTION]);
        space.set_bar(0, record.registers, registers_size(record.queues));
        space.set_bar(2, record.doorbells, doorbells_size(record.queues));
        space.set_bar(4, record.msix, MSIX_BAR_SIZE);
        space.set(0x2c, &VENDOR_VIRTIO.to_le_bytes());
        space.set(0x2e, &device.to_le_bytes());
        space.set(CAPABILITY_POINTER, &[PCI_MSIX_CAPABILITY as u8]);
        space.allow(0x3c, &[0xff]); // interrupt line: the same
        space.set_msix(record.vectors);
        space.set_virtio(COMMON, NOTIFY, 1, 0, COMMON_PAGE * PAGE_SIZE, 0x40);
        let doorbells = u64::from(record.queues * DOORBELL_STRIDE);
        space.set_virtio(NOTIFY, ISR, 2, 2, 0, doorbells as u32);
        space.set(NOTIFY + 2, &[20]);
        space.set(NOTIFY + 16, &DOORBELL_STRIDE.to_le_bytes());
        space.set_virtio(ISR, DEVICE, 3, 0, ISR_PAGE * PAGE_SIZE, 1);
        space.set_virtio(
            DEVICE,
            WINDOW,
            4,
            0,
            DEVICE_PAGE * PAGE_SIZE,
            PAGE_SIZE as u32,
        );
        space.set_virtio(WINDOW, 0, 5, 0, 0, 0);
        space.set(WINDOW + 2, &[20]);
        space.allow(WINDOW + 4, &[0xff]);
        space.allow(WINDOW + 8, &[0xff; 8]);
        space
    }

    /// Bits of the command register.
    pub fn command(&self) -> u16 {
        self.half(PCI_COMMAND as usize)
    }

    /// The MSI-X message control word.
    pub fn msix_control(&self) -> u16 {
        self.half(PCI_MSIX_CAPABILITY as usize + 2)
    }

    /// A load.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        for (place, byte) in (offset as usize..).zip(data) {
            *byte = self.bytes.get(place).copied().unwrap_or(0);
        }
    }

    /// A store.
    pub fn write(&mut self, offset: u64, data: &[u8]) {
        for (place, &value) in (offset as usize..).zip(data) {
            if let (Some(byte), Some(&mask)) = (self.bytes.get_mut(place), self.writable.get(place))
            {
                *byte = *byte & !mask | value & mask;
            }
        }
        for bar in 0..self.assigned.len() {
            let place = BARS + 4 * bar;
            let mask = word(&self.writable, place);
            if word(&self.bytes, place) & mask != mask {
                let assigned = self.assigned.get(bar).copied().unwrap_or(0);
                self.set(place, &assigned.to_le_bytes());
            }
        }
    }

    /// What an access of `length` bytes at `offset` asks of the window, if it is one to the window's data.
    pub fn window_access(&self, offset: u64, length: usize) -> Option<WindowAccess> {
        let asked = word(&self.bytes, WINDOW + 12) as usize;
        let meant = offset == WINDOW_DATA as u64 && asked == length && matches!(asked, 1 | 2 | 4);
        meant.then(|| WindowAccess {
            bar: self.bytes.get(WINDOW + 4).copied().unwrap_or(0),
            offset: u64::from(word(&self.bytes, WINDOW + 8)),
            length,
        })
    }

    fn half(&self, place: usize) -> u16 {
        word(&self.bytes, place) as u16
    }

    fn set(&mut self, place: usize, data: &[u8]) {
        copy(&mut self.bytes, place, data);
    }

    fn allow(&mut self, place: usize, mask: &[u8]) {
        copy(&mut self.writable, place, mask);
    }

    fn set_bar(&mut self, bar: usize, address: u64, size: u64) {
        let (low, high) = (address as u32 | BAR_64_BIT, (address >> 32) as u32);
        let place = BARS + 4 * bar;
        for (index, value) in [low, high].into_iter().enumerate() {
            self.set(place + 4 * index, &value.to_le_bytes());
            if let Some(assigned) = self.assigned.get_mut(bar + index) {
                *assigned = value;
            }
        }
        self.allow(place, &(!(size - 1)).to_le_bytes());
    }

    fn set_msix(&mut self, vectors: u32) {
        let place = PCI_MSIX_CAPABILITY as usize;
        let control = (vectors - 1) as u16;
        self.set(place, &[CAPABILITY_MSIX, COMMON as u8]);
        self.set(place + 2, &control.to_le_bytes());
        self.allow(place + 3, &[0xc0]); // enable and function mask
        self.set(place + 4, &(MSIX_TABLE as u32 | 4).to_le_bytes());
        self.set(place + 8, &(MSIX_PENDING as u32 | 4).to_le_bytes());
    }

    fn set_virtio(
        &mut self,
        place: usize,
        next: usize,
        kind: u8,
        bar: u8,
        offset: u64,
        length: u32,
    ) {
        self.set(place, &[CAPABILITY_VENDOR, next as u8, 16, kind, bar]);
        self.set(place + 8, &(offset as u32).to_le_bytes());
        self.set(place + 12, &length.to_le_bytes());
    }
}

/// Subclass and class of a virtio device.
fn class_of(device_type: u32) -> [u8; 2] {
    match device_type {
        2 => [0x80, 0x01],  // mass storage, other
        3 => [0x80, 0x07],  // communication, other
        23 => [0x06, 0x08], // system peripheral, IOMMU
        _ => [0x00, 0xff],
    }
}

fn word(bytes: &[u8; SIZE], place: usize) -> u32 {
    let bytes = bytes.get(place..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn copy(bytes: &mut [u8; SIZE], place: usize, data: &[u8]) {
    for (byte, value) in bytes.iter_mut().skip(place).zip(data) {
        *byte = *value;
    }
}

#[cfg(test)]
mod tests {
    use super::super::placement::Placement;
    use super::*;

    fn space() -> (FunctionRecord, Configuration) {
        let record = Placement::default().place(2, 2).unwrap();
        (record, Configuration::new(&record))
    }

    fn load(space: &Configuration, offset: u64) -> u32 {
        let mut data = [0; 4];
        space.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    #[test]
    fn it_is_a_modern_virtio_block_function() {
        let (_, space) = space();
        assert_eq!(load(&space, 0), 0x1042_1af4);
        assert_eq!(load(&space, 0xffc), 0);
    }

    #[test]
    fn bars_show_their_size_and_never_move() {
        let (record, mut space) = space();
        for (bar, address, size) in [
            (0x10, record.registers, 0x8000u64),
            (0x18, record.doorbells, 0x2000),
            (0x20, record.msix, 0x2000),
        ] {
            space.write(bar, &[0xff; 4]);
            space.write(bar + 4, &[0xff; 4]);
            let mask = u64::from(load(&space, bar + 4)) << 32 | u64::from(load(&space, bar));
            assert_eq!(!(mask & !15) + 1, size);
            space.write(bar, &0x1234_0000u32.to_le_bytes());
            space.write(bar + 4, &[0; 4]);
            assert_eq!(u64::from(load(&space, bar)), address | 4);
            assert_eq!(u64::from(load(&space, bar + 4)), address >> 32);
        }
    }

    #[test]
    fn capabilities_are_a_list_with_the_five_virtio_structures() {
        let (_, space) = space();
        let mut kinds = Vec::new();
        let mut place = load(&space, 0x34) & 0xff;
        while place != 0 {
            let head = load(&space, place.into());
            if head & 0xff == 9 {
                kinds.push(head >> 24);
            } else {
                assert_eq!((head & 0xff, place), (0x11, 0x40));
                assert_eq!(head >> 16, 2, "three vectors, off");
            }
            place = head >> 8 & 0xff;
        }
        assert_eq!(kinds, [1, 2, 3, 4, 5]);
        assert_eq!(load(&space, NOTIFY as u64 + 16), 4096);
    }

    #[test]
    fn only_what_may_change_changes() {
        let (_, mut space) = space();
        let (_, old) = self::space();
        for offset in 0..SIZE as u64 {
            space.write(offset, &[0xa5]);
        }
        for offset in 0..SIZE {
            let changed = space.bytes[offset] ^ old.bytes[offset];
            assert_eq!(changed & !space.writable[offset], 0, "{offset:#x}");
        }
        assert_eq!(load(&space, 0x10), load(&old, 0x10));
        assert_eq!(space.command(), PCI_COMMAND_BUS_MASTER);
        assert_eq!(space.msix_control(), 2 | 0x8000);
    }
}
