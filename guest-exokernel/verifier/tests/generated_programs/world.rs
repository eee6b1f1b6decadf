//! What a generated predicate can read: a few frames under a few capabilities, a call page, a clock.

use exo_abi::term::Term;
use exo_abi::{Capability, Error};

use super::random::Random;

/// Which capability covers which frames: first, and how many.
pub const GRANTS: [(u64, u64, u64); 3] = [
    (0x1_0000_0003, 0x800, 2),
    (0x7_0000_0004, 0x803, 1),
    (0x2_0000_0009, 0xf_ffff, 1),
];

/// The state of memory and time at one evaluation. Frames are few, so only their words that differ from a pattern are kept.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The time stamp counter.
    pub time: u64,
    words: std::collections::BTreeMap<(u64, u64), u64>,
    call_words: std::collections::BTreeMap<u64, u64>,
}

impl World {
    /// Whether a capability lets the owner read a frame.
    pub fn may_read(capability: Capability, frame: u64) -> Result<(), Error> {
        let grant = GRANTS.iter().find(|(word, _, _)| *word == capability.0);
        let (_, first, count) = grant.ok_or(Error::BadCapability)?;
        if frame < *first || frame - first >= *count {
            return Err(Error::OutOfRange);
        }
        Ok(())
    }

    /// A world in which many of these terms hold.
    pub fn for_predicate(random: &mut Random, terms: &[Term]) -> Self {
        let mut world = Self {
            time: random.pick(&[0, 1, 50, 51, 1000, u64::MAX]),
            ..Self::default()
        };
        for term in terms {
            let noise = random.word() & !term.mask;
            let operand = match random.below(8) {
                0 => random.word(),
                1 => term.value.wrapping_add(1) | noise,
                2 => term.value.wrapping_sub(1) | noise,
                _ => term.value | noise,
            };
            let offset = u64::from(term.offset);
            match term.source {
                1 if random.one_in(2) => world.time = operand,
                2 => drop(world.call_words.insert(offset, operand)),
                3 => drop(world.words.insert((term.frame, offset), operand)),
                _ => {}
            }
        }
        world
    }

    /// The aligned word of a frame.
    pub fn frame_word(&self, frame: u64, offset: u64) -> u64 {
        let pattern = frame.wrapping_mul(4096).wrapping_add(offset);
        self.words.get(&(frame, offset)).copied().unwrap_or(pattern)
    }

    /// The aligned word of the call page.
    pub fn call_word(&self, offset: u64) -> u64 {
        self.call_words.get(&offset).copied().unwrap_or(offset)
    }
}
