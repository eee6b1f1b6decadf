//! Wakeup predicates: their terms, and sleeping until they hold.

use exo_abi::address::PAGE_SHIFT;
use exo_abi::environment::{CallPage, EVENTS_MAX};
use exo_abi::term::{Comparison, END_OF_PRODUCT, Source, Term};
use exo_abi::{Capability, Error};

use crate::gate;

/// A term that ends its product; [`and`] takes that back.
const fn term(source: Source, comparison: Comparison, offset: u32, value: u64) -> Term {
    Term {
        comparison: comparison as u8,
        source: source as u8,
        width: 8,
        flags: END_OF_PRODUCT,
        offset,
        capability: 0,
        frame: 0,
        mask: u64::MAX,
        value,
    }
}

/// The word at a physical address, in a frame that the capability lets this environment read, compared with a value.
pub const fn word(capability: Capability, physical: u64, is: Comparison, value: u64) -> Term {
    let offset = physical & ((1 << PAGE_SHIFT) - 1);
    Term {
        capability: capability.0,
        frame: physical >> PAGE_SHIFT,
        ..term(Source::FrameWord, is, offset as u32, value)
    }
}

/// The time stamp counter has reached this value.
pub const fn time_reached(time: u64) -> Term {
    term(Source::Time, Comparison::GreaterOrEqual, 0, time)
}

/// Another number of interrupts of all bound vectors than this.
pub const fn events_differ(seen: u64) -> Term {
    let offset = core::mem::offset_of!(CallPage, events);
    term(Source::CallWord, Comparison::NotEqual, offset as u32, seen)
}

/// Another number of interrupts of the vector with this event index than this.
pub const fn event_counter_differs(index: u64, seen: u64) -> Term {
    assert!(index < EVENTS_MAX as u64, "no such event");
    let offset = core::mem::offset_of!(CallPage, event_counters) as u64 + 8 * index;
    term(Source::CallWord, Comparison::NotEqual, offset as u32, seen)
}

/// The same term, as one of a product that goes on with the next.
pub const fn and(term: Term) -> Term {
    Term { flags: 0, ..term }
}

/// Sleeps until the predicate that is bound holds.
pub fn sleep() -> Result<(), Error> {
    while !gate::environment_sleep()? {}
    Ok(())
}
