//! Wakeup predicates: over 64-bit words that the owner may read, and the time stamp counter.

use exo_abi::address::PAGE_SIZE;
use exo_abi::term::{Comparison, PREDICATE_TERMS_MAX, Source, Term};
use exo_abi::{Capability, Error};

use crate::{Range, Refusal, Verified};

/// What kind of word a term reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum WordSource {
    /// The time stamp counter.
    Time = 0,
    /// A word of the owner's call page.
    CallPage = 1,
    /// A word of a frame.
    Frame = 2,
}

/// An aligned word that the owner could read when the predicate was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// What holds it.
    pub source: WordSource,
    /// Of a frame: the capability that has to be valid still when it is read.
    pub capability: Capability,
    /// Of a frame: physical address. Of the call page: offset. A multiple of 8.
    pub address: u64,
}

/// A wakeup predicate.
pub type Predicate = Verified<Word, PREDICATE_TERMS_MAX>;

impl Predicate {
    /// The predicate without terms, all zero.
    pub const NONE: Self = Self::empty(Word {
        source: WordSource::Time,
        capability: Capability::NONE,
        address: 0,
    });

    /// Becomes the predicate of these terms. `may_read` says whether a capability lets the owner read a frame, which is then memory.
    /// What is refused leaves the predicate without terms. Cost: linear in the terms.
    pub fn bind(
        &mut self,
        terms: impl IntoIterator<Item = Term>,
        mut may_read: impl FnMut(Capability, u64) -> Result<(), Error>,
    ) -> Result<(), Refusal> {
        self.replace(terms, |term| check(term, &mut may_read))
    }

    /// The first time stamp after `now` at which time alone could make it true: each product waits for the latest of its time terms.
    pub fn deadline(&self, now: u64) -> Option<u64> {
        let times = self.products().filter_map(|product| {
            product
                .iter()
                .filter(|test| test.place.source == WordSource::Time)
                .map(|test| test.range.low())
                .max()
        });
        times.filter(|&time| time > now).min()
    }
}

fn check(
    term: &Term,
    may_read: &mut impl FnMut(Capability, u64) -> Result<(), Error>,
) -> Result<(Word, Range), Error> {
    let source = Source::from_number(term.source).ok_or(Error::BadArgument)?;
    if term.width != 8 {
        return Err(Error::BadArgument);
    }
    let range = Range::of(term, term.width)?;
    let offset = u64::from(term.offset);
    if source != Source::FrameWord && (term.capability != 0 || term.frame != 0) {
        return Err(Error::BadArgument);
    }
    if !offset.is_multiple_of(8) || offset >= PAGE_SIZE {
        return Err(Error::BadAddress);
    }
    let capability = Capability(term.capability);
    let (source, address) = match source {
        // Time only goes on: any other comparison would have to be looked at again and again.
        Source::Time => {
            let is_deadline = term.comparison == Comparison::GreaterOrEqual as u8;
            if !is_deadline || term.mask != u64::MAX || offset != 0 {
                return Err(Error::BadArgument);
            }
            (WordSource::Time, 0)
        }
        Source::CallWord => (WordSource::CallPage, offset),
        Source::FrameWord => {
            let start = term.frame.checked_mul(PAGE_SIZE).ok_or(Error::OutOfRange)?;
            may_read(capability, term.frame)?;
            (WordSource::Frame, start | offset)
        }
        Source::Packet => return Err(Error::BadArgument),
    };
    let word = Word {
        source,
        capability,
        address,
    };
    Ok((word, range))
}
