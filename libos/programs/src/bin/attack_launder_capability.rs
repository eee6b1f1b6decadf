//! Launders a capability through a third environment: the owner gives it to the launderer, who derives another from it for the
//! keeper, so that the keeper would still have it when the owner has taken it back. `attack-launder-capability owner|launderer|keeper`
#![no_std]
#![no_main]

extern crate alloc;

use exo_programs::Verdict;
use exo_programs::attack::{expect_bad_capability, expect_done, expect_equal, expect_error};
use exo_programs::sharing::{
    FULL, await_capability, await_held, await_stale, environment_named, frames_held,
    give_when_willing,
};
use exo_programs::victim::Victim;
use exo_rt::abi::{Capability, Error, Rights};
use exo_rt::{environment, gate, tables};

exo_rt::program!(main);

/// Name of the owner: the manifest calls it as it calls every attacker.
const OWNER: &str = "attacker";
const LAUNDERER: &str = "launderer";
const KEEPER: &str = "keeper";

fn main() -> Verdict {
    Victim::await_ready();
    match environment::arguments().next().as_deref() {
        Some("owner") => own(),
        Some("launderer") => launder(),
        Some("keeper") => keep(),
        _ => Err("argument: owner, launderer or keeper".into()),
    }
}

/// Gives, waits until the keeper has it through the launderer, and takes it back.
fn own() -> Verdict {
    let (grant, first) = (environment::grant_capability(), environment::grant_first());
    let child = expect_done("deriving", gate::capability_derive(grant, first, 1, FULL))?;
    let (launderer, keeper) = (environment_named(LAUNDERER), environment_named(KEEPER));
    let child = expect_done("giving", give_when_willing(child, launderer))?;
    expect_error(
        "freeing the grant",
        gate::capability_free(grant),
        Error::InUse,
    )?;
    let answer = gate::capability_revoke(child);
    expect_error("revoking by what was given", answer, Error::BadCapability)?;
    await_held(keeper, |entry| entry.depth == 3);
    expect_done("revoking", gate::capability_revoke(grant))?;
    for id in [launderer, keeper] {
        let left = frames_held(id).filter(|(_, entry)| entry.first == first);
        expect_equal("what others have of it", left.count(), 0)?;
    }
    let entry = tables::capability(grant.slot());
    let children = entry.map(|entry| entry.first_child);
    expect_equal("children", children, Some(0))
}

/// Passes on what it got, and tries to be rid of its own, so that nothing led to the keeper.
fn launder() -> Verdict {
    let got = expect_done("getting", await_capability(environment_named(OWNER)))?;
    let frame = first_of(got);
    let child = expect_done("deriving", gate::capability_derive(got, frame, 1, FULL))?;
    let keeper = environment_named(KEEPER);
    let given = expect_done("passing on", give_when_willing(child, keeper))?;
    expect_bad_capability(child, frame)?;
    expect_bad_capability(given, frame)?;
    // The owner may be faster: then it is stale already.
    let attempts = [
        ("freeing", gate::capability_free(got)),
        ("giving away", gate::capability_give(got, keeper).map(drop)),
    ];
    for (what, answer) in attempts {
        match answer {
            Err(Error::InUse | Error::BadCapability) => {}
            other => return Err(alloc::format!("{what}: {other:?}")),
        }
    }
    await_stale(got);
    expect_bad_capability(got, frame)
}

/// Keeps it, and one that it derives for itself.
fn keep() -> Verdict {
    let got = expect_done("getting", await_capability(environment_named(LAUNDERER)))?;
    let frame = first_of(got);
    let own = gate::capability_derive(got, frame, 1, Rights::READ_WRITE);
    await_stale(got);
    expect_bad_capability(got, frame)?;
    match own {
        Ok(own) => {
            await_stale(own);
            expect_bad_capability(own, frame)
        }
        // The owner saw it in the table, and was faster.
        Err(error) => expect_equal("deriving", error, Error::BadCapability),
    }
}

/// The frame that a capability names.
fn first_of(capability: Capability) -> u64 {
    tables::capability(capability.slot()).map_or(0, |entry| entry.first)
}
