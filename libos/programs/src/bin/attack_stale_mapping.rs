//! Goes on using mappings of a frame that its owner takes back: `attack-stale-mapping owner|attacker|writer`. When the revocation has
//! returned the owner writes a secret, which the one must not read and the other not overwrite, on whichever vCPU they run.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{
    NOT_PRESENT_READ, NOT_PRESENT_WRITE, PLAYGROUND, expect_bad_capability, expect_done,
    expect_equal, expect_error, expect_page_fault,
};
use exo_programs::sharing::{await_capability, environment_named, give_when_willing};
use exo_programs::victim::Victim;
use exo_rt::abi::address::{BLOCK_SIZE, PAGE_SIZE};
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::{Error, Rights};
use exo_rt::fault::FaultRecord;
use exo_rt::page_tables::page_entry;
use exo_rt::wait::Spinner;
use exo_rt::{environment, gate, probe, processor, tables, wait, window};

exo_rt::program!(main);

const OWNER: &str = "owner";
const OTHERS: [&str; 2] = ["attacker", "writer"];
/// How often the owner shares a frame and takes it back.
const ROUNDS: u64 = 8;
/// At how many addresses each of the others maps it: more than one call of `capability_revoke` takes.
const MAPPINGS: u64 = 40;
/// What only the owner may know.
const SECRET: u64 = 0x5ec_2e7;
/// Accesses between two looks at who else wants the vCPU.
const BURST: u64 = 64;

fn main() -> Verdict {
    Victim::await_ready();
    match environment::arguments().next().as_deref() {
        Some("owner") => (0..ROUNDS).try_for_each(share),
        Some("writer") => (0..ROUNDS).try_for_each(|round| {
            use_until_revoked(NOT_PRESENT_WRITE, |address| {
                probe::write(address, round).map(|()| round)
            })
        }),
        _ => (0..ROUNDS).try_for_each(|_| use_until_revoked(NOT_PRESENT_READ, probe::read)),
    }
}

/// Shares a frame, waits until it is mapped and used, takes it back, and keeps a secret in it.
fn share(round: u64) -> Verdict {
    let root = expect_done("allocating", gate::frame_allocate(ANY_FRAME, 1, 0))?;
    let frame = tables::capability(root.slot()).map_or(0, |entry| entry.first);
    let place = window::address_of(frame);
    for name in OTHERS {
        let child = gate::capability_derive(root, frame, 1, Rights::READ_WRITE);
        let child = expect_done("deriving", child)?;
        expect_done("giving", give_when_willing(child, environment_named(name)))?;
    }
    let mappings = || tables::frame(frame).map(|entry| u64::from(entry.mappings));
    while mappings() != Some(MAPPINGS * OTHERS.len() as u64) {
        wait::yield_now();
    }
    // A different moment each time.
    (0..round * 900).for_each(|_| processor::pause());
    expect_done("revoking", gate::capability_revoke(root))?;
    expect_equal("writing the secret", probe::write(place, SECRET), Ok(()))?;
    expect_equal("mappings", mappings(), Some(0))?;
    let mut spinner = Spinner::new();
    for _ in 0..1000 {
        expect_equal("the secret", probe::read(place), Ok(SECRET))?;
        spinner.relax();
    }
    expect_done("freeing", gate::capability_free(root))
}

/// Address of mapping `index`: by turns in two page tables, so that the capability's list goes to and fro.
fn place(index: u64) -> u64 {
    PLAYGROUND + index % 2 * BLOCK_SIZE + index * PAGE_SIZE
}

/// Maps what comes, uses it by all mappings until they are gone, and checks that they are gone entirely.
fn use_until_revoked(fault: u64, access: impl Fn(u64) -> Result<u64, FaultRecord>) -> Verdict {
    let owner = environment_named(OWNER);
    let got = expect_done("getting", await_capability(owner))?;
    let frame = tables::capability(got.slot()).map_or(0, |entry| entry.first);
    let entry = |index| MapEntry {
        address: place(index),
        frame,
        pages: 1,
        rights: Rights::READ_WRITE.0,
        capability: got.0,
    };
    let entries: [MapEntry; MAPPINGS as usize] = core::array::from_fn(|index| entry(index as u64));
    expect_done("mapping", gate::page_map(&entries))?;
    let mut spinner = Spinner::new();
    let (gone, record) = 'used: loop {
        for number in 0..BURST {
            let address = place(number % MAPPINGS);
            match access(address) {
                Ok(SECRET) => return Err("the secret".into()),
                Ok(_) => {}
                Err(record) => break 'used (address, record),
            }
        }
        spinner.relax();
    };
    expect_page_fault::<()>("a mapping that was taken", Err(record), fault, gone)?;
    exo_programs::sharing::await_stale(got);
    for entry in entries {
        let outcome = access(entry.address);
        expect_page_fault("a stale mapping", outcome, fault, entry.address)?;
        expect_equal("its entry", page_entry(entry.address), None)?;
        let unmapped = gate::page_unmap(&[entry]);
        expect_error("unmapping it", unmapped, Error::NotMapped)?;
    }
    expect_bad_capability(got, frame)
}
