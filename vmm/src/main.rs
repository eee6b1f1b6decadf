//! The command `exo`.

fn main() {}
