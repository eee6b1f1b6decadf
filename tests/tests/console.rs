//! The virtio console: what goes in comes out, polled or by interrupts.

use exo_tests::{Machine, require_kvm};

#[test]
fn lines_are_echoed_when_polling() {
    require_kvm!();
    let input = "one\ntwo words\n\nexit\n";
    let outcome = Machine::new("console-echo")
        .input(input)
        .run()
        .expect_status(0);
    assert_eq!(outcome.stdout(), input, "{}", outcome.describe());
}

#[test]
fn lines_are_echoed_with_interrupts() {
    require_kvm!();
    let input = "one\ntwo words\n\nexit\n";
    let outcome = Machine::new("console-echo")
        .input(input)
        .argument("--interrupts")
        .run()
        .expect_status(0);
    assert_eq!(outcome.stdout(), input, "{}", outcome.describe());
}

#[test]
fn more_than_the_queue_holds_is_echoed_whole() {
    require_kvm!();
    let line = "0123456789abcdef".repeat(50) + "\n";
    let input = line.repeat(200) + "exit\n";
    let outcome = Machine::new("console-echo")
        .input(&input)
        .run()
        .expect_status(0);
    assert!(
        outcome.stdout() == input,
        "the echo differs from {} bytes of input: {} came back",
        input.len(),
        outcome.stdout().len()
    );
}

#[test]
fn the_end_of_the_input_ends_the_program() {
    require_kvm!();
    for mode in ["", "--interrupts"] {
        for input in ["", "one\n", "one\ntwo words"] {
            let mut machine = Machine::new("console-echo").input(input);
            if !mode.is_empty() {
                machine = machine.argument(mode);
            }
            let outcome = machine.run().expect_status(0);
            assert_eq!(outcome.stdout(), input, "{}", outcome.describe());
        }
    }
}
