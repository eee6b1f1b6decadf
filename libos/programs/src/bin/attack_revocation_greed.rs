//! Takes again at once what it gives back, while the machine is shrunk: above the limit there is nothing to be had.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_error};
use exo_programs::cache::Chunk;
use exo_programs::revocation::{await_farewell, await_request};
use exo_programs::victim::Victim;
use exo_rt::abi::Error;
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::{gate, revocation, tables};

exo_rt::program!(main);

const FRAMES: u64 = 8;
const CHUNKS: usize = 16;

fn main() -> Verdict {
    Victim::await_ready();
    let chunk = || expect_done("a chunk", Chunk::allocate(FRAMES));
    let mut chunks = (0..CHUNKS)
        .map(|_| chunk())
        .collect::<Result<Vec<_>, _>>()?;
    let request = await_request()?;
    while !revocation::is_answered(request.serial) {
        expect_error(
            "one more",
            gate::frame_allocate(ANY_FRAME, 1, 0),
            Error::Exhausted,
        )?;
        let Some(chunk) = chunks.pop() else { break };
        expect_done("giving back", gate::capability_free(chunk.capability))?;
        let summary = tables::summary();
        if summary.frames_owned + FRAMES > summary.frames_limit {
            let again = gate::frame_allocate(chunk.first, FRAMES, 0);
            expect_error("the same again", again, Error::Exhausted)?;
        }
    }
    let summary = tables::summary();
    let left = summary.frames_limit - summary.frames_owned;
    let more = gate::frame_allocate(ANY_FRAME, left + 1, 0);
    expect_error("more than is left", more, Error::Exhausted)?;
    chunks.iter().try_for_each(Chunk::check)?;
    await_farewell(request.serial)
}
