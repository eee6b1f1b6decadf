//! Gives capabilities to those who accept none, to nobody, and capabilities that cannot be given.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal, expect_error};
use exo_programs::sharing::FULL;
use exo_programs::victim::Victim;
use exo_rt::abi::{EnvironmentId, Error};
use exo_rt::{environment, gate, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    let victim = Victim::await_ready().id;
    let (grant, first) = (environment::grant_capability(), environment::grant_first());
    let child = expect_done("deriving", gate::capability_derive(grant, first, 1, FULL))?;
    let held = || tables::environment(victim).map(|entry| entry.capabilities);
    let before = held();
    let give = |to| gate::capability_give(child, EnvironmentId(to));
    for to in [0, 3, 1024, 0xffff] {
        expect_error("giving to nobody", give(to), Error::BadArgument)?;
    }
    expect_error("giving to the victim", give(victim.0), Error::Unwilling)?;
    let own = environment::id().0;
    expect_error("giving to itself", give(own), Error::Unwilling)?;
    expect_done(
        "accepting from another",
        gate::capability_accept(u64::from(victim.0)),
    )?;
    expect_error("giving to itself", give(own), Error::Unwilling)?;
    let root = gate::capability_give(grant, victim);
    expect_error("giving the grant", root, Error::NotPermitted)?;
    for number in [3, 0xffff, 0x1_0001, u64::MAX - 1] {
        let answer = gate::capability_accept(number);
        expect_error("accepting from nobody", answer, Error::BadArgument)?;
    }
    expect_equal("what the victim holds", held(), before)?;
    expect_done("freeing", gate::capability_free(child))
}
