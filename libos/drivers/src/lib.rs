//! Virtio drivers over directly bound queues: after set-up a request costs neither a kernel entry nor a VM exit.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod block;
pub mod bound_queue;
pub mod console;
pub mod partition;
pub mod queue;
pub mod transport;

pub use exo_abi::virtio;
