//! What programs share. Of attacks: whom they attack, what they must be answered, and a disk driven by hand.
#![no_std]

extern crate alloc;

pub mod attack;
pub mod cache;
pub mod entries;
pub mod gifts;
pub mod kept_registers;
pub mod raw_disk;
pub mod raw_queue;
pub mod revocation;
pub mod scheduling;
pub mod service;
pub mod shared_word;
pub mod sharing;
pub mod victim;

/// Result of an attack: what was not as the contract says.
pub type Verdict = Result<(), alloc::string::String>;
