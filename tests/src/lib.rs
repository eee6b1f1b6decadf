//! The harness of the tests that boot machines: finds `exo`, runs it with a limit, reads its report.
//!
//! A test is a few lines: `require_kvm!()`, a [`Machine`], its [`Outcome`], assertions. The verdict comes from exit
//! statuses and the JSON report, never from timing.

pub mod busybox;
pub mod crowd;
pub mod disk;
pub mod guest;
pub mod home;
pub mod host;
pub mod linux;
pub mod machine;
pub mod outcome;
pub mod path_length;
pub mod perf;
pub mod process;
pub mod revocation;
pub mod running;

pub mod start_time;
pub mod terminal;
pub mod whole_programs;

pub use disk::Disk;
pub use guest::Guest;
pub use machine::Machine;
pub use outcome::{Outcome, Report};
