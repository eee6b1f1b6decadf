//! Asking environments of a running machine for something, and attacks on that.

use serde_json::Value;

use crate::running::Running;

/// The number that this is.
pub fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

/// The environment with this name in what [`Running::snapshot`] shows; before it has started, nothing.
pub fn environment<'s>(snapshot: &'s Value, name: &str) -> &'s Value {
    let all = snapshot["environments"].as_array().expect("a list");
    let found = all.iter().find(|one| one["name"] == name);
    found.unwrap_or(&Value::Null)
}

/// Starts an image and waits until an environment sleeps.
pub fn start(words: &[&str], name: &str) -> Running {
    let machine = Running::start(words);
    wait_until_it_sleeps(&machine, name);
    machine
}

/// Waits until an environment sleeps.
pub fn wait_until_it_sleeps(machine: &Running, name: &str) {
    wait_until_it_is(machine, name, "waiting");
}

/// Waits until an environment is in this state.
pub fn wait_until_it_is(machine: &Running, name: &str, state: &str) {
    machine.wait_until(&format!("{name} is {state}"), |machine| {
        environment(&machine.snapshot(), name)["state"] == state
    });
}

/// What `exo ctl` with these words answers in JSON, with this status.
pub fn ctl(machine: &Running, words: &[&str], status: i32) -> Value {
    let finished = machine.ctl(&[words, &["--json"]].concat());
    assert_eq!(
        finished.status, status,
        "{words:?}: {}{}",
        finished.stdout, finished.stderr
    );
    serde_json::from_str(&finished.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", finished.stdout))
}

/// Starts an attack, and has `ask` revoke while the attacker sleeps; all environments find nothing wrong. The caller has seen that there is KVM.
pub fn attack(image: &str, ask: impl Fn(&Running)) {
    for vcpus in ["1", "2"] {
        let image = format!("revocation/{image}");
        let mut machine = Running::start(&["--vcpus", vcpus, &image]);
        wait_until_it_sleeps(&machine, "attacker");
        ask(&machine);
        // The attacker waits for this, so that the machine is still there for who asks before. It holds no slice of its own.
        machine.ctl(&["revoke", "attacker", "slices", "1"]);
        let finished = machine.finish();
        assert_eq!(
            finished.status, 0,
            "{vcpus} vCPUs: {}{}",
            finished.stdout, finished.stderr
        );
        let kept = finished.stdout.contains("bytes are as they were");
        assert!(kept, "{}", finished.stdout);
    }
}

/// Asks the attacker for so many of a kind; `taken` bindings go by force. Status 1: something was not to be had.
pub fn revoke(machine: &Running, kind: &str, count: &str, deadline: &str, taken: u64, status: i32) {
    let words = ["revoke", "attacker", kind, count, "--deadline", deadline];
    let answer = ctl(machine, &words, status);
    assert_eq!(number(&answer["taken_by_force"]), taken, "{answer}");
    assert_eq!(number(&answer["kept"]) != 0, status != 0, "{answer}");
}
