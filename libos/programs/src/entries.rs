//! Entries for protected control transfer: handing them out, and getting one.

use exo_rt::abi::capability::CapabilityEntry;
use exo_rt::abi::{Capability, EnvironmentId, Error, Kind};
use exo_rt::{environment, gate, tables, wait};

use crate::sharing::{FULL, give_when_willing};

/// Derives from the capability of the own entry, and gives that to `to` as soon as it accepts.
pub fn offer(entry: Capability, to: EnvironmentId) -> Result<Capability, Error> {
    let own = u64::from(environment::id().0);
    give_when_willing(gate::capability_derive(entry, own, 1, FULL)?, to)
}

/// Accepts from `from` until its entry has come.
pub fn await_entry(from: EnvironmentId) -> Result<Capability, Error> {
    gate::capability_accept(u64::from(from.0))?;
    let entry = loop {
        if let Some(entry) = held(environment::id(), from) {
            break entry;
        }
        wait::yield_now();
    };
    gate::capability_accept(0)?;
    Ok(entry)
}

/// The capability by which `holder` transfers to `to`, if it has one.
pub fn held(holder: EnvironmentId, to: EnvironmentId) -> Option<Capability> {
    let leads = |entry: &CapabilityEntry| {
        entry.kind == Kind::Entry as u8 && entry.holder == holder && entry.first == u64::from(to.0)
    };
    (0..tables::capability_slots()).find_map(|slot| {
        let entry = tables::capability_at(slot)?;
        leads(&entry).then(|| Capability::new(slot as u32, entry.generation))
    })
}

/// Yields until this environment has ended.
pub fn await_end(id: EnvironmentId) {
    while tables::environment(id).is_some_and(|entry| !tables::has_ended(&entry)) {
        wait::yield_now();
    }
}
