//! Protected control transfer: messages arrive exactly, once and in order; what is refused is refused with its reason.

use exo_tests::outcome::End;
use exo_tests::{Guest, Machine, require_kvm};

#[test]
fn every_message_arrives_exactly_once_and_in_order() {
    require_kvm!();
    let outcome = Machine::new("transfers").run().expect_status(0);
    // The server has counted, and compared every register of every message.
    assert!(
        outcome.stdout().contains("transfer-server: 1200 messages"),
        "{}",
        outcome.describe()
    );
    for (client, least) in [
        ("with-console", 1001),
        ("without", 101),
        ("with-slice", 101),
    ] {
        outcome.expect_end(client, &End::Exited(0));
        let entries = &outcome.report().environment(client)["counters"]["kernel_entries"];
        assert!(
            entries["transfer"].as_u64() >= Some(least),
            "{}",
            outcome.describe()
        );
    }
}

#[test]
fn forced_switches_lose_and_double_no_message() {
    require_kvm!();
    let machine = Machine::new("transfers").option("--slice").option("1 ms");
    let outcome = machine.run().expect_status(0);
    assert!(
        outcome.stdout().contains("transfer-server: 1200 messages"),
        "{}",
        outcome.describe()
    );
    assert!(outcome.report().counter("server", "forced_switches") > 0);
}

/// A server that yields before it replies, to clients of which the last owns a slice or does not. Who awaits a reply has no turn, though everybody
/// else yields to whoever is next. All have the same ports: so transfers and yields take their plain paths.
fn yields_between_transfers(slice: &str, with_slice: bool) {
    let mut text = format!(
        "description = \"yields between transfers\"\nmemory = \"64 MiB\"\nslice = \"{slice}\"\n"
    );
    let mut environment = |name: &str, program: &str, arguments: &str, more: &str| {
        text += &format!(
            "[[environment]]\nname = \"{name}\"\nprogram = \"{program}\"\narguments = [{arguments}]\nconsole = true\n{more}\n"
        );
    };
    let server = "\"yield\", \"first\", \"second\", \"third\"";
    environment("server", "transfer-server", server, "");
    let client = "transfer-client";
    environment("first", client, "\"server\", \"50\", \"yield\"", "");
    environment("second", client, "\"server\", \"70\", \"yield\"", "");
    let (arguments, quota) = match with_slice {
        true => (
            "\"server\", \"60\", \"yield\", \"slice\"",
            "quota = { slices = 1 }",
        ),
        false => ("\"server\", \"60\", \"yield\"", ""),
    };
    environment("third", client, arguments, quota);
    // They yield while the server waits, to whoever is next in the ring: never to the server.
    environment("beside", "yield-many", "\"2000\", \"unordered\"", "");
    environment("beyond", "yield-many", "\"2000\", \"unordered\"", "");
    let guest = Guest::copy(&["transfer-server", client, "yield-many"]);
    let machine = Machine::new(guest.manifest(&text)).guest(&guest);
    let outcome = machine.run().expect_status(0);
    assert!(
        outcome.stdout().contains("transfer-server: 180 messages"),
        "{}",
        outcome.describe()
    );
    for client in ["first", "second", "third"] {
        outcome.expect_end(client, &End::Exited(0));
    }
}

#[test]
fn no_yield_begins_the_turn_of_who_awaits_a_reply() {
    require_kvm!();
    for slice in ["none", "1 ms"] {
        for with_slice in [true, false] {
            yields_between_transfers(slice, with_slice);
        }
    }
}

#[test]
fn asynchronous_messages_arrive_exactly_once_and_in_order() {
    require_kvm!();
    for slice in ["1 ms", "10 ms"] {
        let machine = Machine::new("messages").option("--slice").option(slice);
        let outcome = machine.run().expect_status(0);
        assert!(
            outcome.stdout().contains("take-messages: 300 messages"),
            "{}",
            outcome.describe()
        );
        let entries = &outcome.report().environment("client")["counters"]["kernel_entries"];
        assert!(entries["transfer_asynchronous"].as_u64() >= Some(300));
        let replies = &outcome.report().environment("server")["counters"]["kernel_entries"];
        assert_eq!(replies["transfer_reply"].as_u64(), Some(0));
    }
}

/// The end of its slice is told to the client, which enters the server: that has not asked to be late.
fn expect_client_to_pay(image: &str) {
    let outcome = Machine::new(image).run().expect_status(0);
    let report = outcome.report();
    assert!(report.counter("server", "forced_switches") > 0);
    assert_eq!(report.counter("server", "penalties"), 0);
    assert!(report.counter("client", "penalties") >= 4);
}

#[test]
fn who_transfers_at_the_end_of_its_slice_pays_for_the_time_of_the_server() {
    require_kvm!();
    expect_client_to_pay("late-synchronous");
}

#[test]
fn who_sends_at_the_end_of_its_slice_pays_for_the_time_of_the_server() {
    require_kvm!();
    expect_client_to_pay("late-asynchronous");
}

#[test]
fn a_transfer_is_refused_with_its_reason() {
    require_kvm!();
    let outcome = Machine::new("transfer-refusals").run();
    // The one that faults in the middle is ended for it.
    outcome.expect_end("client", &End::Exited(0));
    for peer in ["busy", "elsewhere", "gone", "exits", "revokes", "chain"] {
        outcome.expect_end(peer, &End::Exited(0));
    }
    assert!(
        matches!(outcome.end("faults"), End::Aborted(_)),
        "{}",
        outcome.describe()
    );
}
