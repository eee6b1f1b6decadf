//! Binds predicates over what it may not read, and ones without a meaning; says that it woke whom it cannot wake.
#![no_std]
#![no_main]

extern crate alloc;

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal, expect_error};
use exo_programs::shared_word::SharedWord;
use exo_programs::victim::Victim;
use exo_rt::abi::address::{PAGE_SHIFT, PAGE_SIZE};
use exo_rt::abi::environment::EnvironmentId;
use exo_rt::abi::layout::KERNEL_DATA;
use exo_rt::abi::term::{Comparison, PREDICATE_TERMS_MAX, Source, Term};
use exo_rt::abi::{Call, Capability, Error, Kind, Rights};
use exo_rt::{environment, gate, predicate, tables};

exo_rt::program!(main);

fn main() -> Verdict {
    let victim = Victim::await_ready();
    expect_error(
        "sleeping on nothing",
        gate::environment_sleep(),
        Error::BadState,
    )?;
    let word = expect_done("taking memory", SharedWord::new())?;
    let own = word.term(Comparison::Equal, 0);
    expect_done("binding", gate::predicate_bind(&[own]))?;
    foreign_words(&victim, own)?;
    unreadable_words(own)?;
    nonsense(own)?;
    wrong_counts(own)?;
    wrong_wakes(&victim)
}

/// Refused, and the predicate from before is still there: it holds.
fn refused(what: &str, term: Term, error: Error) -> Verdict {
    expect_error(what, gate::predicate_bind(&[term]), error)?;
    expect_equal("what was bound before", gate::environment_sleep(), Ok(true))
}

fn foreign_words(victim: &Victim, own: Term) -> Verdict {
    let frames = [
        victim.frame,
        KERNEL_DATA >> PAGE_SHIFT,
        tables::frame_count(),
        1 << 52,
        u64::MAX,
    ];
    for frame in frames {
        refused("a foreign frame", Term { frame, ..own }, Error::OutOfRange)?;
    }
    let theirs = victim
        .capability(Kind::Blocks)
        .unwrap_or(Capability::NONE)
        .0;
    for capability in [
        theirs,
        0,
        own.capability + (1 << 32),
        own.capability + 1000,
        u64::MAX,
    ] {
        let forged = Term {
            capability,
            frame: victim.frame,
            ..own
        };
        refused("a forged capability", forged, Error::BadCapability)?;
    }
    Ok(())
}

fn unreadable_words(own: Term) -> Verdict {
    let ports = environment::capabilities_of(Kind::Ports).next();
    let ports = ports.map_or(Capability::NONE, |(capability, _)| capability);
    let through_ports = Term {
        capability: ports.0,
        ..own
    };
    refused("ports", through_ports, Error::WrongKind)?;
    let grant = environment::grant_capability();
    let derive = |rights| gate::capability_derive(grant, own.frame, 1, rights);
    let blind = expect_done("deriving", derive(Rights::WRITE))?;
    let blind = Term {
        capability: blind.0,
        ..own
    };
    refused("a word to write only", blind, Error::NotPermitted)?;
    let lent = expect_done("deriving", derive(Rights::READ))?;
    let lent = Term {
        capability: lent.0,
        ..own
    };
    let neighbour = Term {
        frame: own.frame + 1,
        ..lent
    };
    refused("a frame beside the lent one", neighbour, Error::OutOfRange)?;
    expect_done("binding what is lent", gate::predicate_bind(&[lent]))?;
    expect_done("revoking", gate::capability_revoke(grant))?;
    refused("a revoked capability", lent, Error::BadCapability)
}

fn nonsense(own: Term) -> Verdict {
    for offset in [1, 4, 7, 4089, 4092, PAGE_SIZE as u32, u32::MAX - 7] {
        refused("an offset", Term { offset, ..own }, Error::BadAddress)?;
    }
    let bad = [
        Term {
            comparison: 0,
            ..own
        },
        Term {
            comparison: 7,
            ..own
        },
        Term {
            comparison: 0xff,
            ..own
        },
        Term { source: 0, ..own },
        Term {
            source: Source::Packet as u8,
            ..own
        },
        Term { source: 5, ..own },
        Term {
            source: Source::CallWord as u8,
            ..own
        },
        Term {
            source: Source::Time as u8,
            ..own
        },
        Term { width: 0, ..own },
        Term { width: 4, ..own },
        Term { width: 16, ..own },
        Term { flags: 2, ..own },
        Term { flags: 0xff, ..own },
        Term {
            mask: 1,
            value: 2,
            ..own
        },
        Term {
            comparison: Comparison::Less as u8,
            ..own
        },
        Term {
            comparison: Comparison::NotEqual as u8,
            ..predicate::time_reached(9)
        },
        Term {
            mask: 1,
            value: 1,
            ..predicate::time_reached(9)
        },
        predicate::and(own),
    ];
    for term in bad {
        refused("nonsense", term, Error::BadArgument)?;
    }
    Ok(())
}

fn wrong_counts(own: Term) -> Verdict {
    let most = PREDICATE_TERMS_MAX as u64;
    for count in [0, most + 1, 89, 90, 1 << 32, u64::MAX] {
        let answer = gate::enter(Call::PredicateBind as u64, [count, 0, 0, 0]);
        expect_error("a number of terms", answer.result(), Error::BadCount)?;
    }
    let many = [own; PREDICATE_TERMS_MAX + 1];
    expect_error("many terms", gate::predicate_bind(&many), Error::BadCount)?;
    expect_equal(
        "so many accepted",
        gate::predicate_bind(&many[1..]),
        Ok(most),
    )
}

fn wrong_wakes(victim: &Victim) -> Verdict {
    for number in [0, tables::environment_count() as u16 + 1, u16::MAX] {
        let answer = gate::environment_wake(EnvironmentId(number));
        expect_error("waking nobody", answer, Error::BadArgument)?;
    }
    let answer = gate::enter(Call::EnvironmentWake as u64, [1 << 16 | 1, 0, 0, 0]);
    expect_error("waking nobody", answer.result(), Error::BadArgument)?;
    for id in [victim.id, environment::id()] {
        expect_equal(
            "waking who does not sleep",
            gate::environment_wake(id),
            Ok(false),
        )?;
    }
    Ok(())
}
