//! The tree of derivation: its links, and whether everything derived is less than that from which it was derived.

use exo_abi::capability::{CapabilityEntry, DEPTH_MAX};
use exo_abi::{EnvironmentId, Kind, Rights};

use super::Inconsistency;
use crate::Ledger;
use crate::capabilities::Name;

impl Ledger<'_> {
    /// Each capability is the root of a tree, or stands once among the children of its parent, and is a part of it.
    pub(super) fn audit_tree(&self) -> Result<(), Inconsistency> {
        let (mut derived, mut children) = (0u64, 0u64);
        for (slot, entry) in self.used_slots() {
            match entry.parent.checked_sub(1) {
                None if entry.depth == 0
                    && (entry.next_sibling, entry.previous_sibling) == (0, 0)
                    && entry.kind != Kind::Dma as u8 => {}
                None => return Err(Inconsistency::Tree(slot)),
                Some(parent) => {
                    derived = derived.saturating_add(1);
                    let parent = self.slot(parent).ok_or(Inconsistency::Tree(slot))?;
                    self.audit_derived(slot, entry, parent)?;
                }
            }
            children = children.saturating_add(self.audit_children(slot, entry)?);
        }
        // No list of children has a slot twice, so equal sums mean that everything derived is in one.
        if children == derived {
            Ok(())
        } else {
            Err(Inconsistency::Orphans(derived.abs_diff(children)))
        }
    }

    /// A derived capability carries no more than its parent, in any way.
    fn audit_derived(
        &self,
        slot: u32,
        entry: &CapabilityEntry,
        parent: &CapabilityEntry,
    ) -> Result<(), Inconsistency> {
        if parent.holder == EnvironmentId::NOBODY
            || parent.depth.checked_add(1) != Some(entry.depth)
            || entry.depth > DEPTH_MAX
        {
            return Err(Inconsistency::Tree(slot));
        }
        let kind = Kind::from_number(entry.kind).ok_or(Inconsistency::Slot(slot))?;
        let memory = parent.kind == Kind::Frames as u8 || parent.kind == Kind::Blocks as u8;
        let fits = match kind {
            Kind::Dma => memory && entry.resource == 0,
            Kind::Queue if parent.kind == Kind::Function as u8 => {
                u64::from(entry.resource) == parent.first
            }
            _ => entry.kind == parent.kind && entry.resource == parent.resource,
        };
        let name = Name {
            kind,
            resource: entry.resource,
            first: entry.first,
            count: entry.count,
        };
        let rights = Rights(u32::from(parent.rights)).contains(Rights(u32::from(entry.rights)));
        if fits && rights && self.is_part(parent, &name) {
            Ok(())
        } else {
            Err(Inconsistency::Derived(slot))
        }
    }

    /// The children of `slot` know it as their parent, and each its neighbour. How many there are.
    fn audit_children(&self, slot: u32, entry: &CapabilityEntry) -> Result<u64, Inconsistency> {
        let (mut previous, mut next, mut length) = (0, entry.first_child, 0u64);
        while let Some(child) = next.checked_sub(1) {
            let entry = self.slot(child).ok_or(Inconsistency::Tree(slot))?;
            length = length.saturating_add(1);
            // A loop would come back to a child whose neighbour before it is another.
            if entry.holder == EnvironmentId::NOBODY
                || entry.parent.checked_sub(1) != Some(slot)
                || entry.previous_sibling != previous
            {
                return Err(Inconsistency::Tree(child));
            }
            (previous, next) = (next, entry.next_sibling);
        }
        Ok(length)
    }
}
