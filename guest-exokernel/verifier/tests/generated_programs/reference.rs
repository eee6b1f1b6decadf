//! The reference: does what a program says, byte by byte and bit by bit, and stops where that is unsafe. Shares nothing with the
//! verifier but the layout of a term; its numbers are those of ABI.md, typed again.

use exo_abi::Capability;
use exo_abi::term::Term;

use super::world::World;

/// What a program came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It holds, or not.
    Value(bool),
    /// It would read what it may not, would not end, or has no meaning.
    Unsafe(&'static str),
}

const OUT_OF_BOUNDS: &str = "out of bounds";
const NO_END: &str = "no end";
const UNDEFINED: &str = "undefined";

/// Compares as one would on paper: with numbers that cannot wrap.
fn compare(comparison: u8, left: u64, right: u64) -> Result<bool, &'static str> {
    let difference = i128::from(left) - i128::from(right);
    match comparison {
        1 => Ok(difference == 0),
        2 => Ok(difference != 0),
        3 => Ok(difference < 0),
        4 => Ok(difference <= 0),
        5 => Ok(difference > 0),
        6 => Ok(difference >= 0),
        _ => Err(UNDEFINED),
    }
}

/// Masks bit by bit.
fn masked(operand: u64, mask: u64) -> u64 {
    let mut result = 0;
    for bit in 0..64 {
        if operand >> bit & 1 == 1 && mask >> bit & 1 == 1 {
            result += 1 << bit;
        }
    }
    result
}

/// Follows the flags through the terms; `evaluate` tells what one term comes to.
fn run(
    terms: &[Term],
    most: usize,
    mut evaluate: impl FnMut(&Term) -> Result<bool, &'static str>,
) -> Result<bool, &'static str> {
    let mut products: Vec<Vec<bool>> = vec![Vec::new()];
    let mut position = 0;
    loop {
        if position == most {
            return Err(NO_END);
        }
        // Behind the last term lies memory that is no part of the program.
        let term = terms.get(position).ok_or(NO_END)?;
        let value = evaluate(term)?;
        products.last_mut().unwrap().push(value);
        position += 1;
        match term.flags {
            0 => {}
            1 if position == terms.len() => break,
            1 => products.push(Vec::new()),
            _ => return Err(UNDEFINED),
        }
    }
    Ok(products
        .iter()
        .any(|product| product.iter().all(|&value| value)))
}

fn answer(result: Result<bool, &'static str>) -> Answer {
    match result {
        Ok(value) => Answer::Value(value),
        Err(kind) => Answer::Unsafe(kind),
    }
}

/// Runs a wakeup predicate.
pub fn run_predicate(terms: &[Term], world: &World) -> Answer {
    answer(run(terms, 8, |term| {
        if term.width != 8 {
            return Err(UNDEFINED);
        }
        let offset = u64::from(term.offset);
        let operand = match term.source {
            // Time is looked at when it comes; when that is must be clear from the term.
            1 if term.comparison != 6 || term.mask != u64::MAX => return Err(UNDEFINED),
            1 => world.time,
            2 | 3 if offset > 4088 => return Err(OUT_OF_BOUNDS),
            2 | 3 if offset % 8 != 0 => return Err(UNDEFINED),
            2 => world.call_word(offset),
            3 if World::may_read(Capability(term.capability), term.frame).is_err() => {
                return Err(OUT_OF_BOUNDS);
            }
            3 => world.frame_word(term.frame, offset),
            _ => return Err(UNDEFINED),
        };
        compare(term.comparison, masked(operand, term.mask), term.value)
    }))
}

/// Runs a packet filter.
pub fn run_filter(terms: &[Term], packet: &[u8]) -> Answer {
    answer(run(terms, 64, |term| {
        if term.source != 4 || term.comparison != 1 {
            return Err(UNDEFINED);
        }
        if ![1, 2, 4, 8].contains(&term.width) {
            return Err(UNDEFINED);
        }
        let mut operand = 0u64;
        for index in 0..u64::from(term.width) {
            let position = u64::from(term.offset) + index;
            // The device keeps so much of a packet at hand.
            if position >= 256 {
                return Err(OUT_OF_BOUNDS);
            }
        }
        for index in 0..usize::from(term.width) {
            let Some(byte) = packet.get(term.offset as usize + index) else {
                return Ok(false);
            };
            operand = operand * 256 + u64::from(*byte);
        }
        compare(term.comparison, masked(operand, term.mask), term.value)
    }))
}

/// Whether a program has no field that is out of use and no comparison that is decided beforehand. The verifier refuses such, though they are safe.
pub fn is_plain(terms: &[Term]) -> bool {
    terms.iter().all(|term| {
        let is_frame = term.source == 3;
        let unused = term.capability == 0 && term.frame == 0;
        let bits = if term.width == 8 {
            u64::MAX
        } else {
            (1 << (8 * term.width)) - 1
        };
        let decided = match term.comparison {
            2 => term.mask == 0,
            3 => term.value == 0,
            5 => term.value == term.mask,
            _ => false,
        };
        (is_frame || unused)
            && (term.source != 1 || term.offset == 0)
            && term.mask & !bits == 0
            && term.value & !term.mask == 0
            && !decided
    })
}
