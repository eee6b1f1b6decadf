//! The command `exo`.

use vmm::cli;
use vmm::cli::run::StartClock;

fn main() {
    let clock = StartClock::now();
    let status = cli::execute(clock);
    // Not by return from `main`: nothing is left to be dropped, and the operating system takes all back at once.
    std::process::exit(i32::from(status));
}
