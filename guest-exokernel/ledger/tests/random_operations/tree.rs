//! The tree of derivation, said with the words of parents.

use std::collections::BTreeSet;

use exo_abi::{EnvironmentId, Error, Kind, Rights};

use super::model::{Model, Resource, is_part_of};
use crate::machine::*;

/// Whether `number` is the number of an environment.
fn is_environment(number: u64) -> bool {
    (1..=u64::from(NUMBERS)).contains(&number)
}

impl Model {
    /// Whether something is derived from `word`.
    pub fn has_children(&self, word: u64) -> bool {
        let mut resources = self.resources.values();
        resources.any(|resource| resource.parent == Some(word))
    }

    /// Whether `word` was derived from `ancestor`, directly or not.
    pub fn descends_from(&self, word: u64, ancestor: u64) -> bool {
        let parent = |word: &u64| self.resources.get(word)?.parent;
        std::iter::successors(parent(&word), parent).any(|word| word == ancestor)
    }

    /// All that descends from `ancestor`.
    pub fn descendants(&self, ancestor: u64) -> BTreeSet<u64> {
        let words = self.resources.keys().copied();
        words
            .filter(|&word| self.descends_from(word, ancestor))
            .collect()
    }

    /// All that `holder` holds, and what descends from that.
    pub fn all_of(&self, holder: EnvironmentId) -> BTreeSet<u64> {
        let held = |word: &&u64| self.resources[word].holder == holder;
        let words: Vec<u64> = self.resources.keys().filter(held).copied().collect();
        let below = words.iter().flat_map(|&word| self.descendants(word));
        below.chain(words.iter().copied()).collect()
    }

    /// What `capability_derive` answers.
    pub fn derive(
        &self,
        caller: EnvironmentId,
        word: u64,
        (first, count): (u64, u64),
        rights: u64,
        kind: u64,
    ) -> Result<Resource, Error> {
        if rights == 0 || rights & !27 != 0 || kind > 10 {
            return Err(Error::BadArgument);
        }
        let parent = self.resource(caller, word)?;
        let own = parent.kind as u64;
        let queues = own == Kind::Function as u64 && kind == Kind::Queue as u64;
        if parent.kind == Kind::Dma || !(queues || kind == 0 || kind == own) {
            return Err(Error::WrongKind);
        }
        let rights = Rights(rights as u32);
        if !parent.rights.contains(rights) || !parent.rights.contains(Rights::DERIVE) {
            return Err(Error::NotPermitted);
        }
        if count == 0 {
            return Err(Error::BadCount);
        }
        let whole = Resource {
            first: if queues { 0 } else { parent.first },
            count: if queues { 2 } else { parent.count },
            ..parent
        };
        if !is_part_of(&whole, first, count) {
            return Err(Error::OutOfRange);
        }
        self.check_capability(caller)?;
        Ok(Resource {
            kind: if queues { Kind::Queue } else { parent.kind },
            part_of: if queues {
                parent.first as u32
            } else {
                parent.part_of
            },
            first,
            count,
            rights,
            parent: Some(word),
            bound: false,
            ..parent
        })
    }

    /// What `capability_give` answers.
    pub fn give(&self, caller: EnvironmentId, word: u64, to: u64) -> Result<EnvironmentId, Error> {
        if !is_environment(to) {
            return Err(Error::BadArgument);
        }
        let resource = self.resource(caller, word)?;
        if resource.kind == Kind::Dma {
            return Err(Error::WrongKind);
        }
        if resource.parent.is_none() {
            return Err(Error::NotPermitted);
        }
        if resource.bound || self.has_children(word) || self.is_mapped(word) {
            return Err(Error::InUse);
        }
        let accepts = self.accepts.get(&(to as u16)).copied().unwrap_or_default();
        if accepts != u64::MAX && accepts != u64::from(caller.0) {
            return Err(Error::Unwilling);
        }
        let to = EnvironmentId(to as u16);
        if self.held(to).count() >= self.quotas(to).capabilities as usize {
            return Err(Error::Quota);
        }
        Ok(to)
    }

    /// What `capability_copy` answers: what the other environment holds then.
    pub fn copy(&self, caller: EnvironmentId, word: u64, to: u64) -> Result<Resource, Error> {
        if !is_environment(to) {
            return Err(Error::BadArgument);
        }
        let resource = self.resource(caller, word)?;
        if resource.kind == Kind::Dma {
            return Err(Error::WrongKind);
        }
        if resource.parent.is_none() || !resource.rights.contains(Rights::DERIVE) {
            return Err(Error::NotPermitted);
        }
        let accepts = self.accepts.get(&(to as u16)).copied().unwrap_or_default();
        if accepts != u64::MAX && accepts != u64::from(caller.0) {
            return Err(Error::Unwilling);
        }
        let to = EnvironmentId(to as u16);
        self.check_capability(to)?;
        Ok(Resource {
            holder: to,
            bound: false,
            ..resource
        })
    }

    /// What `capability_accept` answers.
    pub fn accept(&mut self, caller: EnvironmentId, from: u64) -> Result<(), Error> {
        if from != 0 && from != u64::MAX && !is_environment(from) {
            return Err(Error::BadArgument);
        }
        self.accepts.insert(caller.0, from);
        Ok(())
    }

    /// What `capability_revoke` answers, how much is left aside.
    pub fn revoke(&self, caller: EnvironmentId, word: u64) -> Result<(), Error> {
        let resource = self.resource(caller, word)?;
        if resource.rights.contains(Rights::REVOKE) {
            Ok(())
        } else {
            Err(Error::NotPermitted)
        }
    }
}
