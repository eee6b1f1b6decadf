//! Many environments: each gets its turn, and who sleeps is woken.

use exo_tests::crowd::crowd;
use exo_tests::outcome::End;
use exo_tests::{Disk, Guest, Machine, require_kvm};

fn every_environment_gets_its_turns(environments: u64, vcpus: u32, yields: u64) {
    let guest = Guest::copy(&["yield-many"]);
    // Nobody is to be switched by force: turns are counted.
    let outcome = crowd(&guest, environments, vcpus, "yield-many", yields)
        .option("--slice")
        .option("none")
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
    for vcpus in [2, 4] {
        every_environment_gets_its_turns(7, vcpus, 50);
    }
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
