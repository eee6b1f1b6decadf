//! Asks for slots of the slice vector that are another's, that are none, or for another vCPU; for slice upcalls that are none.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal, expect_error};
use exo_rt::abi::address::{LOWER_HALF_END, PROGRAM_BASE, PROGRAM_END};
use exo_rt::abi::slice::{ANY_POSITION, SLICES};
use exo_rt::abi::{Capability, Error, Rights};
use exo_rt::{environment, gate, tables, window};

exo_rt::program!(main);

fn main() -> Verdict {
    let vcpu = tables::own_environment().vcpu;
    let slots = SLICES as u64;
    for other in [vcpu + 1, u32::MAX] {
        expect_error(
            "another vCPU",
            gate::slice_allocate(other, 0, 1),
            Error::BadArgument,
        )?;
    }
    for count in [0, slots + 1, u64::MAX] {
        expect_error(
            "count",
            gate::slice_allocate(vcpu, 0, count),
            Error::BadCount,
        )?;
    }
    for position in [slots, u64::MAX - 1, 1 << 63] {
        expect_error(
            "position",
            gate::slice_allocate(vcpu, position, 1),
            Error::OutOfRange,
        )?;
    }
    expect_error(
        "beyond the end",
        gate::slice_allocate(vcpu, 1, slots),
        Error::OutOfRange,
    )?;

    let some = expect_done("four slots", gate::slice_allocate(vcpu, 8, 4))?;
    expect_error("owned", gate::slice_allocate(vcpu, 11, 1), Error::Taken)?;
    expect_error("all", gate::slice_allocate(vcpu, 0, slots), Error::Taken)?;
    expect_error(
        "more than the quota",
        gate::slice_allocate(vcpu, ANY_POSITION, 2),
        Error::Quota,
    )?;
    expect_error(
        "too many in a row",
        gate::slice_allocate(vcpu, ANY_POSITION, slots - 4),
        Error::Exhausted,
    )?;
    expect_error("bound already", gate::slice_bind(some), Error::BadState)?;
    expect_error(
        "bound as memory",
        gate::slice_bind(environment::grant_capability()),
        Error::WrongKind,
    )?;
    expect_error(
        "forged",
        gate::slice_bind(Capability(some.0 ^ 1 << 40)),
        Error::BadCapability,
    )?;
    let part = expect_done("a part", gate::capability_derive(some, 9, 1, Rights::READ))?;
    expect_done("bind of a part", gate::slice_bind(part))?;
    expect_error(
        "more than the quota, in parts",
        gate::slice_allocate(vcpu, ANY_POSITION, 1),
        Error::Quota,
    )?;
    expect_error(
        "free of what was parted",
        gate::capability_free(some),
        Error::InUse,
    )?;
    expect_error(
        "a part that is none",
        gate::capability_derive(some, 12, 1, Rights::READ),
        Error::OutOfRange,
    )?;
    expect_done("free of the part", gate::capability_free(part))?;
    let owner = tables::slice(u64::from(vcpu) * slots + 9).map(|entry| entry.owner);
    expect_equal("the owner behind it", owner, Some(environment::id()))?;
    expect_done("free", gate::capability_free(some))?;
    expect_error("freed", gate::slice_bind(some), Error::BadCapability)?;
    for slot in 0..tables::slice_count() {
        let owner = tables::slice(slot).map(|entry| entry.owner.0);
        expect_equal("an owner of a free slot", owner, Some(0))?;
    }

    let stack = window::slice_stack_top();
    for entry in [PROGRAM_BASE - 1, PROGRAM_END, 1 << 63, u64::MAX] {
        expect_error(
            "end",
            gate::slice_upcall_set(entry, 0, stack),
            Error::BadAddress,
        )?;
        expect_error(
            "begin",
            gate::slice_upcall_set(0, entry, stack),
            Error::BadAddress,
        )?;
    }
    for stack in [LOWER_HALF_END, 1 << 63, u64::MAX] {
        expect_error(
            "stack",
            gate::slice_upcall_set(0, 0, stack),
            Error::BadAddress,
        )?;
    }
    expect_error("vectors_moved", gate::vectors_moved(), Error::BadState)
}
