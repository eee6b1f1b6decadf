//! Many environments: each gets its turn, and what one of them costs does not depend on how many there are.

use exo_tests::{Disk, Guest, Machine, host, outcome::End, perf, require_kvm};

/// A machine of so many environments that run `program` with one argument, on vCPUs by turns.
fn crowd(guest: &Guest, environments: u64, vcpus: u32, program: &str, argument: u64) -> Machine {
    let mut text = format!("description = \"a crowd\"\nmemory = \"1 GiB\"\nvcpus = {vcpus}\n");
    for number in 0..environments {
        text += &format!(
            "[[environment]]\nname = \"{number}\"\nprogram = \"{program}\"\nmemory = \"2 MiB\"\narguments = [\"{argument}\"]\n"
        );
    }
    Machine::new(guest.manifest(&text)).guest(guest)
}

fn every_environment_gets_its_turns(environments: u64, vcpus: u32, yields: u64) {
    let guest = Guest::copy(&["yield-many"]);
    let outcome = crowd(&guest, environments, vcpus, "yield-many", yields)
        .run()
        .expect_status(0);
    for number in 0..environments {
        let name = number.to_string();
        outcome.expect_end(&name, &End::Exited(0));
        let environment = outcome.report().environment(&name);
        let counted = &environment["counters"]["kernel_entries"]["environment_yield"];
        assert_eq!(counted.as_u64(), Some(yields), "environment {name}");
    }
}

#[test]
fn a_hundred_environments_take_turns() {
    require_kvm!();
    every_environment_gets_its_turns(100, 1, 20);
}

#[test]
fn environments_take_turns_on_each_vcpu() {
    require_kvm!();
    every_environment_gets_its_turns(7, 2, 50);
}

#[test]
fn those_who_sleep_on_one_vcpu_are_all_woken() {
    require_kvm!();
    const SLEEPERS: usize = 5;
    let disks: Vec<Disk> = (1..=SLEEPERS)
        .map(|number| Disk::with_size(number << 18))
        .collect();
    let mut text = "description = \"sleepers\"\n".to_owned();
    for number in 0..SLEEPERS {
        text += &format!(
            "[[function]]\nname = \"disk-{number}\"\ndevice = \"block\"\ndisk = {number}\n"
        );
    }
    for number in 0..SLEEPERS {
        text += &format!(
            "[[environment]]\nname = \"{number}\"\nprogram = \"hash\"\nconsole = true\narguments = [\"--interrupts\"]\nfunctions = [\"disk-{number}\"]\n"
        );
    }
    let guest = Guest::copy(&["hash"]);
    let machine = Machine::new(guest.manifest(&text)).guest(&guest);
    let outcome = disks
        .iter()
        .fold(machine, |machine, disk| machine.disk(disk.path()))
        .run()
        .expect_status(0);
    for (number, disk) in disks.iter().enumerate() {
        let name = number.to_string();
        outcome.expect_end(&name, &End::Exited(0));
        assert!(outcome.stdout().contains(&disk.sha256()), "disk {number}");
        assert!(outcome.report().counter(&name, "interrupts") > 0);
    }
}

/// Ring-0 instructions of a whole run of a crowd.
fn instructions(environments: u64, program: &str, argument: u64) -> u64 {
    let guest = Guest::copy(&[program]);
    let (outcome, count) = perf::count(&crowd(&guest, environments, 1, program, argument));
    outcome.expect_status(0);
    count
}

#[test]
fn a_yield_takes_as_many_instructions_among_a_hundred_as_among_two() {
    if let Some(reason) = perf::missing() {
        host::skip(&reason);
        return;
    }
    let yields_of_all = |environments, yields| instructions(environments, "yield-many", yields);
    let of_one = |environments| {
        let more = yields_of_all(environments, 12) - yields_of_all(environments, 10);
        assert!(more.is_multiple_of(environments * 2), "{more} in all");
        more / (environments * 2)
    };
    assert_eq!(of_one(100), of_one(2));
}

#[test]
fn an_environment_more_takes_no_more_instructions_among_many() {
    if let Some(reason) = perf::missing() {
        host::skip(&reason);
        return;
    }
    let [few, more, many] = [10, 60, 110].map(|environments| instructions(environments, "exit", 0));
    let (first, second) = (more - few, many - more);
    // Page tables and blocks are taken now for one environment, now for the next.
    assert!(
        second.abs_diff(first) < first / 100,
        "the first 50 took {first}, the next {second}"
    );
}
