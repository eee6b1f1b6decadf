//! The exokernel.
fn main() {}
