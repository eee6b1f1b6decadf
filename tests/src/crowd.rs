//! Machines of many environments that do the same.

use crate::{Guest, Machine};

/// A machine of so many environments that run `program` with one argument, on vCPUs by turns. Slices have no end there, so that
/// turns and instruction counts are the same on every run.
pub fn crowd(
    guest: &Guest,
    environments: u64,
    vcpus: u32,
    program: &str,
    argument: u64,
) -> Machine {
    let mut text = format!(
        "description = \"a crowd\"\nmemory = \"1 GiB\"\nvcpus = {vcpus}\nslice = \"none\"\n"
    );
    for number in 0..environments {
        text += &format!(
            "[[environment]]\nname = \"{number}\"\nprogram = \"{program}\"\nmemory = \"2 MiB\"\narguments = [\"{argument}\"]\n"
        );
    }
    Machine::new(guest.manifest(&text)).guest(guest)
}
