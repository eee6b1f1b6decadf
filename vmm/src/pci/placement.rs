//! Where functions lie in the device hole: assigned once, as firmware would, and told to the guest in its bundle.

use exo_abi::address::{DEVICE_HOLE, PAGE_SIZE, align_up};
use exo_abi::function::{
    DOORBELL_STRIDE, FUNCTIONS_MAX, FunctionRecord, MSIX_BAR_SIZE, QUEUES_MAX, REGISTER_PAGES,
};

/// Start of the ECAM window (PCI Express base specification, section 7.2.2), which is one bus.
pub const ECAM_BASE: u64 = DEVICE_HOLE;
/// Bytes of it: 32 devices with 8 functions of one page.
pub const ECAM_SIZE: u64 = 256 * PAGE_SIZE;

/// Bytes of BAR 0 for so many queues: BARs are powers of two.
pub const fn registers_size(queues: u32) -> u64 {
    ((REGISTER_PAGES + queues as u64) * PAGE_SIZE).next_power_of_two()
}

/// Bytes of BAR 2 for so many queues.
pub const fn doorbells_size(queues: u32) -> u64 {
    (queues as u64 * DOORBELL_STRIDE as u64).next_power_of_two()
}

/// Hands out addresses, lowest first.
pub struct Placement {
    count: u32,
    next: u64,
}

impl Default for Placement {
    fn default() -> Self {
        Self {
            count: 0,
            next: ECAM_BASE + ECAM_SIZE,
        }
    }
}

impl Placement {
    /// Places the next function; `None` where the bus is full, or it has more queues than a function may.
    pub fn place(&mut self, device_type: u32, queues: u32) -> Option<FunctionRecord> {
        if self.count >= FUNCTIONS_MAX as u32 || queues == 0 || queues > QUEUES_MAX {
            return None;
        }
        // Function 0 of devices 0 to 31, then function 1.
        let address = ((self.count % 32) << 3) | (self.count / 32);
        let registers = self.reserve(registers_size(queues))?;
        let doorbells = self.reserve(doorbells_size(queues))?;
        let msix = self.reserve(MSIX_BAR_SIZE)?;
        self.count += 1;
        Some(FunctionRecord {
            address,
            device_type,
            registers,
            doorbells,
            msix,
            configuration: ECAM_BASE + u64::from(address) * PAGE_SIZE,
            queues,
            vectors: queues + 1,
            disk: 0,
            reserved: 0,
        })
    }

    fn reserve(&mut self, size: u64) -> Option<u64> {
        let start = align_up(self.next, size)?;
        self.next = start + size;
        Some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_aligned_and_disjoint_and_the_bus_has_an_end() {
        let mut placement = Placement::default();
        let mut ranges = vec![(ECAM_BASE, ECAM_SIZE)];
        for index in 0..FUNCTIONS_MAX as u32 {
            let queues = index % QUEUES_MAX + 1;
            let record = placement.place(2, queues).unwrap();
            assert!(record.configuration < ECAM_BASE + ECAM_SIZE);
            ranges.push((record.registers, registers_size(queues)));
            ranges.push((record.doorbells, doorbells_size(queues)));
            ranges.push((record.msix, MSIX_BAR_SIZE));
        }
        assert!(placement.place(2, 1).is_none());
        assert!(Placement::default().place(2, QUEUES_MAX + 1).is_none());
        ranges.sort();
        for pair in ranges.windows(2) {
            assert!(pair[0].0 + pair[0].1 <= pair[1].0);
            assert_eq!(pair[1].0 % pair[1].1, 0);
        }
    }
}
