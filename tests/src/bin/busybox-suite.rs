//! Runs busybox's own test suite on the host and here, and tells what ends otherwise; `scripts/busybox-suite` runs it.

use std::process::ExitCode;

use exo_tests::busybox::Suite;
use exo_tests::{host, linux};

/// Modes and applets that the arguments name; `None`: they make no sense.
fn arguments() -> Option<(Vec<&'static str>, Vec<String>)> {
    let (mut modes, mut applets) = (linux::MODES.to_vec(), Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--mode" => {
                let wanted = arguments.next()?;
                modes.retain(|mode| *mode == wanted);
                if modes.is_empty() {
                    return None;
                }
            }
            option if option.starts_with('-') => return None,
            _ => applets.push(argument),
        }
    }
    Some((modes, applets))
}

fn main() -> ExitCode {
    let Some((modes, mut applets)) = arguments() else {
        eprintln!("usage: scripts/busybox-suite [--mode call|trap] [APPLET...]");
        return ExitCode::from(2);
    };
    if let Some(reason) = host::kvm_missing() {
        eprintln!("busybox-suite: no machine can run here: {reason}");
        return ExitCode::from(69);
    }
    let suite = Suite::new();
    let all = suite.applets();
    if let Some(unknown) = applets.iter().find(|applet| !all.contains(applet)) {
        eprintln!(
            "busybox-suite: {unknown} has no tests; these have: {}",
            all.join(" ")
        );
        return ExitCode::from(2);
    }
    if applets.is_empty() {
        applets = all;
    }
    let counts = suite.compare(&applets, &modes);
    for counts in &counts {
        println!(
            "mode {}: {} tests pass, {} on the host; {} end otherwise",
            counts.mode,
            counts.here,
            counts.host,
            counts.differences.len()
        );
        for line in &counts.differences {
            println!("  {line}");
        }
    }
    match counts.iter().all(|counts| counts.differences.is_empty()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
