//! The hardware: all assembly, and nearly all unsafe code, of the kernel.
#![allow(unsafe_code)]

pub mod assembly;
pub mod console;
pub mod devices;
pub mod environment_pages;
pub mod gate;
pub mod interface_page;
pub mod memory;
pub mod paging;
pub mod ports;
pub mod registers;
pub mod shared_page;
pub mod shootdown;
pub mod switch;
pub mod transfer_notes;
pub mod turn_notes;
pub mod vcpu;
