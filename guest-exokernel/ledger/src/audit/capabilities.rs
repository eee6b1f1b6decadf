//! Capability slots, the list of free ones, and whether capabilities and owners of memory say the same.

use exo_abi::address::{BLOCK_FRAMES, BLOCK_ORDER};
use exo_abi::capability::{CapabilityEntry, RETIRED};
use exo_abi::frame::BlockState;
use exo_abi::{EnvironmentId, Kind, Rights};

use super::Inconsistency;
use crate::Ledger;

/// Whether a used entry carries only what its kind allows.
fn is_well_formed(entry: &CapabilityEntry) -> bool {
    let sound = match Kind::from_number(entry.kind) {
        Some(Kind::Blocks) => {
            let aligned = entry.first.is_multiple_of(BLOCK_FRAMES)
                && entry.count.is_multiple_of(BLOCK_FRAMES);
            aligned || entry.parent != 0
        }
        Some(Kind::Function | Kind::Entry) => entry.count == 1,
        Some(_) => true,
        None => false,
    };
    sound
        && entry.count != 0
        && entry.first.checked_add(entry.count).is_some()
        && entry.generation != 0
        && entry.guaranteed <= 1
        && entry.reserved == [0; 2]
        && Rights::CAPABILITY.contains(Rights(u32::from(entry.rights)))
}

/// Frames, functions, environments or slices that both name.
fn names_overlap(one: &CapabilityEntry, other: &CapabilityEntry) -> bool {
    let memory = |entry: &CapabilityEntry| {
        matches!(
            Kind::from_number(entry.kind),
            Some(Kind::Frames | Kind::Blocks)
        )
    };
    let alone = [
        Kind::Function as u8,
        Kind::Environment as u8,
        Kind::Slice as u8,
    ];
    let same = one.kind == other.kind && one.resource == other.resource;
    let alike = (memory(one) && memory(other)) || (same && alone.contains(&one.kind));
    alike
        && one.first < other.first.saturating_add(other.count)
        && other.first < one.first.saturating_add(one.count)
}

impl Ledger<'_> {
    /// Slots in use, with their numbers.
    pub(super) fn used_slots(&self) -> impl Iterator<Item = (u32, &CapabilityEntry)> + Clone {
        (0u32..)
            .zip(self.tables.capabilities.iter())
            .filter(|(_, entry)| entry.holder != EnvironmentId::NOBODY)
    }

    /// Each slot is well formed, or free and clean, or retired, or was never used and is all zero.
    pub(super) fn audit_slots(&self, unused: u32) -> Result<(), Inconsistency> {
        for (slot, entry) in (0u32..).zip(self.tables.capabilities.iter()) {
            let good = if slot >= unused {
                *entry == CapabilityEntry::default()
            } else if entry.holder == EnvironmentId::NOBODY {
                let clean = CapabilityEntry {
                    generation: entry.generation,
                    next: entry.next,
                    ..CapabilityEntry::default()
                };
                *entry == clean && (entry.generation == 0) == (entry.next == RETIRED)
            } else {
                self.environment(entry.holder).is_ok() && is_well_formed(entry)
            };
            if !good {
                return Err(Inconsistency::Slot(slot));
            }
        }
        Ok(())
    }

    /// The list of free slots holds each slot that is free and has generations left, once. The first slot that was never used:
    /// there the list ends.
    pub(super) fn audit_free_list(&self) -> Result<u32, Inconsistency> {
        let slots = self.tables.capabilities.len() as u32;
        let is_freed = |entry: &CapabilityEntry| {
            entry.holder == EnvironmentId::NOBODY && entry.generation != 0
        };
        let entries = self.tables.capabilities.iter();
        let freed = entries.filter(|entry| is_freed(entry)).count() as u32;
        let (mut next, mut length) = (self.free_capability, 0u32);
        while let Some(slot) = next.checked_sub(1) {
            let entry = self.slot(slot).ok_or(Inconsistency::FreeList(slot))?;
            if *entry == CapabilityEntry::default() && length == freed {
                return Ok(slot);
            }
            length = length.saturating_add(1);
            if !is_freed(entry) || length > freed {
                return Err(Inconsistency::FreeList(slot));
            }
            next = entry.next;
        }
        if length == freed {
            Ok(slots)
        } else {
            Err(Inconsistency::FreeList(slots))
        }
    }

    /// No name has two capabilities that were not derived, and frames have exactly the owners that those say.
    pub(super) fn audit_names(&self) -> Result<(), Inconsistency> {
        let mut named = 0u64;
        let roots = self.used_slots().filter(|(_, entry)| entry.parent == 0);
        for (slot, entry) in roots.clone() {
            let overlapping = roots
                .clone()
                .take_while(|&(other, _)| other < slot)
                .find(|(_, other)| names_overlap(entry, other));
            if let Some((other, _)) = overlapping {
                return Err(Inconsistency::SharedName(other, slot));
            }
            let state = match Kind::from_number(entry.kind) {
                Some(Kind::Frames) => BlockState::Split,
                Some(Kind::Blocks) => BlockState::Whole,
                _ => continue,
            };
            for frame in entry.first..entry.first.saturating_add(entry.count) {
                let block = self.tables.blocks.get((frame >> BLOCK_ORDER) as usize);
                if self.owner(frame) != entry.holder
                    || block.is_none_or(|block| block.state != state as u8)
                {
                    return Err(Inconsistency::ForeignFrame(frame));
                }
            }
            named = named.saturating_add(entry.count);
        }
        // Names do not overlap, so equal sums mean that every owned frame has its capability.
        let owned: u64 = self
            .tables
            .environments
            .iter()
            .map(|entry| u64::from(entry.frames))
            .sum();
        if owned == named {
            Ok(())
        } else {
            Err(Inconsistency::UnnamedFrame(owned.abs_diff(named)))
        }
    }
}
