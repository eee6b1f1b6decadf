//! Gifts: capabilities for environments that the manifest names, which may end before or after.

use alloc::format;
use alloc::string::String;

use exo_rt::abi::capability::CapabilityEntry;
use exo_rt::abi::environment::EnvironmentId;
use exo_rt::abi::{Capability, Error, Kind};
use exo_rt::wait::Spinner;
use exo_rt::{environment, gate, tables};

/// The environment with this name.
pub fn environment_named(name: &str) -> Result<EnvironmentId, String> {
    tables::environments()
        .find(|(_, entry)| tables::Name::new(entry.name).as_str() == name)
        .map(|(id, _)| id)
        .ok_or_else(|| format!("there is no environment '{name}'"))
}

/// Gives a derived capability away, once the receiver is willing; the word by which the receiver names it.
pub fn give(capability: Capability, to: EnvironmentId) -> Result<Capability, String> {
    let mut spinner = Spinner::new();
    loop {
        match gate::capability_give(capability, to) {
            Ok(given) => return Ok(given),
            Err(Error::Unwilling) if !has_ended(&to) => spinner.relax(),
            Err(error) => return Err(format!("a capability was not taken: {error}")),
        }
    }
}

/// Accepts capabilities from the environment with this name, and waits for the first of this kind, unless that one ends.
pub fn await_gift(kind: Kind, giver: &str) -> Result<(Capability, CapabilityEntry), String> {
    let id = environment_named(giver)?;
    gate::capability_accept(u64::from(id.0))
        .map_err(|error| format!("accepting was refused: {error}"))?;
    let mut spinner = Spinner::new();
    loop {
        // In this order: what it gave before it ended counts, as long as it is there.
        let ended = has_ended(&id);
        let mut gifts = environment::held_of(kind).filter(|(_, entry)| entry.depth != 0);
        if let Some(found) = gifts.next() {
            return Ok(found);
        }
        if ended {
            return Err(format!("'{giver}' has ended and given no {kind}"));
        }
        spinner.relax();
    }
}

/// Whether an environment has ended.
fn has_ended(id: &EnvironmentId) -> bool {
    tables::environment(*id).is_none_or(|entry| tables::has_ended(&entry))
}

/// Waits until all of these have ended.
pub fn await_ends(environments: &[EnvironmentId]) {
    let mut spinner = Spinner::new();
    while !environments.iter().all(has_ended) {
        spinner.relax();
    }
}
