//! `yield-to NAME`: yields to this environment by name again and again, until all others of its vCPU have ended.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;

use exo_rt::{environment, gate, tables};

exo_rt::program!(main);

fn main() -> Result<(), String> {
    let name = environment::arguments().next();
    let name = name.ok_or_else(|| String::from("the argument is the name of an environment"))?;
    let named = || {
        tables::environments()
            .find(|(_, entry)| tables::Name::new(entry.name).as_str() == name.as_str())
            .filter(|(_, entry)| !tables::has_ended(entry))
    };
    while tables::environments().any(|(id, entry)| {
        let other = tables::Name::new(entry.name);
        id != environment::id() && other.as_str() != name.as_str() && !tables::has_ended(&entry)
    }) {
        let Some((id, _)) = named() else { break };
        // It may end meanwhile.
        let _ = gate::environment_yield_to(id);
    }
    Ok(())
}
