//! What the kernel's own tables take is what the README states, but for a word here and there: calls come, and records grow.

use std::process::Command;

use exo_abi::address::PAGE_SIZE;
use exo_abi::environment::EnvironmentEntry;
use exo_abi::layout::{ENVIRONMENT_PAGES, KERNEL_TEXT, Layout, Sizes};
use exo_tests::{Machine, home, process, require_kvm};

/// Size of a machine, with room for everything.
const SIZES: Sizes = Sizes {
    kernel_end: 4 << 20,
    memory_end: 1 << 30,
    environments: 1,
    tables: 64,
    capabilities: 64,
    functions: 1,
    vcpus: 1,
};
/// Least that the sizes are raised by: tables end at multiples of 2 MiB, which must not matter.
const MANY: u64 = 1 << 16;

/// Bytes that the README states for a row of its table.
fn stated(row: &str) -> f64 {
    let text = std::fs::read_to_string(home::home().join("README.md")).expect("there is a README");
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("| {row} | ")))
        .unwrap_or_else(|| panic!("the README has no row {row:?}"));
    let cell = line.split('|').nth(2).expect("a row has two cells").trim();
    cell.parse()
        .unwrap_or_else(|_| panic!("{row}: {cell:?} is no number"))
}

/// The number that is stated may be off by this part of it.
const TOLERANCE: f64 = 0.1;

fn expect(row: &str, bytes: f64) {
    let stated = stated(row);
    assert!(
        (bytes - stated).abs() <= stated * TOLERANCE,
        "{row}: {bytes:.2} bytes now, the README states {stated}"
    );
}

/// Bytes of the kernel's tables in a machine of these sizes.
fn tables(sizes: Sizes) -> f64 {
    let layout = Layout::new(sizes).expect("these sizes fit");
    (layout.end - sizes.kernel_end) as f64
}

#[test]
fn tables_grow_as_stated() {
    let each = |many: u64, larger: Sizes| (tables(larger) - tables(SIZES)) / many as f64;
    let frames = MANY << 8;
    let more = Sizes {
        memory_end: SIZES.memory_end + frames * PAGE_SIZE,
        ..SIZES
    };
    expect("frame of 4 KiB", each(frames, more));
    // Too few fit for the rounding not to matter.
    let environment = ENVIRONMENT_PAGES + size_of::<EnvironmentEntry>() as u64;
    expect("environment", environment as f64);
    let more = Sizes {
        capabilities: SIZES.capabilities + MANY * 4,
        ..SIZES
    };
    expect("capability slot of a quota", each(MANY * 4, more));
    let more = Sizes {
        tables: SIZES.tables + MANY,
        ..SIZES
    };
    expect("page-table frame of a quota", each(MANY, more));
}

#[test]
fn the_kernel_itself_takes_what_is_stated() {
    let kernel = home::home().join("target/guest/exo-kernel");
    home::exo();
    let listed = process::run(Command::new("nm").arg(&kernel));
    let end = listed
        .stdout
        .lines()
        .find(|line| line.ends_with(" kernel_end"))
        .and_then(|line| u64::from_str_radix(line.split(' ').next()?, 16).ok())
        .expect("the kernel's end has a name");
    let start = exo_abi::address::KERNEL_BASE + KERNEL_TEXT;
    expect("the kernel", (end - start) as f64);
}

#[test]
fn a_small_environment_takes_the_page_tables_that_are_stated() {
    require_kvm!();
    let outcome = Machine::new("hello").run().expect_status(0);
    let tables = &outcome.report().environment("hello")["held"]["tables"];
    let bytes = tables.as_u64().expect("a count") * PAGE_SIZE;
    expect("page tables of `hello`", bytes as f64);
}
