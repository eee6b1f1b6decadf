//! The tree of derivation: links from each capability to its parent, its newest child and its neighbours among those with the
//! same parent. A link is a slot plus one; 0: none. All changes cost the same, however many capabilities there are.

use exo_abi::Capability;
use exo_abi::capability::CapabilityEntry;

use crate::Ledger;

impl Ledger<'_> {
    /// The entry of a capability that is known to be good, whoever holds it.
    pub fn entry(&self, capability: Capability) -> Option<&CapabilityEntry> {
        let entry = self.slot(capability.slot())?;
        (entry.generation == capability.generation()).then_some(entry)
    }

    /// The capability from which this one was derived.
    pub fn parent(&self, capability: Capability) -> Option<Capability> {
        self.linked(self.entry(capability)?.parent)
    }

    /// What is taken first of all that was derived from `ancestor`, directly or not: one from which nothing is derived.
    /// The search goes down from `from`, which is `ancestor` or descends from it: it costs at most
    /// [`exo_abi::capability::DEPTH_MAX`] steps. Whoever takes everything goes on at the parent of what it took, and so makes each
    /// step of the tree once.
    pub fn leaf_below(&self, ancestor: Capability, from: Capability) -> Option<Capability> {
        let mut slot = from.slot();
        while let Some(child) = self.slot(slot)?.first_child.checked_sub(1) {
            slot = child;
        }
        let leaf = Capability::new(slot, self.slot(slot)?.generation);
        (leaf != ancestor).then_some(leaf)
    }

    /// Makes `slot`, which has no links of the tree, the newest child of `parent`.
    pub(crate) fn graft(&mut self, parent: u32, slot: u32) {
        let link = slot.saturating_add(1);
        let Some(above) = self.slot_mut(parent) else {
            return;
        };
        let depth = above.depth.saturating_add(1);
        let sibling = core::mem::replace(&mut above.first_child, link);
        if let Some(entry) = self.slot_mut(slot) {
            entry.parent = parent.saturating_add(1);
            entry.next_sibling = sibling;
            entry.depth = depth;
        }
        if let Some(sibling) = sibling.checked_sub(1)
            && let Some(entry) = self.slot_mut(sibling)
        {
            entry.previous_sibling = link;
        }
    }

    /// Takes a slot, from which nothing is derived, out of the tree. The entry itself is left as it is.
    pub(crate) fn prune(&mut self, entry: &CapabilityEntry) {
        let (previous, next) = (entry.previous_sibling, entry.next_sibling);
        if let Some(sibling) = next.checked_sub(1)
            && let Some(entry) = self.slot_mut(sibling)
        {
            entry.previous_sibling = previous;
        }
        if let Some(sibling) = previous.checked_sub(1) {
            if let Some(entry) = self.slot_mut(sibling) {
                entry.next_sibling = next;
            }
        } else if let Some(parent) = entry.parent.checked_sub(1)
            && let Some(entry) = self.slot_mut(parent)
        {
            entry.first_child = next;
        }
    }
}
