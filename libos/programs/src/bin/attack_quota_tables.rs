//! Maps pages far apart until the page-table quota says no.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{allowed_mapping, expect_done, expect_equal, expect_map_error};
use exo_programs::victim::Victim;
use exo_rt::abi::Error;
use exo_rt::abi::address::PAGE_SIZE;
use exo_rt::abi::map::MapEntry;
use exo_rt::{gate, tables};

exo_rt::program!(main);

/// One page directory's reach: each mapping this far apart needs tables of its own.
const STEP: u64 = 1 << 30;

fn tables_left() -> u32 {
    let own = tables::own_environment();
    own.tables_quota - own.tables
}

fn main() -> Verdict {
    Victim::await_ready();
    let at = |index: u64| MapEntry {
        address: (index + 1) * STEP,
        ..allowed_mapping()
    };
    let mut index = 0;
    // A page needs a page directory, a page table, and the frame with its links, unless they are there.
    while tables_left() >= 3 {
        expect_done("mapping", gate::page_map(&[at(index)]))?;
        index += 1;
    }
    let left = tables_left();
    expect_map_error("beyond the quota", at(index), Error::Quota)?;
    expect_equal("tables left after a refusal", tables_left(), left)?;
    let next = at(0).address + PAGE_SIZE;
    expect_done(
        "where tables are",
        gate::page_map(&[MapEntry {
            address: next,
            ..at(0)
        }]),
    )
    .map(drop)
}
