//! Giving capabilities to other programs of the image, and getting them: who is there, and what came.

use exo_rt::abi::capability::CapabilityEntry;
use exo_rt::abi::{Capability, EnvironmentId, Error, Kind, Rights};
use exo_rt::{environment, gate, tables, wait};

/// All that can be given on and taken back.
pub const FULL: Rights = Rights::CAPABILITY;

/// The environment of this name.
pub fn environment_named(name: &str) -> EnvironmentId {
    tables::environments()
        .find(|(_, entry)| tables::Name::new(entry.name).as_str() == name)
        .map(|(id, _)| id)
        .expect("the manifest has an environment of this name")
}

/// Gives a capability as soon as its receiver is willing; the word by which that names it.
pub fn give_when_willing(capability: Capability, to: EnvironmentId) -> Result<Capability, Error> {
    loop {
        match gate::capability_give(capability, to) {
            Err(Error::Unwilling) => wait::yield_now(),
            answer => return answer,
        }
    }
}

/// Accepts from `from` until a capability has come, and from nobody then.
pub fn await_capability(from: EnvironmentId) -> Result<Capability, Error> {
    gate::capability_accept(u64::from(from.0))?;
    let capability = await_held(environment::id(), |entry| entry.depth != 0);
    gate::capability_accept(0)?;
    Ok(capability)
}

/// Waits until an environment holds a capability of frames that `accept` accepts.
pub fn await_held(holder: EnvironmentId, accept: impl Fn(&CapabilityEntry) -> bool) -> Capability {
    loop {
        if let Some((capability, _)) = frames_held(holder).find(|(_, entry)| accept(entry)) {
            return capability;
        }
        wait::yield_now();
    }
}

/// What an environment holds of frames.
pub fn frames_held(holder: EnvironmentId) -> impl Iterator<Item = (Capability, CapabilityEntry)> {
    (0..tables::capability_slots()).filter_map(move |slot| {
        let entry = tables::capability_at(slot)?;
        let frames = entry.kind == Kind::Frames as u8 || entry.kind == Kind::Blocks as u8;
        let capability = Capability::new(slot as u32, entry.generation);
        (frames && entry.holder == holder).then_some((capability, entry))
    })
}

/// Waits until a word is stale.
pub fn await_stale(capability: Capability) {
    while tables::capability(capability.slot())
        .is_some_and(|entry| entry.generation == capability.generation())
    {
        wait::yield_now();
    }
}
