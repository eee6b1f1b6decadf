//! Scale: what one more costs among very many is what it costs among few, and everything comes back.
//!
//! The program `scale` itself fails where what it took is not free again, or where the kernel's counts are wrong.

use exo_tests::outcome::End;
use exo_tests::{Guest, Machine, Outcome, host, perf, require_kvm};

/// Small numbers, whose difference is what a few cost.
const FEW: [u64; 2] = [10, 20];
/// Most that one may cost among very many, as a part of what it costs among few.
const LIMIT: f64 = 1.2;
/// A run with millions of ring-0 instructions takes a minute, where each is emulated and counted.
const PATIENCE: u32 = 20;

/// Runs a machine for each number and compares what one of them costs. Where instructions cannot be counted, the large one
/// runs all the same.
fn compare(many: u64, machine: impl Fn(u64) -> Machine) -> Outcome {
    if let Some(reason) = perf::missing() {
        host::skip(&reason);
        return machine(many).patience(PATIENCE).run().expect_status(0);
    }
    let count = |number| {
        let (outcome, instructions) = perf::count(&machine(number).patience(PATIENCE));
        (outcome.expect_status(0), instructions as f64)
    };
    let [(_, first), (_, second)] = FEW.map(count);
    let (outcome, all) = count(many);
    let among_few = (second - first) / (FEW[1] - FEW[0]) as f64;
    let among_many = (all - second) / (many - FEW[1]) as f64;
    assert!(
        among_many <= among_few * LIMIT,
        "one costs {among_few:.1} instructions among {}, and {among_many:.1} among {many}",
        FEW[1]
    );
    outcome
}

/// One environment of a large machine that takes `count` of something and gives it back.
fn taker(guest: &Guest, what: &str, count: u64) -> Machine {
    let text = format!(
        "description = \"scale\"\nmemory = \"5 GiB\"\n[[environment]]\nname = \"scale\"\nprogram = \"scale\"\nmemory = \"8 MiB\"\n\
         console = true\narguments = [\"{what}\", \"{count}\"]\n\
         quota = {{ frames = 1100000, tables = 4096, capabilities = 100100 }}\n"
    );
    Machine::new(guest.manifest(&text)).guest(guest)
}

#[test]
fn a_million_frames_in_blocks() {
    require_kvm!();
    const BLOCKS: u64 = 1954;
    let guest = Guest::copy(&["scale"]);
    let outcome = compare(BLOCKS, |count| taker(&guest, "blocks", count));
    // Memory that nobody touches costs nothing: page tables and entries of the exported tables are all that the guest has written.
    let touched = outcome.report().number("/memory/guest_resident_kib");
    assert!(touched < 1024, "{touched} KiB of guest memory are resident");
}

#[test]
fn thousands_of_single_frames() {
    require_kvm!();
    let guest = Guest::copy(&["scale"]);
    compare(4000, |count| taker(&guest, "frames", count));
}

#[test]
fn a_hundred_thousand_capabilities() {
    require_kvm!();
    let guest = Guest::copy(&["scale"]);
    compare(100_000, |count| taker(&guest, "capabilities", count));
}

/// So many environments that take turns, each with a frame mapped and a capability derived while the others have theirs; and one
/// that looks afterwards for what they left behind.
fn crowd(guest: &Guest, environments: u64) -> Machine {
    let mut text = "description = \"a crowd\"\nmemory = \"4 GiB\"\nslice = \"none\"\n".to_owned();
    for number in 0..environments {
        text += &format!(
            "[[environment]]\nname = \"{number}\"\nprogram = \"scale\"\nmemory = \"2 MiB\"\narguments = [\"crowd\", \"2\"]\n\
             quota = {{ tables = 24, capabilities = 8 }}\n"
        );
    }
    text += "[[environment]]\nname = \"census\"\nprogram = \"scale\"\nmemory = \"2 MiB\"\nconsole = true\narguments = [\"census\", \"0\"]\n";
    Machine::new(guest.manifest(&text)).guest(guest)
}

#[test]
fn a_thousand_environments() {
    require_kvm!();
    const ENVIRONMENTS: u64 = 1000;
    let guest = Guest::copy(&["scale"]);
    let outcome = compare(ENVIRONMENTS, |environments| crowd(&guest, environments));
    for number in 0..ENVIRONMENTS {
        outcome.expect_end(&number.to_string(), &End::Exited(0));
    }
    outcome.expect_end("census", &End::Exited(0));
}
