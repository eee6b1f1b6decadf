//! Measures start times and memory; `scripts/start-time` runs it.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};

use exo_tests::start_time::{Sample, exo_command, first_byte, qemu_command};
use exo_tests::{Report, home, host};
use serde_json::{Value, json};

/// What was measured: name, unit, goal, values.
struct Row {
    name: &'static str,
    unit: &'static str,
    goal: Option<f64>,
    sample: Sample,
}

struct Options {
    json: bool,
    runs: u32,
    qemu: bool,
}

fn options() -> Option<Options> {
    let mut options = Options {
        json: false,
        runs: 20,
        qemu: true,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => options.json = true,
            "--no-qemu" => options.qemu = false,
            "--runs" => options.runs = arguments.next()?.parse().ok().filter(|&runs| runs > 0)?,
            _ => return None,
        }
    }
    Some(options)
}

/// `start-time --exec COMMAND...`: becomes the command, which is told when that was.
fn execute(mut words: impl Iterator<Item = String>) -> ExitCode {
    let Some(program) = words.next() else {
        return ExitCode::from(2);
    };
    let error = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(now) => Command::new(program)
            .args(words)
            .env("EXO_START_NS", now.as_nanos().to_string())
            .exec()
            .to_string(),
        Err(error) => error.to_string(),
    };
    eprintln!("start-time: {error}");
    ExitCode::FAILURE
}

fn main() -> ExitCode {
    if std::env::args()
        .nth(1)
        .is_some_and(|first| first == "--exec")
    {
        return execute(std::env::args().skip(2));
    }
    let Some(mut options) = options() else {
        eprintln!("usage: scripts/start-time [--json] [--runs N] [--no-qemu]");
        return ExitCode::from(2);
    };
    if let Some(reason) = host::kvm_missing() {
        eprintln!("start-time: no machine can run here: {reason}");
        return ExitCode::from(69);
    }
    if options.qemu
        && Command::new("qemu-system-x86_64")
            .arg("--version")
            .output()
            .is_err()
    {
        eprintln!("start-time: without QEMU, which is missing (scripts/setup installs it)");
        options.qemu = false;
    }
    match measure(&options) {
        Ok((rows, host)) => {
            if options.json {
                print_json(&rows, &host, &options);
            } else {
                print_table(&rows, &host, &options);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("start-time: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs `exo` and QEMU by turns, after one run of each that is not counted and warms the host's caches.
fn measure(options: &Options) -> Result<(Vec<Row>, Value), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (report_file, bundle) = (
        folder.path().join("report.json"),
        folder.path().join("bundle"),
    );
    if options.qemu {
        let mut command = Command::new(home::exo());
        command
            .arg("bundle")
            .arg("-o")
            .arg(&bundle)
            .arg("hello")
            .env("EXO_HOME", home::home());
        let status = command.status().map_err(|error| error.to_string())?;
        if !status.success() {
            return Err("exo bundle failed".to_owned());
        }
    }
    let row = |name, unit, goal| Row {
        name,
        unit,
        goal,
        sample: Sample::default(),
    };
    let mut instruction = row(
        "exo: process start to first libOS instruction",
        "ms",
        Some(8.0),
    );
    let mut byte = row("exo: process start to first console byte", "ms", None);
    let mut qemu = row(
        "QEMU microvm, same kernel: process start to first console byte",
        "ms",
        None,
    );
    let mut whole = row("exo: process start to its end", "ms", None);
    let mut memory = row(
        "exo: peak RSS beyond touched guest memory",
        "MiB",
        Some(3.0),
    );
    let mut host = Value::Null;
    for run in 0..=options.runs {
        let start = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(|error| error.to_string())?;
        let mut command = exo_command(&report_file);
        command.env("EXO_START_NS", start.as_nanos().to_string());
        let (time, _) = first_byte(&mut command)?;
        let report = std::fs::read_to_string(&report_file).map_err(|error| error.to_string())?;
        let report = Report::parse(&report);
        let qemu_time = if options.qemu {
            Some(first_byte(&mut qemu_command(&bundle))?.0)
        } else {
            None
        };
        if run == 0 {
            host = report.value("/host").clone();
            continue;
        }
        instruction
            .sample
            .add(report.number("/timings/first_instruction_us") as f64 / 1e3);
        byte.sample.add(time.as_secs_f64() * 1e3);
        whole
            .sample
            .add(report.number("/timings/end_us") as f64 / 1e3);
        let own = report
            .number("/memory/peak_kib")
            .saturating_sub(report.number("/memory/guest_resident_kib"));
        memory.sample.add(own as f64 / 1024.0);
        if let Some(time) = qemu_time {
            qemu.sample.add(time.as_secs_f64() * 1e3);
        }
    }
    let mut rows = vec![instruction, byte, qemu, whole, memory];
    rows.retain(|row| !row.sample.values().is_empty());
    Ok((rows, host))
}

fn print_json(rows: &[Row], host: &Value, options: &Options) {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "measured": row.name, "unit": row.unit, "goal": row.goal, "median": row.sample.median(),
                "minimum": row.sample.quantile(0.0), "lower_quartile": row.sample.quantile(0.25),
                "upper_quartile": row.sample.quantile(0.75), "maximum": row.sample.quantile(1.0),
                "values": row.sample.values(),
            })
        })
        .collect();
    println!(
        "{}",
        json!({"host": host, "runs": options.runs, "rows": rows})
    );
}

fn print_table(rows: &[Row], host: &Value, options: &Options) {
    println!(
        "host: {}, Linux {}; {} runs, exo and QEMU by turns",
        host["kind"], host["linux"], options.runs
    );
    println!(
        "| measured | unit | goal | median | quartiles | range |\n| --- | --- | --- | --- | --- | --- |"
    );
    for row in rows {
        let goal = row
            .goal
            .map_or_else(|| "-".to_owned(), |goal| goal.to_string());
        let at = |part| row.sample.quantile(part);
        println!(
            "| {} | {} | {goal} | {:.2} | {:.2} to {:.2} | {:.2} to {:.2} |",
            row.name,
            row.unit,
            row.sample.median(),
            at(0.25),
            at(0.75),
            at(0.0),
            at(1.0)
        );
    }
}
