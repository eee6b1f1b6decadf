//! What environments hold of processor time, queues and disk extents, from the exported tables.

use exo_abi::Kind;
use exo_abi::capability::CapabilityEntry;
use exo_abi::environment::EnvironmentId;
use exo_abi::layout::Layout;
use exo_abi::slice::{SLICES, SliceEntry};
use serde::{Deserialize, Serialize};
use vm_memory::{ByteValued, Bytes, GuestAddress};

use crate::machine::environments::Environment;
use crate::memory::{GuestMemory, Plain};

/// Most bindings that are shown, and entries of the capability table that are searched for them.
const BINDINGS_MAX: usize = 256;
const SEARCH_MAX: u64 = 1 << 14;
/// The kinds that are shown; time slices have a table of their own.
const KINDS: [Kind; 2] = [Kind::Queue, Kind::Extent];

/// The slots of one vCPU that one environment owns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SliceState {
    /// vCPU.
    pub vcpu: u32,
    /// Number of the environment; 0: of nobody.
    pub owner: u16,
    /// Slots.
    pub slots: u32,
    /// Ticks of the time stamp counter that were used in them, whoever ran.
    pub ticks: u64,
}

/// A queue, or a part of a disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BindingState {
    /// Name of a [`Kind`].
    pub kind: String,
    /// Number of the environment that holds it.
    pub holder: u16,
    /// Index of the function, or number of the disk.
    pub resource: u32,
    /// First queue, or sector.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Whether it is bound.
    pub bound: bool,
}

fn entry<T: Copy>(memory: &GuestMemory, start: u64, index: u64) -> Option<T>
where
    Plain<T>: ByteValued,
{
    let address = start + index * size_of::<T>() as u64;
    let Plain(entry) = memory.read_obj::<Plain<T>>(GuestAddress(address)).ok()?;
    Some(entry)
}

/// The slots of each vCPU by owner.
pub fn slices(memory: &GuestMemory, layout: &Layout) -> Vec<SliceState> {
    let mut found: Vec<SliceState> = Vec::new();
    for index in 0..layout.slices.count {
        let Some(slot) = entry::<SliceEntry>(memory, layout.slices.start, index) else {
            continue;
        };
        let vcpu = (index / SLICES as u64) as u32;
        let same = |one: &&mut SliceState| one.vcpu == vcpu && one.owner == slot.owner.0;
        match found.iter_mut().find(same) {
            Some(one) => {
                one.slots += 1;
                one.ticks = one.ticks.wrapping_add(slot.ticks);
            }
            None => found.push(SliceState {
                vcpu,
                owner: slot.owner.0,
                slots: 1,
                ticks: slot.ticks,
            }),
        }
    }
    found
}

/// Queues and extents. Nothing is searched where nobody holds any.
pub fn bindings(
    memory: &GuestMemory,
    layout: &Layout,
    environments: &[Environment],
) -> Vec<BindingState> {
    let holds = |one: &Environment| {
        let mut counts = KINDS.iter().map(|&kind| one.entry.held.get(kind as usize));
        counts.any(|count| count.is_some_and(|&count| count != 0))
    };
    if !environments.iter().any(holds) {
        return Vec::new();
    }
    (0..layout.capabilities.count.min(SEARCH_MAX))
        .filter_map(|slot| {
            let entry: CapabilityEntry = entry(memory, layout.capabilities.start, slot)?;
            let kind = KINDS.into_iter().find(|&kind| kind as u8 == entry.kind)?;
            (entry.holder != EnvironmentId::NOBODY).then(|| BindingState {
                kind: kind.name().into(),
                holder: entry.holder.0,
                resource: entry.resource,
                first: entry.first,
                count: entry.count,
                bound: entry.bound != 0,
            })
        })
        .take(BINDINGS_MAX)
        .collect()
}
