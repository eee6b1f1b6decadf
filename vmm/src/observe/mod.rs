//! What a running machine shows and lets itself be asked: the control socket, and the tables that travel over it.
//!
//! The tables are read from guest memory by the VMM's process: looking costs the guest no exit and no instruction.

pub mod bindings;
pub mod client;
pub mod folder;
pub mod protocol;
pub mod revocation;
pub mod screen;
pub mod server;
pub mod snapshot;
pub mod text;
pub mod watched;
