//! Transfers by what is no capability of an entry, or not its own; replies to nobody; names entries that are none; transfers to itself.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{expect_done, expect_equal, expect_error};
use exo_programs::victim::{Victim, capabilities_of_others};
use exo_rt::abi::address::{INTERFACE_PAGE, LOWER_HALF_END, PROGRAM_END};
use exo_rt::abi::{Capability, Error};
use exo_rt::transfer::{self, Message};
use exo_rt::{environment, gate, tables, window};

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    expect_error(
        "waiting willingly with no entry",
        gate::environment_wait_willing(environment::events(), 1),
        Error::BadState,
    )?;
    let (entry, stack) = (transfer::entry_address(), window::upcall_stack_top());
    for (entry, stack) in [
        (0, stack),
        (PROGRAM_END, stack),
        (INTERFACE_PAGE, stack),
        (u64::MAX, stack),
        (entry, LOWER_HALF_END),
        (entry, u64::MAX),
    ] {
        let answer = gate::transfer_accept(entry, stack);
        expect_error("an entry that is none", answer, Error::BadAddress)?;
    }
    let own = expect_done("accepting", gate::transfer_accept(entry, stack))?;
    expect_equal(
        "the capability",
        gate::transfer_accept(entry, stack),
        Ok(own),
    )?;
    expect_error(
        "waiting half willingly",
        gate::environment_wait_willing(environment::events(), 2),
        Error::BadArgument,
    )?;
    let reply = gate::transfer_reply(environment::events(), &mut Message::from_seed(1));
    expect_error("a reply to nobody", reply, Error::BadState)?;

    let slots = tables::capability_slots() as u32;
    for word in [
        Capability::NONE,
        Capability(u64::MAX),
        Capability(own.0 | 1 << 63),
        Capability::new(own.slot(), own.generation() + 1),
        Capability::new(slots, 1),
    ] {
        expect_refused("a forged word", word, Error::BadCapability)?;
    }
    for (_, word, _) in capabilities_of_others() {
        expect_refused("another's capability", word, Error::BadCapability)?;
    }
    expect_refused(
        "the grant",
        environment::grant_capability(),
        Error::WrongKind,
    )?;
    expect_refused("itself", own, Error::Unwilling)?;
    expect_done("freeing", gate::capability_free(own))?;
    expect_refused("a stale word", own, Error::BadCapability)
}

/// Refused with this error, and no register changed.
fn expect_refused(what: &str, word: Capability, error: Error) -> Verdict {
    for transfer in [gate::transfer, gate::transfer_asynchronous] {
        let mut message = Message::from_seed(word.0);
        expect_error(what, transfer(word, &mut message), error)?;
        expect_equal(what, message, Message::from_seed(word.0))?;
    }
    Ok(())
}
