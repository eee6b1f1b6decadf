//! Whose packet is it? Filters of many owners, merged into one program whose cost does not depend on how many there are.
//!
//! In the manner of DPF (Engler, Kaashoek, "DPF: fast, flexible message demultiplexing using dynamic code generation", SIGCOMM'96):
//! filters that begin alike share the comparisons that they begin with, and where they differ in a value only, one look into a hash
//! table finds the filter. What comes out is an array of data for a small loop ([`Program`]), not machine code.
//!
//! Owners distrust each other. A filter that would take a packet that another owner's filter takes is refused, and so is one that
//! would make looking up dear for everybody.
#![forbid(unsafe_code)]

mod classifier;
mod pattern;
mod program;
mod tree;

pub use classifier::{Claim, Classifier, FilterId, Refused};
pub use pattern::{Atom, Pattern, WORDS};
pub use program::{LOOKUP_STEPS_MAX, Program};
