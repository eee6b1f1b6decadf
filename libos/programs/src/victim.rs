//! The victim's memory: its pattern, and which of its frames an attacker aims at.

use exo_rt::abi::address::{BLOCK_FRAMES, PAGE_SHIFT};
use exo_rt::abi::environment::{EnvironmentEntry, EnvironmentId};
use exo_rt::abi::frame::BlockState;
use exo_rt::abi::{Call, Capability, Kind};
use exo_rt::{environment, tables, wait};

/// Name of the victim in every manifest.
pub const VICTIM: &str = "victim";

/// What the victim keeps in the word at this physical address.
pub const fn pattern(physical: u64) -> u64 {
    // Odd multiplier (Knuth, The Art of Computer Programming volume 3, section 6.4): no two words of a machine are equal.
    physical.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x7669_6374_696d_2121
}

/// The victim as its neighbour sees it in the exported tables.
#[derive(Clone, Copy)]
pub struct Victim {
    /// Its number.
    pub id: EnvironmentId,
    /// A frame of its memory that holds the pattern.
    pub frame: u64,
}

fn find() -> Option<(EnvironmentId, EnvironmentEntry)> {
    tables::environments().find(|(_, entry)| tables::Name::new(entry.name).as_str() == VICTIM)
}

impl Victim {
    /// Waits until the victim has filled its memory, and finds a frame of it.
    pub fn await_ready() -> Self {
        loop {
            let (id, entry) = find().expect("the manifest has a victim");
            if entry.calls[Call::EnvironmentYield.index()] != 0 {
                let frame = Self::middle_of_grant(id).expect("the victim has a memory grant");
                return Self { id, frame };
            }
            wait::yield_now();
        }
    }

    /// The stack is at the start of the first block of the grant: the middle of that block holds the pattern.
    fn middle_of_grant(id: EnvironmentId) -> Option<u64> {
        (0..tables::block_count())
            .find(|&index| {
                let entry = tables::block(index);
                entry.is_some_and(|entry| {
                    entry.owner == id && entry.state == BlockState::Whole as u8
                })
            })
            .map(|block| block * BLOCK_FRAMES + BLOCK_FRAMES / 2)
    }

    /// Physical address of that frame.
    pub fn physical(&self) -> u64 {
        self.frame << PAGE_SHIFT
    }

    /// A capability that the victim holds, word for word, by kind.
    pub fn capability(&self, kind: Kind) -> Option<Capability> {
        capabilities_of_others().find_map(|(holder, capability, held)| {
            (holder == self.id && held == kind as u8).then_some(capability)
        })
    }
}

/// Every capability that another environment holds, word for word, as the exported table shows it: holder, word, kind.
pub fn capabilities_of_others() -> impl Iterator<Item = (EnvironmentId, Capability, u8)> {
    let own = environment::id();
    (0..tables::capability_slots()).filter_map(move |slot| {
        let entry = tables::capability_at(slot)?;
        let held = entry.holder != own && entry.holder != EnvironmentId::NOBODY;
        held.then(|| {
            (
                entry.holder,
                Capability::new(slot as u32, entry.generation),
                entry.kind,
            )
        })
    })
}
