//! What an operation aims at, at the time when it is done.

use exo_abi::{Capability, EnvironmentId, Kind};

use super::model::Model;
use super::operation::{Place, Word};
use crate::machine::{doorbells, registers};

impl Model {
    /// The word that `caller` uses.
    pub fn resolve(&self, caller: EnvironmentId, word: Word) -> Capability {
        let pick = |words: &[u64], index: usize| match words.len() {
            0 => 0,
            length => words[index % length],
        };
        let all = self.resources.iter();
        Capability(match word {
            Word::Own(index) => {
                let own = all.filter(|(_, resource)| resource.holder == caller);
                pick(&own.map(|(word, _)| *word).collect::<Vec<_>>(), index)
            }
            Word::OwnOf(kind, index) => {
                let own =
                    all.filter(|(_, resource)| resource.holder == caller && resource.kind == kind);
                pick(&own.map(|(word, _)| *word).collect::<Vec<_>>(), index)
            }
            Word::Anybodys(index) => pick(&all.map(|(word, _)| *word).collect::<Vec<_>>(), index),
            Word::Stale(index) => pick(&self.stale, index),
            Word::Guessed(word) => word,
        })
    }

    /// The first name for `capability_derive` of `kind`.
    pub fn locate_name(&self, word: Capability, place: Place, kind: u64) -> u64 {
        match (place, self.resources.get(&word.0)) {
            (Place::Within(offset), Some(resource)) if kind == Kind::Queue as u64 => {
                offset
                    + if resource.kind == Kind::Queue {
                        resource.first
                    } else {
                        0
                    }
            }
            (Place::Within(offset), Some(resource)) => resource.first + offset,
            _ => self.locate(word, place),
        }
    }

    /// The first frame that the operation names.
    pub fn locate(&self, word: Capability, place: Place) -> u64 {
        match place {
            Place::At(frame) => frame,
            Place::Within(offset) => match self.resources.get(&word.0) {
                Some(resource) if resource.kind == Kind::Function => {
                    registers(resource.first as u32) + offset
                }
                Some(resource) if resource.kind == Kind::Queue => {
                    doorbells(resource.part_of) + resource.first + offset
                }
                Some(resource) => resource.first + offset,
                None => offset,
            },
        }
    }
}
