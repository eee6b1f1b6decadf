//! How many ring-0 instructions each kernel path takes, and the committed table of them.

use std::path::PathBuf;
use std::process::Command;

use crate::crowd::crowd;
use crate::{Guest, Machine, home, perf, process};

/// A path whose length is measured.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// What it is called in tables.
    pub name: &'static str,
    /// Instructions that it was meant to take, where somebody said so.
    pub goal: Option<u64>,
    source: Source,
    /// What the count is divided by: pages, for what is stated per page.
    parts: u64,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    /// All before the first instruction of the first libOS.
    Boot,
    /// An operation of the program `page-path`.
    Operation(&'static str),
    /// A yield of the program `yield-many`, among [`YIELDING`] that run it.
    Yield,
    /// A transfer of the program `transfer-path`, and the reply.
    Transfer,
    /// A stub that ends in front of another symbol, as an image takes it.
    Stub(&'static str, [&'static str; 2]),
}

const fn operation(
    name: &'static str,
    operation: &'static str,
    goal: Option<u64>,
    parts: u64,
) -> Path {
    Path {
        name,
        goal,
        source: Source::Operation(operation),
        parts,
    }
}

/// Environments that yield to each other.
const YIELDING: u64 = 2;
/// Yields by which two runs differ, of each of them.
const YIELDS: u64 = 2;

/// What is measured, in the order of tables.
pub const PATHS: &[Path] = &[
    Path {
        name: "boot to the first libOS instruction",
        goal: Some(5000),
        source: Source::Boot,
        parts: 1,
    },
    operation("null gate", "null", Some(8), 1),
    operation("exception upcall", "upcall", Some(10), 1),
    operation("page-fault upcall", "page-fault", Some(16), 1),
    Path {
        name: "one-way protected control transfer",
        goal: Some(40),
        source: Source::Transfer,
        parts: 2,
    },
    Path {
        name: "yield to another environment",
        goal: Some(40),
        source: Source::Yield,
        parts: YIELDING * YIELDS,
    },
    Path {
        name: "slice end",
        goal: Some(30),
        source: Source::Stub("slice-upcalls", ["slice_interrupt", "slice_interrupt_slow"]),
        parts: 1,
    },
    operation("map of 1 page", "map1", Some(150), 1),
    operation("map of 100 pages, per page", "map100", Some(40), 100),
    operation(
        "map of 100 pages in 100 entries, per page",
        "map100-entries",
        None,
        100,
    ),
    operation("protect of 1 page", "protect1", None, 1),
    operation("unmap of 1 page", "unmap1", None, 1),
    operation("unmap of 100 pages, per page", "unmap100", None, 100),
    operation("bind of a queue", "bind", None, 1),
    operation(
        "sleep on a predicate of 1 word that holds",
        "sleep1",
        None,
        1,
    ),
    operation("sleep on one of 8 words, per word", "sleep8", None, 8),
    operation("allocation of a frame", "allocate", Some(80), 1),
    operation("free of a frame", "free", None, 1),
    operation("derivation of a capability", "derive", Some(120), 1),
    operation("revocation, per capability", "revoke", Some(60), 1),
    operation("copy of a capability", "copy", None, 1),
    operation("map of a page of 2 MiB", "map-large", None, 1),
    operation("making and ending of an environment", "make", None, 1),
];

/// A path and its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Length {
    /// Name of the path.
    pub name: &'static str,
    /// Goal, if any.
    pub goal: Option<u64>,
    /// Ring-0 instructions, times `parts`.
    pub total: u64,
    /// Pages that they were for, or 1.
    pub parts: u64,
}

impl Length {
    /// Instructions, or instructions per part, with one decimal place where it is not whole.
    pub fn text(&self) -> String {
        match self.total.is_multiple_of(self.parts) {
            true => (self.total / self.parts).to_string(),
            false => format!("{:.1}", self.total as f64 / self.parts as f64),
        }
    }

    /// Instructions per part.
    pub fn each(&self) -> f64 {
        self.total as f64 / self.parts as f64
    }

    /// Whether the goal is met; also where there is none.
    pub fn meets_goal(&self) -> bool {
        self.goal.is_none_or(|goal| self.total <= goal * self.parts)
    }
}

/// Measures one path.
pub fn measure(path: &Path) -> Length {
    let total = match path.source {
        Source::Boot => boot(),
        Source::Stub(image, symbols) => stub(image, symbols),
        Source::Operation(operation) => {
            let counts = [1, 2, 3].map(|count| run("page-path", &[operation], count));
            let steps = [counts[1] - counts[0], counts[2] - counts[1]];
            // Binding looks the function up in a table, so that later ones cost more; the second stands for all.
            assert!(
                steps[0] == steps[1] || operation == "bind",
                "{}: one operation more costs differently each time ({counts:?}), so this is no path length",
                path.name
            );
            steps[0]
        }
        Source::Yield => {
            let guest = Guest::copy(&["yield-many"]);
            let run = |yields| {
                let machine = crowd(&guest, YIELDING, 1, "yield-many", yields);
                let (outcome, instructions) = perf::count(&machine);
                outcome.expect_status(0);
                instructions
            };
            run(YIELDS + 10) - run(10)
        }
        Source::Transfer => {
            let counts = [1, 2, 3].map(|count| run("transfer-path", &[], count));
            assert_eq!(
                counts[2] - counts[1],
                counts[1] - counts[0],
                "{}",
                path.name
            );
            counts[1] - counts[0]
        }
    };
    Length {
        name: path.name,
        goal: path.goal,
        total,
        parts: path.parts,
    }
}

/// Ring-0 instructions of a whole run of an image with these arguments and COUNT.
fn run(image: &str, arguments: &[&str], count: u64) -> u64 {
    let machine = arguments
        .iter()
        .fold(Machine::new(image), |machine, argument| {
            machine.argument(*argument)
        })
        .argument(count.to_string());
    let (outcome, instructions) = perf::count(&machine);
    outcome.expect_status(0);
    instructions
}

/// Ring-0 instructions of `hello` up to the one that enters its environment.
fn boot() -> u64 {
    let (entry, end) = symbol_range("resume_environment");
    let (outcome, addresses) = perf::trace(&Machine::new("hello"));
    outcome.expect_status(0);
    let (_, whole) = perf::count(&Machine::new("hello"));
    assert_eq!(
        addresses.len() as u64,
        whole,
        "the trace of hello lacks instructions"
    );
    let start = addresses
        .iter()
        .position(|address| (entry..end).contains(address))
        .expect("the kernel entered an environment");
    let inside = addresses[start..]
        .iter()
        .take_while(|address| (entry..end).contains(address))
        .count();
    (start + inside) as u64
}

/// Ring-0 instructions of the stub between two symbols, from one end to the other, when `image` runs.
fn stub(image: &str, [first, behind]: [&str; 2]) -> u64 {
    let (start, _) = symbol_range(first);
    let (end, _) = symbol_range(behind);
    let (outcome, addresses) = perf::trace(&Machine::new(image));
    outcome.expect_status(0);
    let lengths = addresses
        .iter()
        .enumerate()
        .filter(|(_, address)| **address == start)
        .map(|(position, _)| {
            addresses[position..]
                .iter()
                .enumerate()
                .take_while(|(number, address)| {
                    (start..end).contains(*address) && (*number == 0 || **address != start)
                })
                .count()
        });
    // Who leaves the stub for the slow path, as nearly all do on a busy host, takes less of it.
    lengths.max().expect("the stub was entered") as u64
}

/// Addresses of a function of the kernel and of the one behind it, as `nm` lists them.
fn symbol_range(name: &str) -> (u64, u64) {
    let kernel = home::home().join("target/guest/exo-kernel");
    let listed = process::run(Command::new("nm").arg("--numeric-sort").arg(&kernel));
    let mut addresses = listed.stdout.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = u64::from_str_radix(words.next()?, 16).ok()?;
        Some((address, words.nth(1)?.to_owned()))
    });
    let (start, _) = addresses
        .find(|(_, symbol)| symbol == name)
        .unwrap_or_else(|| panic!("{} has no symbol {name}", kernel.display()));
    let (end, _) = addresses
        .find(|(address, _)| *address > start)
        .unwrap_or((u64::MAX, String::new()));
    (start, end)
}

/// What stands before and behind the committed table, which is the one in the README.
const TABLE_START: &str = "<!-- made by scripts/path-length --write -->\n";
const TABLE_END: &str = "<!-- end of what it made -->\n";

/// The table, for terminals and the README alike.
pub fn table(lengths: &[Length]) -> String {
    let mut text = "| ring-0 instructions | goal | counted |\n| --- | --- | --- |\n".to_owned();
    for length in lengths {
        let goal = length
            .goal
            .map_or_else(|| "-".to_owned(), |goal| goal.to_string());
        text += &format!("| {} | {goal} | {} |\n", length.name, length.text());
    }
    text
}

/// The README, as what stands before the committed table, the table, and what stands behind it.
fn readme() -> (PathBuf, [String; 3]) {
    let path = home::home().join("README.md");
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let parts = text.split_once(TABLE_START).and_then(|(before, rest)| {
        let (table, behind) = rest.split_once(TABLE_END)?;
        Some([before, table, behind].map(str::to_owned))
    });
    let parts =
        parts.unwrap_or_else(|| panic!("{} has lost the marks of its table", path.display()));
    (path, parts)
}

/// The committed table: name and counted length of each row.
pub fn committed_lengths() -> Vec<(String, f64)> {
    let (_, [_, table, _]) = readme();
    let rows = table.lines().skip(2).map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        match cells[..] {
            [name, _, counted] => (name.to_owned(), counted.parse().expect("a count")),
            _ => panic!("the README's table has the row {line:?}"),
        }
    });
    rows.collect()
}

/// By how much a path may differ from its committed length: a twentieth. What differs by more is written anew on purpose.
pub const TOLERANCE: f64 = 1.0 / 20.0;

/// Replaces the committed table.
pub fn commit_table(table: &str) -> std::io::Result<()> {
    let (path, [before, _, behind]) = readme();
    std::fs::write(
        path,
        format!("{before}{TABLE_START}{table}{TABLE_END}{behind}"),
    )
}
