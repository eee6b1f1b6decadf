//! The merged filters as a tree: what begins alike is one branch.

use std::collections::BTreeMap;

use crate::Claim;
use crate::pattern::Pattern;

/// What is known after the comparisons on the way here.
#[derive(Debug, Default)]
pub struct Node {
    /// Filters that have nothing more to compare but the length of the packet; the oldest first, and each shorter than those before.
    pub accepted: Vec<(Claim, usize)>,
    /// What to look at next, by word and mask: for each value that a filter asks for, where that leads.
    pub branches: BTreeMap<(usize, u64), BTreeMap<u64, Node>>,
}

impl Node {
    /// Merges a pattern of a filter that is younger than those before.
    pub fn insert(&mut self, claim: Claim, pattern: &Pattern) {
        let mut node = self;
        for (word, atom) in pattern.atoms() {
            let branch = node.branches.entry((word, atom.mask)).or_default();
            node = branch.entry(atom.value).or_default();
        }
        let length = pattern.length();
        // An older one that asks for no more takes all that this one would.
        if node.accepted.iter().all(|&(_, other)| length < other) {
            node.accepted.push((claim, length));
        }
    }

    /// The most steps that a packet can cost from here: nodes, branches and lengths that are looked at.
    pub fn steps(&self) -> usize {
        let below = |branch: &BTreeMap<u64, Node>| branch.values().map(Node::steps).max();
        let branches = self.branches.values();
        let branches: usize = branches.map(|branch| 1 + below(branch).unwrap_or(0)).sum();
        1 + self.accepted.len() + branches
    }
}
