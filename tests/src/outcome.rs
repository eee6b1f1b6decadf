//! What a run left: exit status, text, and the report of `--json`.

use serde_json::Value;

use crate::process::Finished;

/// What `exo run` left.
#[derive(Debug)]
pub struct Outcome {
    command: String,
    finished: Finished,
    report: Option<Report>,
}

/// How an environment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status.
    Exited(u64),
    /// By the kernel.
    Aborted(Abort),
    /// Not at all: the machine ended first.
    Unfinished(String),
}

/// The record that the kernel leaves of an environment that it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abort {
    /// Name of an `AbortReason`.
    pub reason: String,
    /// Vector of the exception.
    pub vector: u64,
    /// Its error code, or 0.
    pub error_code: u64,
    /// Where it happened.
    pub instruction: u64,
    /// Faulting address, for a page fault.
    pub address: u64,
}

/// The JSON document that `--json` writes.
#[derive(Clone, Debug)]
pub struct Report(Value);

impl Outcome {
    /// Puts the parts together.
    pub fn new(command: String, finished: Finished, report: Option<Report>) -> Self {
        Self {
            command,
            finished,
            report,
        }
    }

    /// Exit status of `exo`.
    pub fn status(&self) -> i32 {
        self.finished.status
    }

    /// What the programs wrote to their console.
    pub fn stdout(&self) -> &str {
        &self.finished.stdout
    }

    /// What `exo` had to say.
    pub fn stderr(&self) -> &str {
        &self.finished.stderr
    }

    /// The report; fails the test if there is none.
    pub fn report(&self) -> &Report {
        self.report
            .as_ref()
            .unwrap_or_else(|| panic!("there is no report\n{}", self.describe()))
    }

    /// How the environment with this name ended.
    pub fn end(&self, environment: &str) -> End {
        self.report().end(environment)
    }

    /// Everything, for the message of a failed assertion.
    pub fn describe(&self) -> String {
        format!(
            "{}\nstatus {}\nstdout:\n{}\nstderr:\n{}\nreport: {}",
            self.command,
            self.status(),
            self.stdout(),
            self.stderr(),
            self.report
                .as_ref()
                .map_or("none".to_owned(), |report| report.0.to_string())
        )
    }

    /// Fails the test unless `exo` ended with `status`; gives the outcome back.
    pub fn expect_status(self, status: i32) -> Self {
        assert_eq!(
            self.status(),
            status,
            "wrong exit status\n{}",
            self.describe()
        );
        self
    }

    /// Fails the test unless this environment ended in this way.
    pub fn expect_end(&self, environment: &str, end: &End) {
        assert_eq!(
            &self.end(environment),
            end,
            "wrong end of {environment}\n{}",
            self.describe()
        );
    }
}

impl Report {
    /// Reads the document; fails the test if it is none.
    pub fn parse(text: &str) -> Self {
        Self(
            serde_json::from_str(text)
                .unwrap_or_else(|error| panic!("the report is no JSON: {error}\n{text}")),
        )
    }

    /// The value at a JSON pointer; fails the test if there is none.
    pub fn value(&self, pointer: &str) -> &Value {
        self.0
            .pointer(pointer)
            .unwrap_or_else(|| panic!("the report has no {pointer}: {}", self.0))
    }

    /// The number at a JSON pointer.
    pub fn number(&self, pointer: &str) -> u64 {
        number(self.value(pointer), pointer)
    }

    /// The environment with this name.
    pub fn environment(&self, name: &str) -> &Value {
        self.value("/environments")
            .as_array()
            .and_then(|list| list.iter().find(|one| one["name"] == name))
            .unwrap_or_else(|| panic!("the report has no environment {name}: {}", self.0))
    }

    /// A counter of the environment with this name.
    pub fn counter(&self, environment: &str, counter: &str) -> u64 {
        let value = &self.environment(environment)["counters"][counter];
        number(value, counter)
    }

    /// Kernel entries of the environment with this name, all kinds together.
    pub fn kernel_entries(&self, environment: &str) -> u64 {
        let entries = &self.environment(environment)["counters"]["kernel_entries"];
        let kinds = entries
            .as_object()
            .unwrap_or_else(|| panic!("the report counts no kernel entries: {}", self.0));
        kinds
            .values()
            .map(|count| number(count, "kernel_entries"))
            .sum()
    }

    /// VM exits of the whole machine, all kinds together.
    pub fn exits(&self) -> u64 {
        let exits = self.value("/counters/vm_exits").as_object();
        let kinds = exits.unwrap_or_else(|| panic!("the report counts no VM exits: {}", self.0));
        kinds.values().map(|count| number(count, "vm_exits")).sum()
    }

    /// How the environment with this name ended.
    pub fn end(&self, name: &str) -> End {
        let one = self.environment(name);
        match one["state"].as_str().unwrap_or_default() {
            "exited" => End::Exited(number(&one["exit_status"], "exit_status")),
            "aborted" => {
                let record = &one["abort"];
                End::Aborted(Abort {
                    reason: record["reason"].as_str().unwrap_or_default().to_owned(),
                    vector: number(&record["vector"], "vector"),
                    error_code: number(&record["error_code"], "error_code"),
                    instruction: number(&record["instruction"], "instruction"),
                    address: number(&record["address"], "address"),
                })
            }
            other => End::Unfinished(other.to_owned()),
        }
    }
}

/// A number in the report, whether written as one or as "0x..." text.
fn number(value: &Value, what: &str) -> u64 {
    value
        .as_u64()
        .or_else(|| u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok())
        .unwrap_or_else(|| panic!("the report's {what} is no number but {value}"))
}
