//! What processes are made of: environments that are made at run time, again and again, on one vCPU and on two; large pages.

use exo_tests::outcome::End;
use exo_tests::{Machine, require_kvm};

#[test]
fn blocks_are_mapped_as_large_pages() {
    require_kvm!();
    let outcome = Machine::new("large-pages").run().expect_status(0);
    assert!(
        outcome.stdout().contains("large-pages: as they should be"),
        "{}",
        outcome.describe()
    );
}

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
