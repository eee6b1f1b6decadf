//! Takes back what others hold: by capabilities without the right, of others, and by those that were taken back themselves.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal, expect_error};
use exo_programs::sharing::FULL;
use exo_programs::victim::Victim;
use exo_rt::abi::{Capability, Error, Kind, Rights};
use exo_rt::{environment, gate, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    let victim = Victim::await_ready();
    let (grant, first) = (environment::grant_capability(), environment::grant_first());
    let held = || tables::environment(victim.id).map(|entry| entry.capabilities);
    let before = held();
    let foreign = victim.capability(Kind::Blocks).expect("the victim's grant");
    for word in [foreign, Capability::NONE, Capability(u64::MAX)] {
        let answer = gate::capability_revoke(word);
        expect_error("revoking another's", answer, Error::BadCapability)?;
    }
    for rights in [Rights::READ_WRITE, Rights(FULL.0 & !Rights::REVOKE.0)] {
        let child = gate::capability_derive(grant, first, 1, rights);
        let child = expect_done("deriving", child)?;
        let answer = gate::capability_revoke(child);
        expect_error("revoking without the right", answer, Error::NotPermitted)?;
    }
    let strong = gate::capability_derive(grant, first, 1, FULL);
    let strong = expect_done("deriving", strong)?;
    let below = gate::capability_derive(strong, first, 1, FULL);
    let below = expect_done("deriving from that", below)?;
    // Upwards and sideways nothing happens.
    expect_done("revoking a leaf", gate::capability_revoke(below))?;
    expect_equal("own capabilities", children_of(grant), 3)?;
    expect_done("revoking", gate::capability_revoke(grant))?;
    expect_equal("own capabilities", children_of(grant), 0)?;
    for stale in [strong, below] {
        let answer = gate::capability_revoke(stale);
        expect_error("revoking by a revoked one", answer, Error::BadCapability)?;
    }
    expect_equal("what the victim holds", held(), before)
}

/// How many capabilities stand directly below this one in the exported tree.
fn children_of(capability: Capability) -> usize {
    let parent = capability.slot() + 1;
    (0..tables::capability_slots())
        .filter_map(tables::capability_at)
        .filter(|entry| entry.parent == parent)
        .count()
}
