//! The exit statuses of `exo`, all of them.

use crate::error::Error;

/// The table for `exo --help`, the manual page and the README.
pub const TABLE: &str = "\
EXIT STATUS of exo run:
  0        every program ended with status 0
  1..119   status of the first program, in the order of the manifest, that did not
           (2, 65..77: could also be one of the reasons below; --json tells them apart)
  119      also: a program's status above 119
  120      the kernel ended a program: fault without a handler, or within it
  121      the kernel panicked or refused its boot information; its text is on stdout
  122      the machine failed: KVM internal error or triple fault; stderr has the registers

EXIT STATUS of every command, when nothing ran:
  2        usage
  65       a manifest, program, kernel or disk is malformed, too large, or of another version
  66       a file that is needed does not exist
  69       no /dev/kvm, or one that cannot run the guest
  71       the operating system refused something that should work
  77       no permission";

/// Largest status of a program that is passed on as it is.
pub const PROGRAM_MAX: u8 = 119;
/// The kernel ended an environment.
pub const ABORTED: u8 = 120;
/// The kernel found a fault in itself, or refused to boot.
pub const KERNEL_PANIC: u8 = 121;
/// The machine ended in a way that the kernel did not ask for.
pub const MACHINE_FAILURE: u8 = 122;

/// `exo ctl`: less was given back than was asked for.
pub const KEPT: u8 = 1;
/// The command line asks for something that makes no sense.
pub const USAGE: u8 = 2;

/// The status for an error before or beside the guest (numbers as in `sysexits.h`).
pub fn of_error(error: &Error) -> u8 {
    match error {
        Error::Usage(_) => USAGE,
        Error::BadInput(_) => 65,
        Error::MissingInput(_) => 66,
        Error::NoKvm(_) => 69,
        Error::System(_) => 71,
        Error::NotPermitted(_) => 77,
        Error::Told { status, .. } => *status,
    }
}
