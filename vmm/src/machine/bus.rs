//! The bus: which device answers at a guest-physical address or at a port.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A device as the guest's loads and stores see it. Offsets count from the start of the range it was inserted with.
pub trait BusDevice: Send + Sync {
    /// The guest loads `data.len()` bytes (1, 2, 4 or 8 by one instruction; string port input may ask for more).
    fn read(&self, offset: u64, data: &mut [u8]);
    /// The guest stores `data`.
    fn write(&self, offset: u64, data: &[u8]);
}

/// Ranges of addresses and the devices that answer there. Ranges never overlap.
#[derive(Default)]
pub struct Bus {
    ranges: BTreeMap<u64, Range>,
}

struct Range {
    last: u64,
    device: Arc<dyn BusDevice>,
}

/// A range that cannot be inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// Some address of the range belongs to another device.
    #[error("the range of {length:#x} bytes at {base:#x} overlaps that of another device")]
    Overlap {
        /// Where the range starts.
        base: u64,
        /// Its bytes.
        length: u64,
    },
    /// The range is empty, or goes beyond the last address.
    #[error("the range of {length:#x} bytes at {base:#x} is empty or wraps around")]
    BadRange {
        /// Where the range starts.
        base: u64,
        /// Its bytes.
        length: u64,
    },
}

impl Bus {
    /// A bus with nothing on it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `device` at `base..base + length`.
    pub fn insert(
        &mut self,
        base: u64,
        length: u64,
        device: Arc<dyn BusDevice>,
    ) -> Result<(), BusError> {
        let last = length
            .checked_sub(1)
            .and_then(|rest| base.checked_add(rest))
            .ok_or(BusError::BadRange { base, length })?;
        // Of all ranges that start at or before our last address, only the highest can reach into ours.
        if let Some((_, below)) = self.ranges.range(..=last).next_back()
            && below.last >= base
        {
            return Err(BusError::Overlap { base, length });
        }
        self.ranges.insert(base, Range { last, device });
        Ok(())
    }

    /// The guest loads from `address`. What no device answers, in whole, reads as all ones, as on a PCI bus.
    pub fn read(&self, address: u64, data: &mut [u8]) {
        match self.find(address, data.len()) {
            Some((device, offset)) => device.read(offset, data),
            None => data.fill(0xff),
        }
    }

    /// The guest stores to `address`. What no device answers is lost.
    pub fn write(&self, address: u64, data: &[u8]) {
        if let Some((device, offset)) = self.find(address, data.len()) {
            device.write(offset, data);
        }
    }

    /// The device whose range holds all of the access, and the offset in that range.
    fn find(&self, address: u64, length: usize) -> Option<(&dyn BusDevice, u64)> {
        let last = address.checked_add((length as u64).checked_sub(1)?)?;
        let (base, range) = self.ranges.range(..=address).next_back()?;
        (last <= range.last).then(|| (range.device.as_ref(), address - base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Recorder(Mutex<Vec<(u64, Vec<u8>)>>);

    impl BusDevice for Recorder {
        fn read(&self, offset: u64, data: &mut [u8]) {
            data.fill(offset as u8);
        }
        fn write(&self, offset: u64, data: &[u8]) {
            self.0.lock().unwrap().push((offset, data.to_vec()));
        }
    }

    #[test]
    fn accesses_reach_the_device_with_its_own_offset() {
        let device = Arc::new(Recorder::default());
        let mut bus = Bus::new();
        bus.insert(0x1000, 0x10, device.clone()).unwrap();
        let mut byte = [0];
        bus.read(0x100f, &mut byte);
        assert_eq!(byte, [0xf]);
        bus.write(0x1004, &[1, 2]);
        assert_eq!(*device.0.lock().unwrap(), [(4, vec![1, 2])]);
    }

    #[test]
    fn nothing_and_straddling_accesses_read_all_ones() {
        let device = Arc::new(Recorder::default());
        let mut bus = Bus::new();
        bus.insert(0x1000, 0x10, device.clone()).unwrap();
        for address in [0xfff, 0x1010, 0x100e, u64::MAX] {
            let mut word = [0; 4];
            bus.read(address, &mut word);
            bus.write(address, &word);
            assert_eq!(word, [0xff; 4], "{address:#x}");
        }
        assert!(device.0.lock().unwrap().is_empty());
    }

    #[test]
    fn overlapping_and_wrapping_ranges_are_refused() {
        let device = Arc::new(Recorder::default());
        let mut bus = Bus::new();
        bus.insert(0x1000, 0x10, device.clone()).unwrap();
        for (base, length) in [
            (0x1000, 0x10),
            (0xfff, 2),
            (0x100f, 1),
            (0x1008, 2),
            (0, 0x2000),
        ] {
            assert_eq!(
                bus.insert(base, length, device.clone()),
                Err(BusError::Overlap { base, length })
            );
        }
        for (base, length) in [(0x2000, 0), (u64::MAX, 2)] {
            assert_eq!(
                bus.insert(base, length, device.clone()),
                Err(BusError::BadRange { base, length })
            );
        }
        bus.insert(0x1010, 1, device.clone()).unwrap();
        bus.insert(0xfff, 1, device).unwrap();
    }
}
