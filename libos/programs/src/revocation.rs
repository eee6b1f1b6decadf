//! What attacks on revocation share: they wait for what the host asks and the kernel takes.

use alloc::string::String;

use exo_rt::abi::{Capability, Error, Kind};
use exo_rt::revocation::{self, Request};
use exo_rt::{environment, gate, tables, wait};

use crate::Verdict;
use crate::attack::{expect_done, expect_equal, expect_error};
use crate::cache::Chunk;

/// Sleeps until the next event. The test sees the sleep and asks then.
pub fn sleep_once() {
    let seen = environment::events();
    // Whoever is awake already need not sleep.
    let _ = gate::environment_wait(seen);
}

/// Waits for a request.
pub fn await_request() -> Result<Request, String> {
    loop {
        let seen = environment::events();
        if let Some(request) = revocation::request() {
            return Ok(request);
        }
        expect_done("sleeping", gate::environment_wait(seen))?;
    }
}

/// Waits until the kernel has taken so many bindings in all.
pub fn await_repossessions(count: u64) -> Verdict {
    loop {
        let seen = environment::events();
        if revocation::repossessed() >= count && revocation::request().is_none() {
            return expect_equal("bindings taken", revocation::repossessed(), count);
        }
        expect_done("sleeping", gate::environment_wait(seen))?;
    }
}

/// Number of the request by which this binding was taken.
pub fn serial_of(number: u64) -> u64 {
    let taken = revocation::repossession(number);
    taken.map_or(0, |taken| taken.request & 0xffff_ffff)
}

/// Waits for one more request than `last`, which the test makes when it has seen all that it wants to see: the machine must not end before.
pub fn await_farewell(last: u64) -> Verdict {
    loop {
        let seen = environment::events();
        if revocation::last_serial() > last {
            return Ok(());
        }
        expect_done("sleeping", gate::environment_wait(seen))?;
    }
}

/// Fails unless binding `number` that was taken is this one.
pub fn expect_repossession(number: u64, chunk: &Chunk) -> Verdict {
    let due = Binding {
        capability: chunk.capability,
        kind: Kind::Frames,
        first: chunk.first,
        count: chunk.count,
    };
    due.expect_taken(number)
}

/// What a capability names, for when it is gone.
#[derive(Clone, Copy)]
pub struct Binding {
    /// Names it.
    pub capability: Capability,
    /// Kind of resource.
    pub kind: Kind,
    /// First name.
    pub first: u64,
    /// How many.
    pub count: u64,
}

impl Binding {
    /// What this capability names now.
    pub fn of(capability: Capability) -> Result<Self, String> {
        let entry = tables::capability(capability.slot());
        let entry = entry.filter(|entry| entry.generation == capability.generation());
        let entry = entry.ok_or("the capability is stale")?;
        Ok(Self {
            capability,
            kind: Kind::from_number(entry.kind).ok_or("no kind")?,
            first: entry.first,
            count: entry.count,
        })
    }

    /// Fails unless this is binding `number` that was taken by force, and cannot be used any more.
    pub fn expect_taken(&self, number: u64) -> Verdict {
        let taken = revocation::repossession(number);
        let found = taken.map(|taken| {
            (
                taken.capability,
                taken.request >> 32,
                taken.first,
                taken.count,
            )
        });
        let due = (self.capability.0, self.kind as u64, self.first, self.count);
        expect_equal("what was taken", found, Some(due))?;
        let answer = gate::capability_free(self.capability);
        expect_error("what was taken", answer, Error::BadCapability)
    }
}

/// Waits until a request behind `last` has come and is over; its number.
pub fn await_end_of_request(last: u64) -> Result<u64, String> {
    await_farewell(last)?;
    // That it is over is no event, where nothing was taken.
    while revocation::request().is_some() {
        wait::yield_now();
    }
    Ok(revocation::last_serial())
}
