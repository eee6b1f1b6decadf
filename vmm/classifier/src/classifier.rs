//! Filters and their owners.

use std::collections::BTreeMap;

use exo_abi::EnvironmentId;
use exo_verifier::Filter;

use crate::pattern::Pattern;
use crate::program::{FILTER_IDS, LOOKUP_STEPS_MAX, Program};
use crate::tree::Node;

/// Names a filter; an older one has a lower number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FilterId(pub u32);

/// A filter, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Who gets the packets.
    pub owner: EnvironmentId,
    /// By which filter.
    pub filter: FilterId,
}

/// Why a filter was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It would take packets that a filter of another owner takes.
    #[error("it would take packets that filter {} of environment {} takes", .0.filter.0, .0.owner.0)]
    Overlap(Claim),
    /// Two terms of this product, counted from 0, contradict each other.
    #[error("product {product} takes no packet")]
    TakesNothing {
        /// Which.
        product: usize,
    },
    /// With it, some packet would cost more than [`LOOKUP_STEPS_MAX`] steps: filters look at too many different sets of bits.
    #[error("with it, some packet would cost {steps} steps, and {LOOKUP_STEPS_MAX} is the most")]
    TooDear {
        /// So many.
        steps: usize,
    },
    /// All numbers of filters were used.
    #[error("no number of a filter is left")]
    Exhausted,
}

#[derive(Debug)]
struct Entry {
    owner: EnvironmentId,
    patterns: Vec<Pattern>,
}

/// Filters of many owners, and the program that they were merged into.
#[derive(Debug, Default)]
pub struct Classifier {
    filters: BTreeMap<FilterId, Entry>,
    next: u32,
    program: Program,
}

impl Classifier {
    /// Takes a filter, unless it would take what another owner's filter takes; filters of one owner may overlap, and the oldest gets the
    /// packet. What is refused changes nothing. Cost: linear in all products.
    pub fn insert(&mut self, owner: EnvironmentId, filter: &Filter) -> Result<FilterId, Refused> {
        let patterns = filter
            .products()
            .enumerate()
            .map(|(product, tests)| Pattern::of(tests).ok_or(Refused::TakesNothing { product }))
            .collect::<Result<Vec<_>, _>>()?;
        for (&filter, other) in self
            .filters
            .iter()
            .filter(|(_, entry)| entry.owner != owner)
        {
            let overlaps = |pattern: &Pattern| other.patterns.iter().any(|b| pattern.overlaps(b));
            if patterns.iter().any(overlaps) {
                let owner = other.owner;
                return Err(Refused::Overlap(Claim { owner, filter }));
            }
        }
        let id = FilterId(self.next);
        if self.next == FILTER_IDS {
            return Err(Refused::Exhausted);
        }
        let mut tree = self.merge();
        for pattern in &patterns {
            tree.insert(Claim { owner, filter: id }, pattern);
        }
        let steps = tree.steps();
        if steps > LOOKUP_STEPS_MAX {
            return Err(Refused::TooDear { steps });
        }
        self.next += 1;
        self.filters.insert(id, Entry { owner, patterns });
        self.program = Program::compile(&tree);
        Ok(id)
    }

    /// Gives a filter up; whose it was, if there was one. Cost: linear in all products.
    pub fn remove(&mut self, filter: FilterId) -> Option<EnvironmentId> {
        let entry = self.filters.remove(&filter)?;
        self.program = Program::compile(&self.merge());
        Some(entry.owner)
    }

    /// Gives up all filters of an owner. Cost: linear in all products.
    pub fn remove_owner(&mut self, owner: EnvironmentId) {
        self.filters.retain(|_, entry| entry.owner != owner);
        self.program = Program::compile(&self.merge());
    }

    /// Whose packet it is, and by which filter. Cost: as [`Program::classify`].
    pub fn classify(&self, packet: &[u8]) -> Option<Claim> {
        self.program.classify(packet)
    }

    /// The filters, the oldest first, and whose they are.
    pub fn claims(&self) -> impl Iterator<Item = Claim> {
        self.filters.iter().map(|(&filter, entry)| Claim {
            owner: entry.owner,
            filter,
        })
    }

    /// What the filters were merged into.
    pub fn program(&self) -> &Program {
        &self.program
    }

    fn merge(&self) -> Node {
        let mut tree = Node::default();
        for (&filter, entry) in &self.filters {
            let owner = entry.owner;
            for pattern in &entry.patterns {
                tree.insert(Claim { owner, filter }, pattern);
            }
        }
        tree
    }
}
