//! `schedule POLICY QUANTA`: owns all slices of its vCPU and gives each to another environment of it, as the policy says.
//!
//! Policies: `round-robin`; `stride`, by which the first has three tickets, the second two, the others one; `deadline`, by which the
//! environment with the earliest deadline runs (C. L. Liu, J. W. Layland: Scheduling algorithms for multiprogramming in a
//! hard-real-time environment, 1973), and `overload`, the same with more work than there is time.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use exo_programs::scheduling::{Deadlines, Policy, RoundRobin, Stride, Task};
use exo_rt::abi::EnvironmentId;
use exo_rt::abi::slice::SLICES;
use exo_rt::{environment, gate, println, tables};

exo_rt::program!(main);

/// Work and period of each task, in slices: together less than the processor has, 2/5 + 2/8 + 3/10.
const FEASIBLE: [Task; 3] = [Task::new(2, 5), Task::new(2, 8), Task::new(3, 10)];
/// More than it has: 3/5 + 3/8 + 3/10.
const OVERLOAD: [Task; 3] = [Task::new(3, 5), Task::new(3, 8), Task::new(3, 10)];

fn main() -> Result<(), String> {
    let arguments: Vec<String> = environment::arguments().collect();
    let [policy, quanta] = arguments.as_slice() else {
        return Err(String::from("arguments: POLICY QUANTA"));
    };
    let quanta: u64 = quanta
        .parse()
        .map_err(|_| String::from("QUANTA is a number"))?;
    let vcpu = tables::own_environment().vcpu;
    let clients: Vec<EnvironmentId> = tables::environments()
        .filter(|(id, entry)| *id != environment::id() && entry.vcpu == vcpu)
        .map(|(id, _)| id)
        .collect();
    gate::slice_allocate(vcpu, 0, SLICES as u64).map_err(|error| alloc::format!("{error}"))?;
    match policy.as_str() {
        "round-robin" => run(&clients, quanta, RoundRobin::new(clients.len())).map(drop),
        "stride" => run(&clients, quanta, Stride::new(&[3, 2, 1])).map(drop),
        "deadline" => match run(&clients, quanta, Deadlines::new(&FEASIBLE))?.missed() {
            0 => Ok(()),
            missed => Err(alloc::format!(
                "{missed} deadlines missed, where there is time for all"
            )),
        },
        "overload" => match run(&clients, quanta, Deadlines::new(&OVERLOAD))?.missed() {
            0 => Err(String::from(
                "no deadline missed, where there is not time for all",
            )),
            missed => {
                println!("{missed} deadlines missed");
                Ok(())
            }
        },
        other => Err(alloc::format!("there is no policy {other}")),
    }
}

/// Gives one slice after the other, as the policy says. Each gets to its client, exactly once.
fn run<P: Policy>(clients: &[EnvironmentId], quanta: u64, mut policy: P) -> Result<P, String> {
    for quantum in 0..quanta {
        let Some(choice) = policy.choose(quantum) else {
            continue; // nobody wants it
        };
        let client = *clients
            .get(choice)
            .ok_or_else(|| String::from("too few clients"))?;
        let turns = |id| tables::environment(id).map_or(0, |entry| entry.turns);
        let before = turns(client);
        let mut got = 0;
        // Where the host was slow the own slice has ended meanwhile; then it is the next that is given.
        while got == 0 {
            gate::environment_yield_to(client)
                .map_err(|error| alloc::format!("slice {quantum}, to {}: {error}", client.0))?;
            got = turns(client) - before;
        }
        if got != 1 {
            return Err(alloc::format!(
                "slice {quantum}: {} got {got} turns",
                client.0
            ));
        }
    }
    Ok(policy)
}
