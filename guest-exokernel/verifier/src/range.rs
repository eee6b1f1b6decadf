//! Every comparison as one: whether a masked operand lies in a range.

use exo_abi::Error;
use exo_abi::term::{Comparison, Term};

/// The operands that a comparison accepts: those that, masked, are at most `span` above `low`, counted around the end of the
/// numbers. Equal, different, below, above: all have this form, so that evaluation has no case to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Range {
    mask: u64,
    low: u64,
    span: u64,
}

impl Range {
    /// What no program holds.
    pub const EMPTY: Self = Self {
        mask: 0,
        low: 0,
        span: 0,
    };

    /// The range of a term with an operand of `width` bytes; `bad-argument` for an unknown comparison, for bits that the operand does
    /// not have or that do not count, and for a comparison that no operand fulfils.
    pub fn of(term: &Term, width: u8) -> Result<Self, Error> {
        let comparison = Comparison::from_number(term.comparison).ok_or(Error::BadArgument)?;
        let (mask, value) = (term.mask, term.value);
        let operand_bits = match width {
            1 => 0xff,
            2 => 0xffff,
            4 => 0xffff_ffff,
            8 => u64::MAX,
            _ => return Err(Error::BadArgument),
        };
        if mask & !operand_bits != 0 || value & !mask != 0 {
            return Err(Error::BadArgument);
        }
        let possible = match comparison {
            Comparison::NotEqual => mask != 0,
            Comparison::Less => value != 0,
            Comparison::Greater => value != mask,
            Comparison::Equal | Comparison::LessOrEqual | Comparison::GreaterOrEqual => true,
        };
        if !possible {
            return Err(Error::BadArgument);
        }
        let above = value.wrapping_add(1);
        let (low, span) = match comparison {
            Comparison::Equal => (value, 0),
            Comparison::NotEqual => (above, u64::MAX.wrapping_sub(1)),
            Comparison::Less => (0, value.wrapping_sub(1)),
            Comparison::LessOrEqual => (0, value),
            Comparison::Greater => (above, u64::MAX.wrapping_sub(above)),
            Comparison::GreaterOrEqual => (value, u64::MAX.wrapping_sub(value)),
        };
        Ok(Self { mask, low, span })
    }

    /// Whether the comparison holds for this operand.
    pub const fn contains(&self, operand: u64) -> bool {
        (operand & self.mask).wrapping_sub(self.low) <= self.span
    }

    /// The bits of the operand that count.
    pub const fn mask(&self) -> u64 {
        self.mask
    }

    /// The least masked operand that the comparison accepts; but for `not-equal`, whose range goes around the end.
    pub const fn low(&self) -> u64 {
        self.low
    }
}
