//! The merged filters as flat arrays, and the loop that runs them.

use std::ops::Range;

use exo_abi::EnvironmentId;

use crate::tree::Node;
use crate::{Claim, FilterId};

/// Most steps that any packet may cost: nodes visited, tables and lengths looked at. It bounds what owners can do to each other's packets.
pub const LOOKUP_STEPS_MAX: usize = 256;
/// Most places of a hash table that one look visits.
const PROBES_MAX: usize = 4;
/// Any odd number with bits all over: the multiplier to start from (2^64 / golden ratio; Knuth volume 3, section 6.4).
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// What the merged filters compile to.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Entry 0 is where every packet starts, where there is a filter.
    nodes: Vec<CompiledNode>,
    accepted: Vec<Accepted>,
    branches: Vec<Branch>,
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug, Default)]
struct CompiledNode {
    first_accepted: u32,
    accepted: u32,
    first_branch: u32,
    branches: u32,
}

/// A filter that takes the packet if that is long enough.
#[derive(Clone, Copy, Debug)]
struct Accepted {
    claim: Claim,
    length: u16,
}

/// One hash table: what the masked word of the packet leads to.
#[derive(Clone, Copy, Debug)]
struct Branch {
    mask: u64,
    multiplier: u64,
    first_slot: u32,
    word: u16,
    /// 64 - log2 of the places, of which [`PROBES_MAX`] - 1 more follow.
    shift: u16,
}

/// A value, and where it leads. Of a thousand filters nearly all end in a slot, and each cache line that is not needed counts: so what
/// such a filter asks for stands in the slot itself.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    value: u64,
    /// Index of a node; or [`LEAF`] and the number of a filter; or 0, as nothing leads back to the start.
    target: u32,
    /// Of the filter.
    owner: EnvironmentId,
    /// Of the filter.
    length: u16,
}

/// Bit of [`Slot::target`]: one filter, and nothing more to look at.
const LEAF: u32 = 1 << 31;
/// Numbers of filters are below this.
pub(crate) const FILTER_IDS: u32 = LEAF;

impl Program {
    /// Compiles a tree. Cost: linear in its nodes.
    pub(crate) fn compile(root: &Node) -> Self {
        let mut program = Self::default();
        program.nodes.push(CompiledNode::default());
        program.compile_node(0, root);
        program
    }

    fn compile_node(&mut self, index: usize, node: &Node) {
        let first_accepted = self.accepted.len() as u32;
        let accepted = node.accepted.iter().map(|&(claim, length)| Accepted {
            claim,
            length: length as u16,
        });
        self.accepted.extend(accepted);
        // The branches of a node lie side by side: all tables first, then what they lead to.
        let first_branch = self.branches.len() as u32;
        let mut below = Vec::new();
        for (&(word, mask), values) in &node.branches {
            let mut entries = Vec::with_capacity(values.len());
            for (&value, child) in values {
                let mut slot = Slot {
                    value,
                    ..Slot::default()
                };
                match child.accepted[..] {
                    [(claim, length)] if child.branches.is_empty() => {
                        slot.target = LEAF | claim.filter.0;
                        (slot.owner, slot.length) = (claim.owner, length as u16);
                    }
                    _ => {
                        slot.target = self.nodes.len() as u32;
                        below.push((self.nodes.len(), child));
                        self.nodes.push(CompiledNode::default());
                    }
                }
                entries.push(slot);
            }
            let first_slot = self.slots.len() as u32;
            let (table, multiplier, shift) = hash_table(&entries);
            self.slots.extend(table);
            self.branches.push(Branch {
                mask,
                multiplier,
                first_slot,
                word: word as u16,
                shift,
            });
        }
        self.nodes[index] = CompiledNode {
            first_accepted,
            accepted: node.accepted.len() as u32,
            first_branch,
            branches: node.branches.len() as u32,
        };
        for (node, child) in below {
            self.compile_node(node, child);
        }
    }

    /// The claim of the oldest filter that takes this packet. Cost: [`LOOKUP_STEPS_MAX`] steps at most; in practice as many as the packet has fields that
    /// filters look at, whatever the number of filters.
    pub fn classify(&self, packet: &[u8]) -> Option<Claim> {
        let mut oldest = None;
        if !self.nodes.is_empty() {
            self.visit(0, packet, &mut oldest);
        }
        oldest
    }

    fn visit(&self, index: u32, packet: &[u8], oldest: &mut Option<Claim>) {
        let node = &self.nodes[index as usize];
        for accepted in &self.accepted[run(node.first_accepted, node.accepted)] {
            accepted.consider(packet, oldest);
        }
        for branch in &self.branches[run(node.first_branch, node.branches)] {
            let value = word(packet, usize::from(branch.word)) & branch.mask;
            let place = place(value, branch.multiplier, branch.shift);
            let slot = self.find(branch.first_slot as usize + place, value);
            if slot.target & LEAF != 0 {
                slot.accepted().consider(packet, oldest);
            } else if slot.target != 0 {
                self.visit(slot.target, packet, oldest);
            }
        }
    }

    /// The slot of a value that hashes to this place, or one that leads nowhere. All places are looked at, as a processor guesses wrong
    /// when a loop ends early more often than that saves a comparison.
    fn find(&self, first: usize, value: u64) -> Slot {
        let slots = &self.slots[first..first + PROBES_MAX];
        slots.iter().fold(Slot::default(), |found, slot| {
            let matches = slot.value == value && slot.target != 0;
            if matches { *slot } else { found }
        })
    }

    /// Bytes that the arrays take.
    pub fn size(&self) -> usize {
        size_of_val(&*self.nodes)
            + size_of_val(&*self.accepted)
            + size_of_val(&*self.branches)
            + size_of_val(&*self.slots)
    }
}

impl Slot {
    /// What a leaf accepts.
    fn accepted(self) -> Accepted {
        let claim = Claim {
            owner: self.owner,
            filter: FilterId(self.target & !LEAF),
        };
        Accepted {
            claim,
            length: self.length,
        }
    }
}

impl Accepted {
    /// Takes the packet if it is long enough and no older filter does.
    fn consider(&self, packet: &[u8], oldest: &mut Option<Claim>) {
        let is_older = oldest.is_none_or(|found| self.claim.filter < found.filter);
        if is_older && packet.len() >= usize::from(self.length) {
            *oldest = Some(self.claim);
        }
    }
}

fn run(first: u32, count: u32) -> Range<usize> {
    first as usize..(first + count) as usize
}

/// Word `index` of a packet, which goes on with zeros. Lengths are checked at the end.
fn word(packet: &[u8], index: usize) -> u64 {
    let rest = packet.get(8 * index..).unwrap_or_default();
    match rest.first_chunk() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => {
            let mut bytes = [0; 8];
            bytes[..rest.len()].copy_from_slice(rest);
            u64::from_be_bytes(bytes)
        }
    }
}

/// Multiplicative hashing (Knuth volume 3, section 6.4).
const fn place(value: u64, multiplier: u64, shift: u16) -> usize {
    (value.wrapping_mul(multiplier) >> shift) as usize
}

/// A table in which every look ends after [`PROBES_MAX`] places; its multiplier and shift. An owner that chooses values with the same
/// place under one multiplier meets the next one, and then a larger table.
fn hash_table(entries: &[Slot]) -> (Vec<Slot>, u64, u16) {
    let mut bits = (2 * entries.len()).next_power_of_two().ilog2();
    let mut multiplier = MULTIPLIER;
    loop {
        for _ in 0..8 {
            if let Some(table) = fill(entries, multiplier, bits) {
                return (table, multiplier, 64 - bits as u16);
            }
            multiplier = multiplier.wrapping_mul(MULTIPLIER) ^ (multiplier >> 32) | 1;
        }
        bits += 1;
    }
}

fn fill(entries: &[Slot], multiplier: u64, bits: u32) -> Option<Vec<Slot>> {
    let mut table = vec![Slot::default(); (1 << bits) + PROBES_MAX - 1];
    for entry in entries {
        let first = place(entry.value, multiplier, 64 - bits as u16);
        let mut slots = table[first..first + PROBES_MAX].iter_mut();
        *slots.find(|slot| slot.target == 0)? = *entry;
    }
    Some(table)
}
