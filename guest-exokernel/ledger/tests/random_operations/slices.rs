//! Slots of the slice vectors, said with the words of capabilities, and the operations on them.

use exo_abi::slice::SLICES;
use exo_abi::{EnvironmentId, Error, Kind, Rights};

use super::comparison::Comparison;
use super::model::{Model, Resource};
use super::operation::Operation;
use crate::machine::*;

impl Model {
    /// All capabilities of a slot.
    fn naming(&self, vcpu: u32, slot: u64) -> impl Iterator<Item = &Resource> {
        self.resources.values().filter(move |resource| {
            resource.kind == Kind::Slice && resource.part_of == vcpu && resource.contains(slot)
        })
    }

    fn check_slices(&self, caller: EnvironmentId, count: u64) -> Result<(), Error> {
        let bound = self
            .held(caller)
            .filter(|one| one.kind == Kind::Slice && one.bound);
        let sum: u64 = bound.map(|one| one.count).sum();
        if sum + count > u64::from(self.quotas(caller).slices) {
            return Err(Error::Quota);
        }
        Ok(())
    }

    /// What `slice_allocate` answers.
    fn allocate_slices(&self, caller: EnvironmentId, first: u64, count: u64) -> Result<(), Error> {
        let end = first.checked_add(count).ok_or(Error::OutOfRange)?;
        if end > SLICES as u64 {
            return Err(Error::OutOfRange);
        }
        if (first..end).any(|slot| self.naming(vcpu_of(caller), slot).next().is_some()) {
            return Err(Error::Taken);
        }
        self.check_capability(caller)?;
        self.check_slices(caller, count)
    }

    /// What `slice_bind` answers.
    fn bind_slices(&mut self, caller: EnvironmentId, word: u64) -> Result<(), Error> {
        let slices = self.resource(caller, word)?;
        if slices.kind != Kind::Slice {
            return Err(Error::WrongKind);
        }
        if !slices.rights.contains(Rights::READ) {
            return Err(Error::NotPermitted);
        }
        if slices.part_of != vcpu_of(caller) {
            return Err(Error::BadArgument);
        }
        if slices.bound {
            return Err(Error::BadState);
        }
        self.check_slices(caller, slices.count)?;
        let slices = self.resources.get_mut(&word);
        slices.ok_or(Error::BadCapability)?.bound = true;
        Ok(())
    }
}

impl Comparison {
    /// Does an operation on slices: its name, what was expected, and the answer.
    pub(super) fn perform_on_slices(
        &mut self,
        operation: Operation,
    ) -> (&'static str, Result<(), Error>, Result<(), Error>) {
        match operation {
            Operation::AllocateSlices {
                caller,
                first,
                count,
            } => {
                let expected = self.model.allocate_slices(caller, first, count);
                let answer = allocate_slices(&mut self.ledger, caller, (first, count));
                if let (Ok(word), Ok(())) = (answer, expected) {
                    let slices = Resource {
                        holder: caller,
                        kind: Kind::Slice,
                        part_of: vcpu_of(caller),
                        first,
                        count,
                        rights: Rights::CAPABILITY,
                        parent: None,
                        bound: true,
                    };
                    self.add(word, slices);
                }
                ("allocate_slices", expected, answer.map(drop))
            }
            Operation::BindSlices { caller, word } => {
                let word = self.model.resolve(caller, word);
                let expected = self.model.bind_slices(caller, word.0);
                let answer = bind_slices(&mut self.ledger, caller, word);
                if answer.is_ok() {
                    self.expect_owner(caller, word.0);
                }
                ("bind_slices", expected, answer)
            }
            other => unreachable!("{other:?} is not on slices"),
        }
    }

    /// Who binds slots has them.
    fn expect_owner(&self, owner: EnvironmentId, word: u64) {
        let slices = self.model.resources[&word];
        for slot in slices.first..slices.first + slices.count {
            let found = self
                .ledger
                .slice_owner(slices.part_of as usize, slot as usize);
            assert_eq!(found, owner, "slot {slot}");
        }
    }

    /// A slot that was allocated runs one of those who have bound it; any other nobody.
    pub(super) fn compare_slices(&self) -> Result<(), String> {
        for vcpu in 0..2 {
            for slot in 0..SLICES {
                let owner = self.ledger.slice_owner(vcpu as usize, slot);
                let mut named = self.model.naming(vcpu, slot as u64).peekable();
                let sound = match owner {
                    EnvironmentId::NOBODY => named.peek().is_none(),
                    owner => named.any(|one| one.bound && one.holder == owner),
                };
                if !sound {
                    return Err(format!("slot {slot} of vCPU {vcpu} is that of {owner:?}"));
                }
            }
        }
        Ok(())
    }
}
