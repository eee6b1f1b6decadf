//! Which I/O ports ring 3 may use: sets of ports, one copy of each, and the set that is in force on each vCPU.
//!
//! Most environments that have ports have the same: then the bitmap of the task state segment stays as it is when they take
//! turns. For those without ports there is no bitmap at all, and nothing is copied.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use exo_abi::environment::ENVIRONMENTS_MAX;
use exo_abi::port::PortRange;
use exo_abi::{EnvironmentId, Kind, Rights};

use crate::hw::shootdown;
use crate::hw::vcpu::{
    NO_PORT_BITMAP, PORT_BITMAP, PORT_WORDS, VCPUS_MAX, index, set_port_bitmap, write_port_bitmap,
};
use crate::kernel::Kernel;
use crate::transfer;

/// Names a set of ports: slot plus one in the low half, use of the slot in the high half; zero: no ports.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PortSet(u64);

/// A set. It does not change while somebody has it; changed under the kernel's lock only.
struct Slot {
    allowed: [AtomicU64; PORT_WORDS],
    /// Environments that have it.
    holders: AtomicU32,
    /// Raised when the slot gets another set.
    uses: AtomicU32,
}

/// One for each environment, so that there is always one free.
static SETS: [Slot; ENVIRONMENTS_MAX] = [const {
    Slot {
        allowed: [const { AtomicU64::new(0) }; PORT_WORDS],
        holders: AtomicU32::new(0),
        uses: AtomicU32::new(0),
    }
}; ENVIRONMENTS_MAX];

/// By vCPU: the set in force, and that whose bitmap was written last.
static LOADED: [(AtomicU64, AtomicU64); VCPUS_MAX] =
    [const { (AtomicU64::new(0), AtomicU64::new(0)) }; VCPUS_MAX];

/// By vCPU: the set that is to be in force there, or [`UNCHANGED`].
static WANTED: [AtomicU64; VCPUS_MAX] = [const { AtomicU64::new(UNCHANGED) }; VCPUS_MAX];
/// No set has this name.
const UNCHANGED: u64 = u64::MAX;

impl PortSet {
    /// No ports.
    pub const EMPTY: Self = Self(0);

    /// The set of the ports in `ranges`, which all lie below `PORTS_END`. Cost: linear in the ports, and in the sets in use.
    pub fn of(ranges: impl Iterator<Item = PortRange>) -> Self {
        let mut allowed = [0; PORT_WORDS];
        for range in ranges {
            for port in range.first..range.first.saturating_add(range.count) {
                if let Some(word) = allowed.get_mut(usize::from(port / 64)) {
                    *word |= 1 << (port % 64);
                }
            }
        }
        Self::find(&allowed)
    }

    /// The set with this bitmap, made if it is new; one holder more.
    fn find(allowed: &[u64; PORT_WORDS]) -> Self {
        if allowed.iter().all(|&word| word == 0) {
            return Self::EMPTY;
        }
        let mut free = None;
        for (index, slot) in SETS.iter().enumerate() {
            let holders = slot.holders.load(Ordering::Relaxed);
            if holders == 0 {
                free = free.or(Some((index, slot)));
                // Slots are taken from the first on: behind one that was never used there is none.
                if slot.uses.load(Ordering::Relaxed) == 0 {
                    break;
                }
                continue;
            }
            let mut words = slot.allowed.iter().zip(allowed);
            if words.all(|(word, &wanted)| word.load(Ordering::Relaxed) == wanted) {
                slot.holders
                    .store(holders.wrapping_add(1), Ordering::Relaxed);
                return Self::named(index, slot);
            }
        }
        let Some((index, slot)) = free else {
            return Self::EMPTY;
        };
        for (word, &wanted) in slot.allowed.iter().zip(allowed) {
            word.store(wanted, Ordering::Relaxed);
        }
        slot.holders.store(1, Ordering::Relaxed);
        let uses = slot.uses.load(Ordering::Relaxed).wrapping_add(1);
        slot.uses.store(uses.max(1), Ordering::Relaxed);
        Self::named(index, slot)
    }

    fn named(index: usize, slot: &Slot) -> Self {
        let uses = u64::from(slot.uses.load(Ordering::Relaxed));
        Self(uses << 32 | (index as u64 + 1))
    }

    /// A number that no other set has.
    pub fn number(self) -> u64 {
        self.0
    }

    fn slot(self) -> Option<&'static Slot> {
        SETS.get((self.0 as u32 as usize).checked_sub(1)?)
    }

    /// One holder less.
    fn give_up(self) {
        if let Some(slot) = self.slot() {
            let holders = slot.holders.load(Ordering::Relaxed);
            slot.holders
                .store(holders.saturating_sub(1), Ordering::Relaxed);
        }
    }

    /// Puts the set in force on vCPU `index`, which is this one. Cost: a comparison where it is already; 16 words where another was.
    pub fn load(self, index: usize) {
        let Some((in_force, written)) = LOADED.get(index) else {
            return;
        };
        if in_force.load(Ordering::Relaxed) == self.0 {
            return;
        }
        in_force.store(self.0, Ordering::Relaxed);
        let Some(slot) = self.slot() else {
            return set_port_bitmap(index, NO_PORT_BITMAP);
        };
        if written.load(Ordering::Relaxed) != self.0 {
            written.store(self.0, Ordering::Relaxed);
            write_port_bitmap(index, &slot.allowed);
        }
        set_port_bitmap(index, PORT_BITMAP);
    }
}

/// Finds out anew which ports an environment may use, after it got or lost some, and puts that in force. Cost: linear in its
/// capabilities, and an interrupt of another vCPU where it runs there.
pub fn update(kernel: &mut Kernel, id: EnvironmentId) {
    let ledger = &kernel.ledger;
    let mut next = ledger.newest_capability(id);
    let held = core::iter::from_fn(|| {
        let capability = next?;
        next = ledger.older_capability(id, capability);
        ledger.capability(id, capability).ok()
    });
    let ports = held.filter(|entry| {
        // A bitmap does not tell reading from writing.
        let rights = Rights(u32::from(entry.rights));
        entry.kind == Kind::Ports as u8 && rights.contains(Rights::READ_WRITE)
    });
    let set = PortSet::of(ports.map(|entry| PortRange {
        first: entry.first as u16,
        count: entry.count as u16,
    }));
    let Ok(environment) = kernel.environment(id) else {
        return;
    };
    core::mem::replace(&mut environment.context.ports, set).give_up();
    transfer::update_terms(kernel, id);
    put_in_force(kernel, id, set);
}

/// Puts the set in force at once where the environment runs. Nobody else has the old set's slot before that.
fn put_in_force(kernel: &Kernel, id: EnvironmentId, set: PortSet) {
    let Ok(vcpu) = kernel
        .ledger
        .environment(id)
        .map(|entry| entry.vcpu as usize)
    else {
        return;
    };
    if kernel.ledger.running(vcpu) != id {
        return;
    }
    if vcpu == index() {
        set.load(vcpu);
    } else if let Some(wanted) = WANTED.get(vcpu) {
        wanted.store(set.0, Ordering::Relaxed);
        shootdown::flush_elsewhere(vcpu);
    }
}

/// Puts the set in force that a neighbour wants on this vCPU, if one does.
pub fn take_over(index: usize) {
    if let Some(wanted) = WANTED.get(index) {
        let set = wanted.swap(UNCHANGED, Ordering::Relaxed);
        if set != UNCHANGED {
            PortSet(set).load(index);
        }
    }
}
