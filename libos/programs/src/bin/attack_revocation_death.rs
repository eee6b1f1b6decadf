//! Dies in the middle of an answer to revocation.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal};
use exo_programs::cache::Chunk;
use exo_programs::revocation::await_request;
use exo_programs::victim::Victim;
use exo_rt::{gate, revocation};

exo_rt::program!(main);

const FRAMES: u64 = 8;

fn main() -> Verdict {
    Victim::await_ready();
    let chunk = || expect_done("a chunk", Chunk::allocate(FRAMES));
    let (first, _second) = (chunk()?, chunk()?);
    let request = await_request()?;
    expect_done("the first half", gate::capability_free(first.capability))?;
    expect_equal(
        "whether that is all",
        revocation::is_answered(request.serial),
        false,
    )
}
