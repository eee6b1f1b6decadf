//! `spin-until [NAME]`: never enters the kernel, until this environment, or without a name all others of the vCPU, have ended.
#![no_std]
#![no_main]

use exo_rt::{environment, tables};

exo_rt::program!(main);

fn main() {
    let name = environment::arguments().next();
    let vcpu = tables::own_environment().vcpu;
    while tables::environments().any(|(id, entry)| {
        let named = name
            .as_ref()
            .is_none_or(|name| tables::Name::new(entry.name).as_str() == name.as_str());
        named && id != environment::id() && entry.vcpu == vcpu && !tables::has_ended(&entry)
    }) {}
}
