//! Environments that are made, said with what each took from its owner; and the operations on them.

use exo_abi::environment::{AbortReason, KEPT_TABLES, State};
use exo_abi::{EnvironmentId, Error, Kind, Rights};
use exo_ledger::Quotas;

use super::comparison::Comparison;
use super::model::Model;
use super::operation::Operation;
use crate::machine::*;

/// One that was made, and has not ended.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    owner: EnvironmentId,
    quotas: Quotas,
    started: bool,
}

impl Model {
    /// Whether an environment is there.
    pub fn is_alive(&self, id: EnvironmentId) -> bool {
        id.0 <= ENVIRONMENTS || self.made.contains_key(&id.0)
    }

    /// What an environment may have: what it was made with, or what those have left that it made.
    pub fn quotas(&self, id: EnvironmentId) -> Quotas {
        if let Some(made) = self.made.get(&id.0) {
            return Quotas {
                tables: made.quotas.tables + KEPT_TABLES,
                ..made.quotas
            };
        }
        let mut left = QUOTAS;
        for made in self.made.values().filter(|made| made.owner == id) {
            left.frames -= made.quotas.frames;
            left.tables -= made.quotas.tables;
            left.capabilities -= made.quotas.capabilities;
        }
        left
    }

    /// Page-table frames that do not go away.
    pub fn kept_tables(&self, id: EnvironmentId) -> u32 {
        if id.0 > ENVIRONMENTS { KEPT_TABLES } else { 0 }
    }

    /// Whether `caller` may do with this number what it likes.
    fn control(&self, caller: EnvironmentId, word: u64, number: u64) -> Result<u16, Error> {
        let resource = self.resource(caller, word)?;
        if resource.kind != Kind::Environment {
            return Err(Error::WrongKind);
        }
        if !resource.rights.contains(Rights::WRITE) {
            return Err(Error::NotPermitted);
        }
        if !resource.contains(number) {
            return Err(Error::OutOfRange);
        }
        Ok(number as u16)
    }

    /// What `environment_create` answers.
    fn create(
        &self,
        caller: EnvironmentId,
        word: u64,
        number: u64,
        vcpu: u64,
        [frames, tables, capabilities]: [u64; 3],
    ) -> Result<Made, Error> {
        let number = self.control(caller, word, number)?;
        if self.made.contains_key(&number) {
            return Err(Error::Taken);
        }
        if vcpu != 0 {
            return Err(Error::BadArgument);
        }
        let mut root = self.resources[&word];
        while let Some(parent) = root.parent {
            root = self.resources[&parent];
        }
        let owner = root.holder;
        let may_have = self.quotas(owner);
        let tables_used = self.tables.get(&owner.0).copied().unwrap_or_default();
        let enough = frames + self.frames(owner) <= u64::from(may_have.frames)
            && tables + u64::from(tables_used) <= u64::from(may_have.tables)
            && capabilities + self.held(owner).count() as u64 <= u64::from(may_have.capabilities);
        if !enough {
            return Err(Error::Quota);
        }
        Ok(Made {
            owner,
            quotas: Quotas {
                frames: frames as u32,
                tables: tables as u32,
                capabilities: capabilities as u32,
                dma_mappings: 0,
                slices: 0,
            },
            started: false,
        })
    }

    /// What `environment_start` answers.
    fn start(&self, caller: EnvironmentId, word: u64, number: u64) -> Result<u16, Error> {
        let number = self.control(caller, word, number)?;
        match self.made.get(&number) {
            Some(made) if !made.started => Ok(number),
            _ => Err(Error::BadState),
        }
    }

    /// What `environment_end` answers.
    fn end_other(&self, caller: EnvironmentId, word: u64, number: u64) -> Result<u16, Error> {
        let number = self.control(caller, word, number)?;
        match self.made.contains_key(&number) {
            true => Ok(number),
            false => Err(Error::BadState),
        }
    }
}

impl Comparison {
    /// Does an operation on environments that are made: its name, what was expected, and the answer.
    pub(super) fn perform_on_made(
        &mut self,
        operation: Operation,
    ) -> (&'static str, Result<(), Error>, Result<(), Error>) {
        let ledger = &mut self.ledger;
        match operation {
            Operation::GiveNumbers { caller } => {
                let mut resources = self.model.resources.values();
                if resources.any(|found| found.kind == Kind::Environment) || caller.0 > ENVIRONMENTS
                {
                    return ("keep", Ok(()), Ok(()));
                }
                let expected = self.model.check_capability(caller);
                let answer = ledger.check_capability_quota(caller);
                if answer.is_ok() {
                    let word = give_numbers(ledger, caller);
                    self.record(word, caller, Kind::Environment);
                }
                ("give_numbers", expected, answer)
            }
            Operation::Create {
                caller,
                word,
                number,
                vcpu,
                quotas,
            } => {
                let word = self.model.resolve(caller, word);
                let expected = self.model.create(caller, word.0, number, vcpu, quotas);
                let answer = create(ledger, caller, word, number, vcpu, quotas);
                if let (Ok(made), Ok(())) = (expected, answer) {
                    let number = number as u16;
                    self.model.made.insert(number, made);
                    self.model.accepts.insert(number, caller.0.into());
                    self.model.tables.insert(number, KEPT_TABLES);
                }
                ("create", expected.map(drop), answer)
            }
            Operation::Start {
                caller,
                word,
                number,
            } => {
                let word = self.model.resolve(caller, word);
                let expected = self.model.start(caller, word.0, number);
                let answer = ledger.check_start(caller, word, number);
                if let (Ok(number), Ok(id)) = (expected, answer) {
                    ledger.set_state(id, State::Waiting);
                    self.model
                        .made
                        .get_mut(&number)
                        .expect("it is there")
                        .started = true;
                }
                ("start", expected.map(drop), answer.map(drop))
            }
            Operation::EndOther {
                caller,
                word,
                number,
            } => {
                let word = self.model.resolve(caller, word);
                let expected = self.model.end_other(caller, word.0, number);
                let answer = ledger.check_made(caller, word, number);
                if let (Ok(_), Ok(id)) = (expected, answer) {
                    ledger.record_exit(id, 1);
                    self.end_made(id);
                }
                ("end_other", expected.map(drop), answer.map(drop))
            }
            other => unreachable!("{other:?} is not on environments that are made"),
        }
    }

    /// One that was made has ended: its owner has everything back.
    pub(super) fn end_made(&mut self, id: EnvironmentId) {
        self.unmap_all(&self.model.all_of(id));
        give_back(&mut self.ledger, id);
        self.model.made.remove(&id.0);
        self.model.tables.insert(id.0, KEPT_TABLES);
        self.model.accepts.remove(&id.0);
        self.forget_all_of(id);
    }

    /// Ends all that were made out of the quotas of `owner`.
    pub(super) fn end_all_of(&mut self, owner: EnvironmentId) {
        let made = self.model.made.iter();
        let owned: Vec<u16> = made
            .filter(|(_, made)| made.owner == owner)
            .map(|(&number, _)| number)
            .collect();
        for number in owned {
            let id = EnvironmentId(number);
            self.ledger
                .record_abort(id, AbortReason::OwnerEnded, [0; 4]);
            self.end_made(id);
        }
    }

    /// What the kernel does before a capability goes: environments whose numbers it gave do not outlive it.
    pub(super) fn end_owned(&mut self, holder: EnvironmentId, word: u64) {
        let resource = self.model.resources[&word];
        if resource.kind == Kind::Environment && resource.parent.is_none() {
            self.end_all_of(holder);
        }
    }
}
