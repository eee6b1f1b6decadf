//! Derives more than there is: frames beyond a capability, rights that it lacks, other kinds, from others', too deep, too many.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_error};
use exo_programs::sharing::FULL;
use exo_programs::victim::Victim;
use exo_rt::abi::capability::DEPTH_MAX;
use exo_rt::abi::{Capability, Error, Kind, Rights};
use exo_rt::{environment, gate, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    let victim = Victim::await_ready();
    let (grant, first) = (environment::grant_capability(), environment::grant_first());
    let frames = environment::grant_frames();
    let derive = |from, (first, count), rights| gate::capability_derive(from, first, count, rights);
    for range in [
        (first - 1, 1),
        (first, frames + 1),
        (first + frames, 1),
        (victim.frame, 1),
        (first + 1, u64::MAX),
        (u64::MAX, 1),
        (0, 1),
    ] {
        expect_error(
            "beyond the range",
            derive(grant, range, FULL),
            Error::OutOfRange,
        )?;
    }
    expect_error("nothing", derive(grant, (first, 0), FULL), Error::BadCount)?;
    for rights in [0, 4, 7, 32, u32::MAX] {
        let answer = derive(grant, (first, 1), Rights(rights));
        expect_error("rights without a meaning", answer, Error::BadArgument)?;
    }
    for kind in [
        Kind::Frames,
        Kind::Function,
        Kind::Ports,
        Kind::Dma,
        Kind::Queue,
    ] {
        let answer = gate::capability_derive_kind(grant, first, 1, FULL, kind);
        expect_error("another kind", answer, Error::WrongKind)?;
    }
    let foreign = victim.capability(Kind::Blocks).expect("the victim's grant");
    let answer = derive(foreign, (victim.frame, 1), FULL);
    expect_error("from the victim's", answer, Error::BadCapability)?;

    // What lost a right never gets it back.
    let read = Rights::READ.union(Rights::DERIVE);
    let weak = expect_done("reading only", derive(grant, (first, 2), read))?;
    for rights in [Rights::WRITE, Rights::REVOKE, Rights::READ_WRITE, FULL] {
        let answer = derive(weak, (first, 1), rights);
        expect_error("more rights", answer, Error::NotPermitted)?;
    }
    let answer = derive(weak, (first + 1, 2), Rights::READ);
    expect_error("beyond a derived range", answer, Error::OutOfRange)?;
    let last = expect_done("without derive", derive(weak, (first, 1), Rights::READ))?;
    let answer = derive(last, (first, 1), Rights::READ);
    expect_error("from that", answer, Error::NotPermitted)?;
    expect_done("revoking", gate::capability_revoke(grant))?;

    let mut deepest: Capability = grant;
    for _ in 0..DEPTH_MAX {
        deepest = expect_done("deeper", derive(deepest, (first, 1), FULL))?;
    }
    expect_error("too deep", derive(deepest, (first, 1), FULL), Error::Quota)?;
    let record = tables::own_environment();
    for _ in record.capabilities..record.capabilities_quota {
        expect_done("filling the quota", derive(grant, (first, 1), Rights::READ))?;
    }
    expect_error(
        "too many",
        derive(grant, (first, 1), Rights::READ),
        Error::Quota,
    )?;
    expect_done("revoking all", gate::capability_revoke(grant))
}
