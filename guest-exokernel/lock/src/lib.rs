//! How vCPUs keep out of each other's way: the kernel's one lock, TLB shootdown between vCPUs, sleep and wake-up.
//!
//! The same source runs in ring 0 on the processor's atomics and, built with `--cfg loom`, on the host under loom, which
//! tries every order that the memory model allows (`tests/`). DESIGN.md, section Locking, says what the lock covers.
#![cfg_attr(not(loom), no_std)]

mod atomic;
mod lock;
mod mailbox;
mod wake_up;

pub use lock::{Guard, Lock};
pub use mailbox::Mailbox;
pub use wake_up::{Sleeper, fall_asleep, wake};
