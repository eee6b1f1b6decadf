//! The host side of Exovisor: boots the guest, is its hardware, and nothing else.
//!
//! `main.rs` is the command `exo`; everything it does is here, so that tests can reach it.

pub mod cli;
pub mod crash;
pub mod debugger;
pub mod devices;
pub mod error;
pub mod image;
pub mod machine;
pub mod memory;
pub mod observe;
pub mod pci;
