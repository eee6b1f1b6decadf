//! Programs that were checked, and their evaluation.

use exo_abi::Error;
use exo_abi::term::{END_OF_PRODUCT, Term};

use crate::Range;

/// One term that was checked: where it reads, and what it accepts there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test<P> {
    /// Where it reads.
    pub place: P,
    /// What it accepts.
    pub range: Range,
    /// Whether its product ends with it.
    pub ends_product: bool,
}

/// A program of at most `N` terms that read places `P`: each of them means something and reads what it may, and the last one ends its
/// product. Without terms, as it starts, it never holds.
#[derive(Clone, Debug)]
pub struct Verified<P, const N: usize> {
    tests: [Test<P>; N],
    count: usize,
}

/// Why a program was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Terms before the first that is wrong.
    pub accepted: usize,
    /// What is wrong with that one, or with the end of the program.
    pub error: Error,
}

/// What an evaluation found at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// This operand.
    Operand(u64),
    /// Nothing: no product that looks there holds.
    Absent,
    /// What the owner may no longer read: the whole program counts as true, so that the owner learns of it.
    Revoked,
}

impl<P: Copy, const N: usize> Verified<P, N> {
    /// The program without terms. `place` only fills the array.
    pub const fn empty(place: P) -> Self {
        let test = Test {
            place,
            range: Range::EMPTY,
            ends_product: false,
        };
        Self {
            tests: [test; N],
            count: 0,
        }
    }

    /// Becomes the program of these terms; `check` says where a term reads and what it accepts there, or what is wrong with it.
    /// Takes each term once, and at most `N` + 1 of them. A program that is refused leaves the one without terms.
    pub(crate) fn replace(
        &mut self,
        terms: impl IntoIterator<Item = Term>,
        mut check: impl FnMut(&Term) -> Result<(P, Range), Error>,
    ) -> Result<(), Refusal> {
        self.count = 0;
        let mut accepted = 0;
        let mut is_complete = false;
        for term in terms {
            let refuse = |error| Refusal { accepted, error };
            let test = self
                .tests
                .get_mut(accepted)
                .ok_or(refuse(Error::BadCount))?;
            if term.flags & !END_OF_PRODUCT != 0 {
                return Err(refuse(Error::BadArgument));
            }
            let (place, range) = check(&term).map_err(refuse)?;
            is_complete = term.flags & END_OF_PRODUCT != 0;
            *test = Test {
                place,
                range,
                ends_product: is_complete,
            };
            accepted = accepted.saturating_add(1);
        }
        if !is_complete {
            let error = if accepted == 0 {
                Error::BadCount
            } else {
                Error::BadArgument
            };
            return Err(Refusal { accepted, error });
        }
        self.count = accepted;
        Ok(())
    }

    /// Becomes the program without terms.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// The terms, in order.
    pub fn tests(&self) -> &[Test<P>] {
        self.tests.get(..self.count).unwrap_or_default()
    }

    /// The products, each the terms of one.
    pub fn products(&self) -> impl Iterator<Item = &[Test<P>]> {
        self.tests().split_inclusive(|test| test.ends_product)
    }

    /// Whether the program holds. `load` is asked once per term up to the end of the first product that holds, and for nothing that
    /// the check has not accepted. Cost: linear in the terms.
    pub fn holds(&self, mut load: impl FnMut(&P) -> Loaded) -> bool {
        let mut product = true;
        for test in self.tests() {
            match load(&test.place) {
                Loaded::Operand(operand) => product &= test.range.contains(operand),
                Loaded::Absent => product = false,
                Loaded::Revoked => return true,
            }
            if test.ends_product {
                if product {
                    return true;
                }
                product = true;
            }
        }
        false
    }
}
