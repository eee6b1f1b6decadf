//! Prints the table of path lengths; `scripts/path-length` runs it.

use std::process::ExitCode;

use exo_tests::path_length::{PATHS, commit_table, measure, table};
use exo_tests::perf;
use serde_json::json;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let option = arguments.next();
    if arguments.next().is_some() || !matches!(option.as_deref(), None | Some("--json" | "--write"))
    {
        eprintln!(
            "usage: scripts/path-length [--json | --write]    (--write: the README's table becomes what is counted now)"
        );
        return ExitCode::from(2);
    }
    if let Some(reason) = perf::missing() {
        eprintln!("path-length: ring-0 instructions cannot be counted here: {reason}");
        return ExitCode::from(69);
    }
    let lengths: Vec<_> = PATHS.iter().map(measure).collect();
    match option.as_deref() {
        Some("--write") => {
            if let Err(error) = commit_table(&table(&lengths)) {
                eprintln!("path-length: README.md: {error}");
                return ExitCode::from(71);
            }
        }
        Some(_) => {
            let rows: Vec<_> = lengths
                .iter()
                .map(|length| {
                    json!({
                        "path": length.name, "instructions": length.total, "per": length.parts, "goal": length.goal,
                        "met": length.meets_goal(),
                    })
                })
                .collect();
            println!(
                "{}",
                json!({"host": "shadow KVM", "unit": "ring-0 instructions", "paths": rows})
            );
        }
        None => print!("{}", table(&lengths)),
    }
    ExitCode::SUCCESS
}
