//! The machine: memory map, boot, vCPUs, interrupts and the bus that devices stand on.

pub mod bus;
pub mod interrupts;
