//! The tree of derivation: links from each capability to its parent, its newest child and its neighbours among those with the
//! same parent. A link is a slot plus one; 0: none. All changes cost the same, however many capabilities there are.

use exo_abi::capability::CapabilityEntry;
use exo_abi::environment::State;
use exo_abi::{Capability, EnvironmentId, Kind};

use crate::Ledger;
use crate::capabilities::index_of;
use crate::environments::environment_index;
use crate::holders::kind_index;

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

    /// Takes what was derived from `ancestor`, leaf by leaf, for as long as that is a matter of the tables alone: memory of which
    /// nothing is mapped, and whose holder does not sleep, on words of it perhaps. Lowers `left` by what it took, and ends at 0. The leaf at which it ended, if there is one.
    ///
    /// The search goes down from `from`, which is `ancestor` or descends from it: at most [`exo_abi::capability::DEPTH_MAX`]
    /// steps. Whoever goes on at the parent of what it took makes each step of the tree once, so that the whole is linear in what
    /// is taken.
    pub fn take_unmapped(
        &mut self,
        ancestor: Capability,
        from: Capability,
        left: &mut u64,
    ) -> Option<Capability> {
        let mut slot = from.slot();
        loop {
            let entry = self.slot(slot)?;
            let child = index_of(entry.first_child);
            if child < self.tables.capabilities.len() {
                slot = child as u32;
                continue;
            }
            if slot == ancestor.slot() {
                return None;
            }
            let leaf = Capability::new(slot, entry.generation);
            let (holder, kind, parent) = (entry.holder, entry.kind, entry.parent);
            let memory = kind == Kind::Frames as u8 || kind == Kind::Blocks as u8;
            let awake = self
                .environment(holder)
                .is_ok_and(|holder| holder.state == State::Runnable as u32);
            if !memory || !awake {
                return Some(leaf);
            }
            let before = *left;
            slot = self.take_siblings(slot, (holder, kind), parent, left);
            if *left == before {
                return Some(leaf);
            }
        }
    }

    /// Takes a leaf that is the newest child of its parent, and its older siblings, while these are leaves under which nothing is mapped, and holder and
    /// kind stay the same; counts once. The slot of the parent.
    fn take_siblings(
        &mut self,
        slot: u32,
        (holder, kind): (EnvironmentId, u8),
        parent: u32,
        left: &mut u64,
    ) -> u32 {
        let capabilities = &mut *self.tables.capabilities;
        let environment = self.tables.environments.get_mut(environment_index(holder));
        let Some(environment) = environment else {
            return slot;
        };
        let mut budget = *left;
        let mut newest = environment.first_capability;
        let mut free = self.free_capability;
        let mut link = slot.wrapping_add(1);
        while budget != 0
            && let Some(entry) = capabilities.get_mut(index_of(link))
        {
            let generation = entry.generation.wrapping_add(1);
            if entry.first_child != 0 || entry.first_mapping != 0 || generation == 0 {
                break;
            }
            if entry.holder != holder || entry.kind != kind {
                break;
            }
            let (next, previous, older) = (entry.next, entry.previous, entry.next_sibling);
            *entry = CapabilityEntry {
                generation,
                next: free,
                ..CapabilityEntry::default()
            };
            free = link;
            match capabilities.get_mut(index_of(previous)) {
                Some(entry) => entry.next = next,
                None => newest = next,
            }
            if let Some(entry) = capabilities.get_mut(index_of(next)) {
                entry.previous = previous;
            }
            link = older;
            budget = budget.wrapping_sub(1);
        }
        if let Some(entry) = capabilities.get_mut(index_of(link)) {
            entry.previous_sibling = 0;
        }
        if let Some(entry) = capabilities.get_mut(index_of(parent)) {
            entry.first_child = link;
        }
        let taken = core::mem::replace(left, budget).wrapping_sub(budget);
        self.free_capability = free;
        environment.first_capability = newest;
        environment.capabilities = environment.capabilities.wrapping_sub(taken as u32);
        if let Some(held) = environment.held.get_mut(kind_index(kind)) {
            *held = held.wrapping_sub(taken as u32);
        }
        let used = &mut self.tables.summary.capabilities_used;
        *used = used.wrapping_sub(taken);
        parent.wrapping_sub(1)
    }

    /// Makes `slot`, which has no links of the tree, the newest child of `parent`.
    pub(crate) fn graft(&mut self, parent: u32, slot: u32) {
        let link = slot.wrapping_add(1);
        let Some(above) = self.slot_mut(parent) else {
            return;
        };
        let depth = above.depth.wrapping_add(1);
        let sibling = core::mem::replace(&mut above.first_child, link);
        if let Some(entry) = self.slot_mut(slot) {
            entry.parent = parent.wrapping_add(1);
            entry.next_sibling = sibling;
            entry.depth = depth;
        }
        if let Some(entry) = self.tables.capabilities.get_mut(index_of(sibling)) {
            entry.previous_sibling = link;
        }
    }

    /// Takes an entry, from which nothing is derived, out of the tree, if it is in one. The entry itself is left as it is.
    #[inline(always)]
    pub(crate) fn prune(&mut self, parent: u32, previous: u32, next: u32) {
        let capabilities = &mut *self.tables.capabilities;
        if let Some(entry) = capabilities.get_mut(index_of(next)) {
            entry.previous_sibling = previous;
        }
        if let Some(entry) = capabilities.get_mut(index_of(previous)) {
            entry.next_sibling = next;
        } else if let Some(entry) = capabilities.get_mut(index_of(parent)) {
            entry.first_child = next;
        }
    }
}
