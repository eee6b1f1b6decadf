//! Compares operations of Linux programs on the host and in the personality; `scripts/compare-linux` runs it.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use exo_tests::whole_programs::WholePrograms;
use exo_tests::{home, host};
use serde_json::{Value, json};

/// Where the program runs, in the order of each round.
const PLACES: [&str; 3] = ["host", "call", "trap"];
/// The goal for the geometric mean of all ratios in call mode.
const GOAL: f64 = 3.0;

struct Options {
    json: bool,
    /// Whole programs, in place of operations.
    programs: bool,
    runs: usize,
    operations: Vec<String>,
}

fn options() -> Option<Options> {
    let mut options = Options {
        json: false,
        programs: false,
        runs: 11,
        operations: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => options.json = true,
            "--programs" => options.programs = true,
            "--runs" => options.runs = arguments.next()?.parse().ok().filter(|&runs| runs > 0)?,
            option if option.starts_with('-') => return None,
            _ => options.operations.push(argument),
        }
    }
    Some(options)
}

/// Builds the program that is timed.
fn build(folder: &Path) -> Result<PathBuf, String> {
    let program = folder.join("compare");
    let done = Command::new("cc")
        .args(["-O2", "-static", "-w", "-o"])
        .arg(&program)
        .arg(home::home().join("tests/linux/compare.c"))
        .status();
    match done {
        Ok(status) if status.success() => Ok(program),
        Ok(_) => Err("tests/linux/compare.c does not build, see above".into()),
        Err(error) => Err(format!("cc: {error}; install it with scripts/setup")),
    }
}

/// Nanoseconds by operation, in the order of the program; none for what is not there.
type Times = Vec<(String, Option<f64>)>;

fn run(program: &Path, place: &str, operations: &[String]) -> Result<Times, String> {
    let mut command = match place {
        "host" => Command::new(program),
        mode => {
            let mut command = Command::new(home::exo());
            command.env("EXO_HOME", home::home());
            command.args(["run", "--no-control", "--mode", mode]);
            command.arg(program);
            command
        }
    };
    let output = command
        .args(operations)
        .output()
        .map_err(|error| format!("{place}: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "{place}: the program ended with {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(lines
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, time)| (name.to_owned(), time.parse().ok()))
        .collect())
}

/// Least, median and largest of values.
fn spread(values: &[f64]) -> Option<[f64; 3]> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let median = sorted.get(sorted.len() / 2)?;
    Some([*sorted.first()?, *median, *sorted.last()?])
}

/// What was measured of one operation.
struct Row {
    name: String,
    /// Nanoseconds by place, one for each round.
    times: BTreeMap<&'static str, Vec<f64>>,
}

impl Row {
    fn median(&self, place: &str) -> Option<f64> {
        spread(self.times.get(place)?).map(|[_, median, _]| median)
    }

    /// How many times faster than the host each round was.
    fn ratios(&self, place: &str) -> Option<[f64; 3]> {
        let (host, here) = (self.times.get("host")?, self.times.get(place)?);
        let ratios: Vec<f64> = host
            .iter()
            .zip(here)
            .map(|(host, here)| host / here)
            .collect();
        spread(&ratios)
    }
}

/// Times at a place, by operation or program.
type Measured<'a> = dyn Fn(&str) -> Result<Times, String> + 'a;

fn measure(options: &Options, run: &Measured) -> Result<Vec<Row>, String> {
    let mut rows: Vec<Row> = Vec::new();
    for round in 0..options.runs {
        if std::io::stderr().is_terminal() {
            eprint!("\rcompare-linux: round {} of {}", round + 1, options.runs);
        }
        for place in PLACES {
            for (name, time) in run(place)? {
                let index = match rows.iter().position(|row| row.name == name) {
                    Some(index) => index,
                    None => {
                        rows.push(Row {
                            name,
                            times: BTreeMap::new(),
                        });
                        rows.len() - 1
                    }
                };
                rows[index].times.entry(place).or_default().extend(time);
            }
        }
    }
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
    Ok(rows)
}

/// The geometric mean of the median ratios in a mode.
fn mean(rows: &[Row], mode: &str) -> Option<f64> {
    let logarithms: Vec<f64> = rows
        .iter()
        .filter_map(|row| row.ratios(mode))
        .map(|[_, median, _]| median.ln())
        .collect();
    (!logarithms.is_empty())
        .then(|| (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp())
}

fn text(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.1}"))
}

fn print(rows: &[Row]) {
    println!(
        "{:<24} {:>12} {:>12} {:>12}   times faster than the host: call (least to most), trap",
        "operation, median ns", "host", "call", "trap"
    );
    for row in rows {
        let [host, call, trap] = PLACES.map(|place| text(row.median(place)));
        let ratio = row
            .ratios("call")
            .map_or("-".into(), |[least, median, most]| {
                let slower = if median < 1.0 { "  SLOWER" } else { "" };
                format!("{median:.3} ({least:.3} to {most:.3}){slower}")
            });
        let trap_ratio = row
            .ratios("trap")
            .map_or("-".into(), |[_, median, _]| format!("{median:.3}"));
        println!(
            "{:<24} {host:>12} {call:>12} {trap:>12}   {ratio}, {trap_ratio}",
            row.name
        );
    }
    println!(
        "geometric mean, times faster than the host: call {} (goal {GOAL}), trap {}",
        text(mean(rows, "call")),
        text(mean(rows, "trap")),
    );
}

fn as_json(rows: &[Row], runs: usize) -> Value {
    let operations: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "name": row.name,
                "unit": "ns",
                "times": row.times,
                "ratio_call": row.ratios("call"),
                "ratio_trap": row.ratios("trap"),
            })
        })
        .collect();
    json!({
        "runs": runs,
        "operations": operations,
        "geometric_mean_call": mean(rows, "call"),
        "geometric_mean_trap": mean(rows, "trap"),
    })
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("usage: scripts/compare-linux [--json] [--runs N] [--programs | OPERATION...]");
        return ExitCode::from(2);
    };
    if let Some(reason) = host::kvm_missing() {
        eprintln!("compare-linux: no machine can run here: {reason}");
        return ExitCode::from(69);
    }
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => {
            eprintln!("compare-linux: no temporary folder: {error}; set TMPDIR");
            return ExitCode::FAILURE;
        }
    };
    let measured = if options.programs {
        WholePrograms::build(folder.path())
            .and_then(|programs| measure(&options, &|place| programs.run(place)))
    } else {
        build(folder.path()).and_then(|program| {
            measure(&options, &|place| run(&program, place, &options.operations))
        })
    };
    match measured {
        Ok(rows) if options.json => println!("{}", as_json(&rows, options.runs)),
        Ok(rows) => print(&rows),
        Err(reason) => {
            eprintln!("compare-linux: {reason}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
