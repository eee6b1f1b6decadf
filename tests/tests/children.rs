//! Environments that are made at run time: made, filled, started and ended, again and again, on one vCPU and on two.

use exo_tests::outcome::End;
use exo_tests::{Machine, require_kvm};

#[test]
fn environments_are_made_and_ended_without_a_loss() {
    require_kvm!();
    let outcome = Machine::new("children").run().expect_status(0);
    outcome.expect_end("parent", &End::Exited(0));
    assert!(
        outcome
            .stdout()
            .contains("children: each ended as it was to"),
        "{}",
        outcome.describe()
    );
}
