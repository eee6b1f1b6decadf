//! Makes, fills, starts and ends environments that are none of its numbers, or with what it does not have; ends in the midst of it.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;

use exo_programs::Verdict;
use exo_programs::attack::{allowed_mapping, expect_done, expect_equal, expect_error};
use exo_programs::sharing::environment_named;
use exo_rt::abi::address::{LOWER_HALF_END, PROGRAM_BASE, PROGRAM_END};
use exo_rt::abi::environment::{AbortReason, EnvironmentId};
use exo_rt::abi::map::MapEntry;
use exo_rt::abi::{Capability, Error, Kind, Rights};
use exo_rt::children::{Maker, QUOTAS};
use exo_rt::gate::{self, Quotas, Target};
use exo_rt::{environment, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    let maker = expect_done("deriving", Maker::new())?;
    let victim = environment_named("victim");
    let own = maker.target(0);
    let (root, numbers) = environment::capabilities_of(Kind::Environment)
        .next()
        .ok_or("no numbers")?;
    let behind = EnvironmentId((numbers.first + numbers.count) as u16);
    let others = [
        victim,
        environment::id(),
        behind,
        EnvironmentId(0),
        EnvironmentId(u16::MAX),
    ];
    for id in others {
        let target = Target { id, ..own };
        expect_all(&format!("number {}", id.0), target, Error::OutOfRange)?;
    }
    let grant = environment::grant_capability();
    for (capability, error) in [
        (Capability(root.0 ^ 1 << 33), Error::BadCapability),
        (Capability(u64::MAX), Error::BadCapability),
        (grant, Error::WrongKind),
    ] {
        let target = Target { capability, ..own };
        expect_all(&format!("capability {:#x}", capability.0), target, error)?;
    }
    let readable = gate::capability_derive(root, numbers.first, 1, Rights::READ);
    let capability = expect_done("a readable one", readable)?;
    expect_all(
        "no right",
        Target { capability, ..own },
        Error::NotPermitted,
    )?;
    let beyond = gate::capability_derive(root, numbers.first, numbers.count + 1, Rights::WRITE);
    expect_error("more numbers", beyond, Error::OutOfRange)?;
    quotas(own)?;
    made(&maker, own, victim)?;
    // One that runs, and has copies of its own, goes with its number.
    let child = expect_done("making", maker.make(1, tables::own_environment().vcpu))?;
    let copy = gate::capability_copy(maker.environments, child.target.id);
    expect_done("copying", copy)?;
    expect_done("starting", child.start(spin, 0))?;
    expect_error("freeing", gate::capability_free(root), Error::InUse)?;
    expect_done("revoking", gate::capability_revoke(root))?;
    expect_done("freeing", gate::capability_free(root))?;
    let entry = tables::environment(child.target.id).ok_or("no record")?;
    let reason = AbortReason::OwnerEnded as u32;
    expect_equal("its end", entry.abort_reason, reason)?;
    expect_equal("what it held", entry.capabilities, 0)?;
    expect_all("no numbers any more", own, Error::BadCapability)
}

extern "C" fn spin(_: u64) -> u64 {
    loop {
        core::hint::spin_loop();
    }
}

/// Every call that takes a capability of environment numbers refuses alike.
fn expect_all(what: &str, target: Target, error: Error) -> Verdict {
    let entry = [allowed_mapping()];
    for (call, answer) in [
        ("create", gate::environment_create(target, 0, QUOTAS)),
        ("start", gate::environment_start(target, PROGRAM_BASE, 0, 0)),
        ("end", gate::environment_end(target, 0)),
        ("map", gate::page_map_in(target, &entry).map(drop)),
        ("protect", gate::page_protect_in(target, &entry).map(drop)),
        ("unmap", gate::page_unmap_in(target, &entry).map(drop)),
    ] {
        expect_error(&format!("{call}, {what}"), answer, error)?;
    }
    Ok(())
}

fn quotas(own: Target) -> Verdict {
    let record = tables::own_environment();
    let no_vcpu = gate::environment_create(own, u32::MAX, QUOTAS);
    expect_error("no such vCPU", no_vcpu, Error::BadArgument)?;
    for quotas in [
        Quotas {
            frames: record.frames_quota - record.frames + 1,
            ..QUOTAS
        },
        Quotas {
            tables: record.tables_quota - record.tables + 1,
            ..QUOTAS
        },
        Quotas {
            capabilities: record.capabilities_quota - record.capabilities + 1,
            ..QUOTAS
        },
        Quotas {
            frames: u32::MAX,
            tables: u32::MAX,
            capabilities: u32::MAX,
        },
    ] {
        let answer = gate::environment_create(own, 0, quotas);
        expect_error("more than there is", answer, Error::Quota)?;
    }
    Ok(())
}

/// With one that it has made.
fn made(maker: &Maker, own: Target, victim: EnvironmentId) -> Verdict {
    let child = expect_done("making", maker.make(0, tables::own_environment().vcpu))?;
    for (entry, stack) in [
        (0, 0),
        (PROGRAM_BASE - 1, 0),
        (PROGRAM_END, 0),
        (1 << 63, 0),
        (PROGRAM_BASE, LOWER_HALF_END),
        (PROGRAM_BASE, u64::MAX),
    ] {
        let answer = gate::environment_start(own, entry, stack, 0);
        expect_error("where no program is", answer, Error::BadAddress)?;
    }
    let own_word = gate::page_map_in(own, &[allowed_mapping()]);
    expect_error("the maker's word", own_word, Error::BadCapability)?;
    let foreign = tables::find_frame(victim, |_| true).ok_or("the victim has no frames")?;
    let copy = expect_done("copying", gate::capability_copy(maker.environments, own.id))?;
    let entry = MapEntry {
        frame: foreign,
        capability: copy.0,
        ..allowed_mapping()
    };
    let wrong = gate::page_map_in(own, &[entry]);
    expect_error("numbers as frames", wrong, Error::WrongKind)?;
    let (image, _) = environment::capabilities_of(Kind::Frames)
        .next()
        .ok_or("no image")?;
    let root = gate::capability_copy(image, own.id);
    expect_error("a copy of a root", root, Error::NotPermitted)?;
    let unwilling = gate::capability_copy(maker.environments, victim);
    expect_error("a copy for the victim", unwilling, Error::Unwilling)?;
    let nobody = gate::capability_copy(maker.environments, EnvironmentId(0));
    expect_error("a copy for nobody", nobody, Error::BadArgument)?;
    let theirs = gate::capability_free(copy);
    expect_error("freeing the copy", theirs, Error::BadCapability)?;
    let word = expect_done("copying", fill(maker, own))?;
    expect_equal("full", word, Error::Quota)?;
    expect_done("ending", gate::environment_end(child.target, 0))?;
    let gone = gate::capability_copy(maker.environments, own.id);
    expect_error("a copy for who has ended", gone, Error::Unwilling)?;
    expect_done("clearing", maker.clear(child))
}

/// Copies until the quota is used up: why that was refused.
fn fill(maker: &Maker, own: Target) -> Result<Error, Error> {
    for _ in 0..QUOTAS.capabilities {
        if let Err(error) = gate::capability_copy(maker.environments, own.id) {
            return Ok(error);
        }
    }
    Err(Error::Exhausted)
}
