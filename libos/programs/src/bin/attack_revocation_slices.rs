//! `attack-revocation-slices LOSSES`: keeps slices, hands one on, and takes them again at once, while slices end all the time.
#![no_std]
#![no_main]

extern crate alloc;

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal};
use exo_programs::gifts::{environment_named, give};
use exo_programs::revocation::{Binding, await_farewell, await_repossessions, serial_of};
use exo_programs::victim::Victim;
use exo_rt::abi::slice::SLICES;
use exo_rt::abi::{EnvironmentId, Kind, Rights};
use exo_rt::{environment, gate, revocation, tables, wait};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let losses: u64 = environment::arguments()
        .next()
        .and_then(|losses| losses.parse().ok())
        .ok_or("the argument is a number of losses")?;
    let vcpu = tables::own_environment().vcpu;
    let partner = environment_named("partner")?;
    let owner = |slot| tables::slice(u64::from(vcpu) * SLICES as u64 + slot).map(|one| one.owner);
    let first = expect_done("two slots", gate::slice_allocate(vcpu, 8, 2))?;
    let part = gate::capability_derive(first, 9, 1, Rights::READ);
    let part = give(expect_done("a part", part)?, partner)?;
    while owner(9) != Some(partner) {
        wait::yield_now();
    }
    let first = Binding::of(first)?;
    let second = expect_done("one slot", gate::slice_allocate(vcpu, 3, 1))?;
    let second = Binding::of(second)?;
    expect_equal("slot 8", owner(8), Some(environment::id()))?;

    await_repossessions(1)?;
    second.expect_taken(0)?;
    let of_both = (owner(3), owner(8), owner(9));
    let due = (
        Some(EnvironmentId::NOBODY),
        Some(environment::id()),
        Some(partner),
    );
    expect_equal("the slots", of_both, due)?;

    await_repossessions(2)?;
    first.expect_taken(1)?;
    let nobody = Some(EnvironmentId::NOBODY);
    expect_equal("the slots", (owner(8), owner(9)), (nobody, nobody))?;
    let stale = tables::capability(part.slot());
    let stale = stale.is_none_or(|entry| entry.generation != part.generation());
    expect_equal("whether the part is stale", stale, true)?;

    // It has its turns all the same; and what it takes again is taken from it while it computes.
    let mut lost = 2;
    while lost < losses {
        let slots = expect_done("slots", gate::slice_allocate(vcpu, 60, 4))?;
        // They may be gone before this can look at them.
        let slots = Binding {
            capability: slots,
            kind: Kind::Slice,
            first: 60,
            count: 4,
        };
        while revocation::repossessed() == lost {
            core::hint::spin_loop();
        }
        slots.expect_taken(lost)?;
        lost += 1;
    }
    for slot in 0..SLICES as u64 {
        expect_equal("a slot", owner(slot), nobody)?;
    }
    await_farewell(serial_of(lost - 1))
}
