//! `transfer-peer CLIENT CONDUCT`: gives its entry to the client, and then behaves as it is told.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use exo_programs::entries::{await_end, offer};
use exo_programs::sharing::environment_named;
use exo_rt::abi::EnvironmentId;
use exo_rt::transfer::{self, Message, Next};
use exo_rt::{environment, gate, probe, start, tables};

exo_rt::program!(main, without_upcalls);

/// The capability of the own entry.
static ENTRY: AtomicU64 = AtomicU64::new(0);
/// Whether the client's first capability was taken back.
static REVOKED: AtomicBool = AtomicBool::new(false);

fn main() -> Result<(), String> {
    let mut arguments = environment::arguments();
    let (Some(client), Some(conduct)) = (arguments.next(), arguments.next()) else {
        return Err(String::from("arguments: CLIENT CONDUCT"));
    };
    let client = environment_named(&client);
    let handler: transfer::Handler = match conduct.as_str() {
        "exits" => |_, _| start::exit(0),
        "faults" => |_, _| {
            probe::undefined_instruction();
            Next::Reply
        },
        "revokes" => revoke,
        "keeps" => keep,
        "chain" => hand_on,
        _ => |_, _| Next::ReplyAndReturn,
    };
    let entry = transfer::accept(handler).map_err(|error| alloc::format!("accept: {error}"))?;
    ENTRY.store(entry.0, Ordering::Relaxed);
    offer(entry, client).map_err(|error| alloc::format!("offer: {error}"))?;
    match conduct.as_str() {
        // Never waits for a transfer.
        "busy" => await_end(client),
        _ => transfer::wait(environment::events()),
    }
    Ok(())
}

/// Takes the client's capability back while the client waits, and gives it another; then replies, and waits for a transfer by that.
fn revoke(client: EnvironmentId, _: &mut Message) -> Next {
    if REVOKED.swap(true, Ordering::Relaxed) {
        return Next::ReplyAndReturn;
    }
    let entry = exo_rt::abi::Capability(ENTRY.load(Ordering::Relaxed));
    if gate::capability_revoke(entry).is_err() || offer(entry, client).is_err() {
        start::exit(1);
    }
    Next::Reply
}

/// Keeps the slice, and enters the kernel never, until another has ended.
fn keep(_: EnvironmentId, _: &mut Message) -> Next {
    let fourth = environment_named("fourth");
    while tables::environment(fourth).is_some_and(|entry| !tables::has_ended(&entry)) {
        core::hint::spin_loop();
    }
    start::exit(0)
}

/// Transfers back to the client, which waits for a reply, and to itself; replies with what came of it.
fn hand_on(_: EnvironmentId, message: &mut Message) -> Next {
    let entry = exo_rt::abi::Capability(ENTRY.load(Ordering::Relaxed));
    let mut nested = Message::EMPTY;
    let answer = gate::transfer(entry, &mut nested);
    message.general[0] = answer.map_or_else(|error| error as u64, |()| 0);
    Next::ReplyAndReturn
}
