//! `spin-beside`: never enters the kernel, until all others of its vCPU have ended.
#![no_std]
#![no_main]

use exo_rt::{environment, tables};

exo_rt::program!(main);

fn main() {
    let vcpu = tables::own_environment().vcpu;
    while tables::environments().any(|(id, entry)| {
        id != environment::id() && entry.vcpu == vcpu && !tables::has_ended(&entry)
    }) {}
}
