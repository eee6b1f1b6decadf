//! A product of a filter as bits: fixed to 0, fixed to 1, or any; and how long a packet has to be.

use exo_abi::term::FILTER_REACH;
use exo_verifier::{PacketField, Test};

/// Words of 8 bytes within the reach of a filter.
pub const WORDS: usize = FILTER_REACH as usize / 8;

/// The fixed bits of one word of a packet, its first byte the most significant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Atom {
    /// Which bits are fixed.
    pub mask: u64,
    /// What they are; all others are 0.
    pub value: u64,
}

/// The packets that one product of a filter takes: however its terms cut them up, equal sets are equal patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    atoms: [Atom; WORDS],
    length: usize,
}

impl Pattern {
    /// The pattern of a product; `None` where two of its terms contradict each other, so that it takes nothing.
    pub fn of(product: &[Test<PacketField>]) -> Option<Self> {
        let mut pattern = Self {
            atoms: [Atom::default(); WORDS],
            length: 0,
        };
        for test in product {
            let width = usize::from(test.place.width);
            let end = usize::from(test.place.offset) + width;
            pattern.length = pattern.length.max(end);
            for byte in 0..width {
                let shift = 8 * byte;
                let mask = (test.range.mask() >> shift) as u8;
                let value = (test.range.low() >> shift) as u8;
                if !pattern.fix(end - 1 - byte, mask, value) {
                    return None;
                }
            }
        }
        Some(pattern)
    }

    /// Fixes bits of one byte; false where one of them is fixed to the opposite.
    fn fix(&mut self, position: usize, mask: u8, value: u8) -> bool {
        let shift = 8 * (7 - position % 8);
        let (mask, value) = (u64::from(mask) << shift, u64::from(value) << shift);
        let atom = &mut self.atoms[position / 8];
        if (atom.value ^ value) & atom.mask & mask != 0 {
            return false;
        }
        atom.mask |= mask;
        atom.value |= value;
        true
    }

    /// Whether a packet exists that both take. Exact: no bit is fixed to 0 in one and to 1 in the other, and a packet that is long enough
    /// for both can be had.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.atoms
            .iter()
            .zip(&other.atoms)
            .all(|(a, b)| (a.value ^ b.value) & a.mask & b.mask == 0)
    }

    /// Bytes that a packet has at least.
    pub const fn length(&self) -> usize {
        self.length
    }

    /// The words with fixed bits, by position.
    pub fn atoms(&self) -> impl Iterator<Item = (usize, Atom)> {
        self.atoms
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, atom)| atom.mask != 0)
    }
}
