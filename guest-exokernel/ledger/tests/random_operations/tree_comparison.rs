//! The operations on the tree, on the ledger and on the model.

use exo_abi::{Capability, EnvironmentId, Error};

use super::comparison::Comparison;
use super::model::Resource;
use super::operation::Operation;
use crate::machine::*;

impl Comparison {
    /// Does an operation on the tree: its name, what was expected, and the answer.
    pub(super) fn perform_on_tree(
        &mut self,
        operation: Operation,
    ) -> (&'static str, Result<(), Error>, Result<(), Error>) {
        let ledger = &mut self.ledger;
        match operation {
            Operation::Derive {
                caller,
                word,
                place,
                count,
                rights,
                kind,
            } => {
                let word = self.model.resolve(caller, word);
                let range = (self.model.locate_name(word, place, kind), count);
                let expected = self.model.derive(caller, word.0, range, rights, kind);
                let answer = derive_kind(ledger, caller, word, range, rights, kind);
                if let (Ok(derived), Ok(resource)) = (answer, expected) {
                    self.add(derived, resource);
                }
                ("derive", expected.map(drop), answer.map(drop))
            }
            Operation::GiveAway { caller, word, to } => {
                let word = self.model.resolve(caller, word);
                let expected = self.model.give(caller, word.0, to);
                let answer = ledger.check_give(caller, word, to);
                if let (Ok(receiver), Ok(_)) = (answer, expected) {
                    let given = ledger.commit_give(caller, word, receiver);
                    let resource = self.model.resources[&word.0];
                    self.forget(word);
                    self.add(
                        given,
                        Resource {
                            holder: receiver,
                            ..resource
                        },
                    );
                }
                ("give_away", expected.map(drop), answer.map(drop))
            }
            Operation::Copy { caller, word, to } => {
                let word = self.model.resolve(caller, word);
                let expected = self.model.copy(caller, word.0, to);
                let answer = ledger.check_copy(caller, word, to);
                if let (Ok(receiver), Ok(resource)) = (answer, expected) {
                    let copy = ledger.commit_copy(word, receiver);
                    self.add(copy, resource);
                }
                ("copy", expected.map(drop), answer.map(drop))
            }
            Operation::Accept { caller, from } => {
                let expected = self.model.accept(caller, from);
                ("accept", expected, ledger.accept(caller, from))
            }
            Operation::Revoke {
                caller,
                word,
                batch,
            } => {
                let word = self.model.resolve(caller, word);
                let expected = self.model.revoke(caller, word.0);
                if expected.is_ok() {
                    self.unmap_all(&self.model.descendants(word.0));
                }
                let answer = revoke(&mut self.ledger, caller, word, batch);
                if let (Ok(done), Ok(())) = (answer, expected) {
                    self.revoke(word, batch, done);
                }
                ("revoke", expected, answer.map(drop))
            }
            other => unreachable!("{other:?} is not on the tree"),
        }
    }

    /// What was revoked is gone, as much as was to go, and nothing that stays has lost its parent.
    fn revoke(&mut self, ancestor: Capability, batch: u64, done: bool) {
        let below = self.model.descendants(ancestor.0);
        let is_gone = |word: &u64| self.ledger.entry(Capability(*word)).is_none();
        let (gone, kept): (Vec<u64>, Vec<u64>) = below.into_iter().partition(is_gone);
        assert_eq!(
            gone.len() as u64,
            batch.min((gone.len() + kept.len()) as u64)
        );
        assert_eq!(done, kept.is_empty());
        for word in &kept {
            let parent = self.model.resources[word].parent;
            assert!(parent.is_none_or(|parent| !gone.contains(&parent)));
        }
        for word in gone {
            self.forget(Capability(word));
        }
    }

    /// The end of an environment takes what it held, and what was derived from that.
    pub(super) fn forget_all_of(&mut self, holder: EnvironmentId) {
        let lost = self.model.all_of(holder);
        for word in lost {
            self.forget(Capability(word));
        }
    }
}
