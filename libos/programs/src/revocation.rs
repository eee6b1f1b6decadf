//! What attacks on revocation share: they wait for what the host asks and the kernel takes.

use exo_rt::revocation::{self, Request};
use exo_rt::{environment, gate};

use crate::Verdict;
use crate::attack::{expect_done, expect_equal};
use crate::cache::Chunk;

/// Sleeps until the next event. The test sees the sleep and asks then.
pub fn sleep_once() {
    let seen = environment::events();
    // Whoever is awake already need not sleep.
    let _ = gate::environment_wait(seen);
}

/// Waits for a request.
pub fn await_request() -> Result<Request, alloc::string::String> {
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
    let taken = revocation::repossession(number);
    let found = taken.map(|taken| (taken.capability, taken.first, taken.count));
    let due = (chunk.capability.0, chunk.first, chunk.count);
    expect_equal("what was taken", found, Some(due))
}
