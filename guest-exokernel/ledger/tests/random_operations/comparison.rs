//! Runs each operation on the ledger, as the kernel would, and on the model, and compares.

use std::collections::BTreeSet;

use exo_abi::{Capability, EnvironmentId, Error, Kind, Rights};
use exo_ledger::{Ledger, Name, Quotas};

use super::answers::Answers;
use super::model::{Model, Resource};
use super::operation::Operation;
use crate::machine::*;

/// A ledger and a model that have seen the same operations.
pub struct Comparison {
    pub(super) ledger: Ledger<'static>,
    pub(super) model: Model,
    answers: Answers,
}

impl Comparison {
    /// The machine of the tests, and a model of it.
    pub fn new() -> Self {
        Self {
            ledger: machine(),
            model: Model::default(),
            answers: Answers::default(),
        }
    }

    /// Does one operation in both; `Err` says where they differ.
    pub fn run(&mut self, operation: Operation) -> Result<(), String> {
        if !self.model.is_alive(operation.caller()) {
            return Ok(());
        }
        let before = snapshot(&self.ledger);
        let (name, expected, answer) = self.perform(operation);
        if answer != expected {
            return Err(format!("{name} answered {answer:?}, expected {expected:?}"));
        }
        if answer.is_err() && snapshot(&self.ledger) != before {
            return Err(format!("{name} answered {answer:?} and changed the tables"));
        }
        self.ledger
            .audit()
            .map_err(|found| format!("audit: {found:?}"))?;
        self.compare_capabilities()?;
        self.compare_slices()?;
        self.answers.count(name, answer);
        Ok(())
    }

    /// Asserts that the run was no walk through refusals alone.
    pub fn assert_all_answers_were_seen(&self) {
        self.answers.assert_all_were_seen();
    }

    /// Each capability of the model is in the ledger; the audit says that their numbers agree with the tables.
    fn compare_capabilities(&self) -> Result<(), String> {
        for (&word, resource) in &self.model.resources {
            let entry = self.ledger.capability(resource.holder, Capability(word));
            let entry = entry.map_err(|error| format!("{word:#x} is lost: {error}"))?;
            let found = Resource {
                holder: entry.holder,
                kind: Kind::from_number(entry.kind).ok_or("no kind")?,
                part_of: entry.resource,
                first: entry.first,
                count: entry.count,
                rights: Rights(u32::from(entry.rights)),
                parent: self.ledger.parent(Capability(word)).map(|parent| parent.0),
                bound: entry.bound != 0,
            };
            if found != *resource {
                return Err(format!("{word:#x} is {found:?}, expected {resource:?}"));
            }
        }
        for index in 0..NUMBERS {
            let id = EnvironmentId(index + 1);
            let entry = self.ledger.environment(id).map_err(|e| e.to_string())?;
            let held = self.model.held(id).count();
            if u64::from(entry.frames) != self.model.frames(id)
                || entry.capabilities as usize != held
            {
                return Err(format!("{id:?} is charged wrongly"));
            }
            let quotas = self.model.quotas(id);
            let found = Quotas {
                frames: entry.frames_quota,
                tables: entry.tables_quota,
                capabilities: entry.capabilities_quota,
                dma_mappings: entry.dma_mappings_quota,
                slices: entry.slices_quota,
            };
            if self.model.is_alive(id) && found != quotas {
                return Err(format!("{id:?} has {found:?}, expected {quotas:?}"));
            }
        }
        Ok(())
    }

    /// Records a new capability that is no part of another.
    pub(super) fn record(&mut self, word: Capability, holder: EnvironmentId, kind: Kind) {
        let entry = self.ledger.capability(holder, word).expect("a good word");
        let resource = Resource {
            holder,
            kind,
            part_of: 0,
            first: entry.first,
            count: entry.count,
            rights: Rights::CAPABILITY,
            parent: None,
            bound: false,
        };
        self.add(word, resource);
    }

    /// Adds a word to the model, which must never have been seen before.
    pub(super) fn add(&mut self, word: Capability, resource: Resource) {
        let newest = self.model.generations.entry(word.slot()).or_default();
        assert!(word.generation() > *newest, "{word:?} came again");
        *newest = word.generation();
        self.model.resources.insert(word.0, resource);
    }

    pub(super) fn forget(&mut self, word: Capability) {
        if self.model.resources.remove(&word.0).is_some() {
            self.model.stale.push(word.0);
        }
    }

    fn perform(
        &mut self,
        operation: Operation,
    ) -> (&'static str, Result<(), Error>, Result<(), Error>) {
        let ledger = &mut self.ledger;
        match operation {
            Operation::Allocate {
                caller,
                first,
                count,
                order,
            } => {
                let expected = self.model.allocate(caller, first, count, order);
                let plan = ledger.plan_allocation(caller, first, count, order, 0);
                if let (Ok(plan), Ok(frames)) = (plan, expected) {
                    assert_eq!(plan.count, frames);
                    assert!(first == u64::MAX || plan.first == first);
                    assert!(self.model.are_free(plan.first, plan.count));
                    let word = ledger.commit_allocation(caller, plan);
                    let kind = if order == 0 {
                        Kind::Frames
                    } else {
                        Kind::Blocks
                    };
                    self.record(word, caller, kind);
                }
                ("allocate", expected.map(drop), plan.map(drop))
            }
            Operation::Claim {
                caller,
                first,
                count,
            } => {
                let expected = self.model.claim(caller, first, count);
                let answer = ledger.claim_frames(caller, first, count);
                if let (Ok(word), Ok(())) = (answer, expected) {
                    self.record(word, caller, Kind::Frames);
                }
                ("claim", expected, answer.map(drop))
            }
            Operation::Free { caller, word } => {
                let word = self.model.resolve(caller, word);
                let resource = self.model.resource(caller, word.0);
                let expected = resource.and_then(|_| self.model.check_free(word.0));
                if expected.is_ok() {
                    self.end_owned(caller, word.0);
                }
                let answer = free(&mut self.ledger, caller, word);
                if answer.is_ok() {
                    self.forget(word);
                }
                ("free", expected, answer)
            }
            Operation::Map {
                caller,
                word,
                place,
                count,
                rights,
            } => {
                let word = self.model.resolve(caller, word);
                let run = (self.model.locate(word, place), count);
                let expected = self.model.map(caller, word.0, run, rights);
                let answer = map(&mut self.ledger, caller, word, run, rights);
                if let (Ok(device), Ok(_)) = (answer, expected) {
                    let pages = run.0..run.0 + run.1;
                    let mappings = &mut self.model.mappings;
                    mappings.extend(pages.map(|page| (word.0, page, device)));
                }
                ("map", expected.map(drop), answer.map(drop))
            }
            Operation::Unmap { caller, which } => {
                self.unmap(caller, which);
                ("unmap", Ok(()), Ok(()))
            }
            Operation::MapDma {
                caller,
                word,
                place,
                count,
                rights,
            } => {
                let word = self.model.resolve(caller, word);
                let run = (self.model.locate(word, place), count);
                let expected = self.model.map_dma(caller, word.0, run, rights);
                let answer = map_dma(&mut self.ledger, caller, word, run, rights);
                if let (Ok(dma), Ok(())) = (answer, expected) {
                    let resource = Resource {
                        holder: caller,
                        kind: Kind::Dma,
                        part_of: 0,
                        first: run.0,
                        count,
                        rights,
                        parent: Some(word.0),
                        bound: false,
                    };
                    self.add(dma, resource);
                }
                ("map_dma", expected, answer.map(drop))
            }
            Operation::Bind { caller, word } => {
                let word = self.model.resolve(caller, word);
                let expected = self.model.bind(caller, word.0);
                ("bind", expected, bind(&mut self.ledger, caller, word))
            }
            Operation::BindQueue { caller, word } => {
                let word = self.model.resolve(caller, word);
                let expected = self.model.bind_queue(caller, word.0);
                let queue = ledger.check_bind_queue(caller, word);
                if let Ok(queue) = queue {
                    ledger.commit_bind_queue(word, queue);
                }
                ("bind_queue", expected, queue.map(drop))
            }
            Operation::Give { caller, index } => {
                let mut resources = self.model.resources.values();
                let given = resources
                    .any(|found| found.kind == Kind::Function && found.first == u64::from(index));
                if given {
                    return ("keep", Ok(()), Ok(()));
                }
                let expected = self.model.check_capability(caller);
                let answer = self.ledger.check_capability_quota(caller);
                if answer.is_ok() {
                    let word = give_function(&mut self.ledger, index, caller);
                    self.record(word, caller, Kind::Function);
                }
                ("give", expected, answer)
            }
            Operation::AllocateSlices { .. } | Operation::BindSlices { .. } => {
                self.perform_on_slices(operation)
            }
            Operation::Make {
                caller,
                kind,
                first,
                count,
            } => {
                let expected = self.model.check_capability(caller);
                let answer = ledger.check_capability_quota(caller);
                if answer.is_ok() {
                    let name = Name::new(kind, first, count);
                    let word = ledger.add_capability(caller, name, Rights::CAPABILITY);
                    self.record(word, caller, kind);
                }
                ("make", expected, answer)
            }
            Operation::Derive { .. }
            | Operation::GiveAway { .. }
            | Operation::Accept { .. }
            | Operation::Revoke { .. }
            | Operation::Copy { .. } => self.perform_on_tree(operation),
            Operation::GiveNumbers { .. }
            | Operation::Create { .. }
            | Operation::Start { .. }
            | Operation::EndOther { .. } => self.perform_on_made(operation),
            Operation::Table { caller, more } => {
                let quota = self.model.quotas(caller).tables;
                let kept = self.model.kept_tables(caller);
                let used = self.model.tables.entry(caller.0).or_default();
                if !more {
                    if *used > kept {
                        *used -= 1;
                        ledger.remove_tables(caller, 1);
                    }
                    return ("table", Ok(()), Ok(()));
                }
                let answer = ledger.check_tables_quota(caller, 1);
                if *used == quota {
                    return ("table", Err(Error::Quota), answer);
                }
                *used += 1;
                ledger.add_tables(caller, 1);
                ("table", Ok(()), answer)
            }
            Operation::End { caller } => {
                self.end(caller);
                ("end", Ok(()), Ok(()))
            }
        }
    }

    /// Unmaps one page of the caller, or all.
    fn unmap(&mut self, caller: EnvironmentId, which: usize) {
        let holder = |word: &u64| self.model.resources[word].holder;
        let mappings = self.model.mappings.iter();
        let own = mappings.filter(|(word, ..)| holder(word) == caller).count();
        let chosen = which.checked_rem(own).filter(|_| !which.is_multiple_of(3));
        let mut position = 0;
        let resources = &self.model.resources;
        let ledger = &mut self.ledger;
        self.model.mappings.retain(|&(word, page, device)| {
            if resources[&word].holder != caller {
                return true;
            }
            let keep = chosen.is_some_and(|chosen| chosen != position);
            position += 1;
            if !keep {
                unmap(ledger, Capability(word), page, device);
            }
            keep
        });
    }

    /// Unmaps what is mapped under these capabilities, as the kernel does before it takes them.
    pub(super) fn unmap_all(&mut self, words: &BTreeSet<u64>) {
        let ledger = &mut self.ledger;
        self.model.mappings.retain(|&(word, page, device)| {
            let gone = words.contains(&word);
            if gone {
                unmap(ledger, Capability(word), page, device);
            }
            !gone
        });
    }

    /// Ends an environment, with all that it has mapped, and starts it again.
    fn end(&mut self, caller: EnvironmentId) {
        if self.model.made.contains_key(&caller.0) {
            self.ledger.record_exit(caller, 1);
            return self.end_made(caller);
        }
        self.end_all_of(caller);
        self.ledger.record_exit(caller, 1);
        self.unmap_all(&self.model.all_of(caller));
        take_everything_back(&mut self.ledger, caller);
        for _ in 0..self.model.tables.remove(&caller.0).unwrap_or_default() {
            self.ledger.remove_tables(caller, 1);
        }
        self.model.accepts.remove(&caller.0);
        self.forget_all_of(caller);
        self.ledger.audit().expect("a sound end");
        let entry = self.ledger.environment(caller).expect("a record");
        assert_eq!((entry.frames, entry.capabilities), (0, 0));
        start(&mut self.ledger, caller);
    }
}

/// What the kernel does for `function_bind`, devices aside.
fn bind(ledger: &mut Ledger, caller: EnvironmentId, word: Capability) -> Result<(), Error> {
    let index = ledger.function_capability(caller, word)?;
    ledger.check_bind(index)?;
    ledger.commit_bind(word, index);
    Ok(())
}
