//! Guest memory, and the contract's structures as plain bytes in it.

#![allow(unsafe_code)]

/// All memory of the machine: one host mapping per range.
pub type GuestMemory = vm_memory::GuestMemoryMmap<()>;
