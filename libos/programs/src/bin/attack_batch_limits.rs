//! Batches that are empty, too long, or refused half way.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{
    NOT_PRESENT_READ, PLAYGROUND, allowed_mapping, expect_done, expect_equal, expect_error,
    expect_map_error, expect_page_fault,
};
use exo_programs::victim::Victim;
use exo_rt::abi::address::PAGE_SIZE;
use exo_rt::abi::map::{MAP_BATCH, MAP_PAGES_MAX, MapEntry};
use exo_rt::abi::{Call, Error};
use exo_rt::{environment, gate, probe};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    for call in [Call::PageMap, Call::PageProtect, Call::PageUnmap] {
        for entries in [0, MAP_BATCH as u64 + 1, 1 << 32, u64::MAX] {
            let answer = gate::enter(call as u64, [entries, 0, 0, 0]).result();
            expect_error("a batch", answer, Error::BadCount)?;
        }
    }
    let first = environment::grant_first();
    for pages in [0, MAP_PAGES_MAX as u32 + 1, u32::MAX] {
        expect_map_error(
            "a run",
            MapEntry {
                pages,
                frame: first,
                ..allowed_mapping()
            },
            Error::BadCount,
        )?;
    }
    let half = MapEntry {
        pages: MAP_PAGES_MAX as u32 / 2 + 1,
        frame: first,
        ..allowed_mapping()
    };
    let second = MapEntry {
        address: PLAYGROUND + MAP_PAGES_MAX * PAGE_SIZE,
        ..half
    };
    let answer = gate::run_batch(Call::PageMap, &[half, second]);
    expect_error("two runs", answer.result(), Error::BadCount)?;
    expect_equal("entries done", answer.value, 1)?;
    expect_done(
        "the first of them",
        probe::read(PLAYGROUND).map_err(|_| Error::NotMapped),
    )?;
    expect_page_fault(
        "the second",
        probe::read(second.address),
        NOT_PRESENT_READ,
        second.address,
    )
}
