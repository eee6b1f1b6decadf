//! The libOS runtime: all that a program in ring 3 needs to stand on the exokernel.
//!
//! This is the only crate of the libOS side with unsafe code. A program is `exo_rt::program!(main)` and a `main`.
//!
//! Two things lie outside what Rust's safety covers, as `/proc/self/mem` does under Linux: [`gate`] takes numbers and can
//! unmap the page that the program stands on, and [`probe`] exists to make the CPU fault.
#![no_std]

extern crate alloc;

pub mod children;
pub mod clock;
pub mod console;
pub mod context;
pub mod crash;
pub mod dma;
pub mod environment;
pub mod events;
pub mod family;
pub mod fault;
pub mod flags;
pub mod full_state;
pub mod gate;
pub mod heap;
pub mod local;
mod memory_functions;
pub mod page_tables;
pub mod panic;
pub mod predicate;
pub mod probe;
pub mod processor;
mod program;
pub mod program_memory;
pub mod registers;
pub mod revocation;
pub mod segments;
mod shared;
pub mod slices;
pub mod snapshot;
pub mod start;
pub mod strange_access;
pub mod system_call;
pub mod tables;
pub mod transfer;
pub mod turn_code;
pub mod upcall;
pub mod vdso;
pub mod vector_state;
mod volatile;
pub mod wait;
pub mod window;

pub use exo_abi as abi;
