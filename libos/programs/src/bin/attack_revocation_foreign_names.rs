//! Answers revocation with names that it does not own, and with what does not count: none of it helps.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal, expect_error};
use exo_programs::cache::Chunk;
use exo_programs::revocation::{
    await_farewell, await_repossessions, await_request, expect_repossession,
};
use exo_programs::victim::{Victim, capabilities_of_others};
use exo_rt::abi::{Error, Kind, Rights};
use exo_rt::{gate, revocation};

exo_rt::program!(main);

const FRAMES: u64 = 8;

fn main() -> Verdict {
    let victim = Victim::await_ready();
    let chunk = expect_done("a chunk", Chunk::allocate(FRAMES))?;
    let part = gate::capability_derive(chunk.capability, chunk.first, 1, Rights::READ);
    let part = expect_done("a part", part)?;
    let request = await_request()?;
    let held = revocation::held(request.kind);
    let memory = victim.capability(Kind::Blocks);
    expect_equal("the victim's memory", memory.is_some(), true)?;
    for (_, word, _) in capabilities_of_others() {
        let answer = gate::capability_free(word);
        expect_error("another's capability", answer, Error::BadCapability)?;
    }
    // Derived, it owns no frame.
    expect_done("a part", gate::capability_free(part))?;
    expect_equal("what is held", revocation::held(request.kind), held)?;
    expect_equal("the request", revocation::request(), Some(request))?;
    await_repossessions(1)?;
    expect_repossession(0, &chunk)?;
    await_farewell(request.serial)
}
