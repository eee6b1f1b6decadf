//! Keeps what it was given when the giver has ended: `attack-outlive-giver giver|keeper`. The giver ends with all that it holds
//! derived and given away.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{expect_bad_capability, expect_done, expect_equal};
use exo_programs::sharing::{
    FULL, await_capability, await_held, await_stale, environment_named, give_when_willing,
};
use exo_programs::victim::Victim;
use exo_rt::abi::EnvironmentId;
use exo_rt::{environment, gate, tables};

exo_rt::program!(main);

const GIVER: &str = "giver";
const KEEPER: &str = "attacker";

fn main() -> Verdict {
    Victim::await_ready();
    if environment::arguments().next().as_deref() == Some("giver") {
        return give();
    }
    let giver = environment_named(GIVER);
    let got = expect_done("getting", await_capability(giver))?;
    let frame = tables::capability(got.slot()).map_or(0, |entry| entry.first);
    let mut words = [got; 4];
    for index in 1..words.len() {
        let derived = gate::capability_derive(words[index - 1], frame, 1, FULL);
        words[index] = expect_done("deriving", derived)?;
    }
    for word in words {
        await_stale(word);
        expect_bad_capability(word, frame)?;
    }
    let owner = tables::frame_owner(frame);
    expect_equal("owner of the frame", owner, Some(EnvironmentId::NOBODY))
}

fn give() -> Verdict {
    let (grant, first) = (environment::grant_capability(), environment::grant_first());
    let child = expect_done("deriving", gate::capability_derive(grant, first, 1, FULL))?;
    let keeper = environment_named(KEEPER);
    expect_done("giving", give_when_willing(child, keeper))?;
    await_held(keeper, |entry| entry.depth == 4);
    Ok(())
}
