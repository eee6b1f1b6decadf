//! `yield-many COUNT [unordered]`: yields so often, and sees each time that every other environment of its vCPU has had its turn.
//!
//! All environments of the machine are to run it, with the same COUNT; with `unordered` it sees nothing, and others may do what they like.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;

use exo_rt::abi::Call;
use exo_rt::{environment, gate, tables};

exo_rt::program!(main);

fn main() -> Result<(), String> {
    let mut arguments = environment::arguments();
    let count = arguments.next();
    let ordered = arguments.next().is_none();
    let count = count.and_then(|count| count.parse().ok());
    let count: u64 = count.ok_or_else(|| String::from("the argument is a number of yields"))?;
    for done in 1..=count {
        gate::environment_yield().map_err(|error| alloc::format!("yield {done}: {error}"))?;
        if ordered {
            check_turns(done)?;
        }
    }
    Ok(())
}

/// Turns go by the order of the manifest: when this environment goes on, those before it have yielded once more, or ended, and
/// those behind it as often.
fn check_turns(own: u64) -> Result<(), String> {
    let id = environment::id();
    let vcpu = tables::environment(id).map(|entry| entry.vcpu);
    for (other, entry) in tables::environments() {
        if other == id || Some(entry.vcpu) != vcpu || tables::has_ended(&entry) {
            continue;
        }
        let yields = entry.calls[Call::EnvironmentYield.index()];
        let expected = own + u64::from(other < id);
        if yields != expected {
            return Err(alloc::format!(
                "after {own} yields, environment {} has yielded {yields} times, not {expected}",
                other.0
            ));
        }
    }
    Ok(())
}
