//! Accepts downloaded code that is bounded, terminating and memory-safe, and evaluates only what it has accepted.
//!
//! One verifier for both uses: wakeup predicates, which the kernel evaluates ([`Predicate`]), and packet filters, which the VMM
//! merges into one classifier ([`Filter`]). A program is made of [`exo_abi::term::Term`]s. It has no jumps and no stores, so what is
//! checked, once, is that each term means something, reads only what its owner may read, and that the last one ends its product.
//! [`Verified`] is the proof: nothing else can be evaluated, and nothing but the check makes one that holds terms.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod filter;
mod predicate;
mod range;
mod verified;

pub use filter::{Filter, PacketField};
pub use predicate::{Predicate, Word, WordSource};
pub use range::Range;
pub use verified::{Loaded, Refusal, Test, Verified};
