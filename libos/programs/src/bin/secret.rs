//! Fills every register with a secret and yields, as long as the attacker is there.
#![no_std]
#![no_main]

use exo_rt::{full_state, tables};

exo_rt::program!(main);

/// All bytes different, and as a number for x87 nothing special.
const SECRET: u64 = 0x5ec2_e7d3_1b4f_a698;

fn main() {
    while tables::environments().any(|(_, entry)| {
        tables::Name::new(entry.name).as_str() == "attacker" && !tables::has_ended(&entry)
    }) {
        full_state::leave_behind(SECRET);
    }
}
