//! Uses derived capabilities after they were freed, given away or revoked, also when their slots serve again.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{expect_bad_capability, expect_done, expect_equal, expect_error};
use exo_programs::sharing::FULL;
use exo_programs::victim::Victim;
use exo_rt::abi::{Capability, Error};
use exo_rt::{environment, gate};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let (grant, first) = (environment::grant_capability(), environment::grant_first());
    let derive = |from: Capability| gate::capability_derive(from, first, 1, FULL);

    let freed = expect_done("deriving", derive(grant))?;
    expect_done("freeing", gate::capability_free(freed))?;
    expect_bad_capability(freed, first)?;

    expect_done(
        "accepting",
        gate::capability_accept(u64::from(environment::id().0)),
    )?;
    let old = expect_done("deriving", derive(grant))?;
    expect_equal("the slot", old.slot(), freed.slot())?;
    expect_bad_capability(freed, first)?;
    let new = expect_done("giving", gate::capability_give(old, environment::id()))?;
    expect_bad_capability(old, first)?;

    let child = expect_done("deriving again", derive(new))?;
    let grandchild = expect_done("deriving from that", derive(child))?;
    expect_error("freeing a parent", gate::capability_free(new), Error::InUse)?;
    let given = gate::capability_give(child, environment::id());
    expect_error("giving a parent", given, Error::InUse)?;
    expect_done("revoking", gate::capability_revoke(new))?;
    for stale in [freed, old, child, grandchild] {
        expect_bad_capability(stale, first)?;
    }
    expect_done("freeing what was given", gate::capability_free(new))?;
    // Again the same slots: the words of before stay stale.
    let words = [0; 3].map(|_| derive(grant));
    for stale in [freed, old, new, child, grandchild] {
        expect_bad_capability(stale, first)?;
    }
    for word in words {
        expect_done("deriving in used slots", word)?;
    }
    expect_done("revoking all", gate::capability_revoke(grant))
}
