//! Where ring 3 may have itself entered: checked when it says so, so that the kernel's `iretq` cannot fault.

use exo_abi::Error;
use exo_abi::address::{LOWER_HALF_END, PROGRAM_BASE, PROGRAM_END};

/// Refuses an address outside the program range.
pub fn check_instruction(address: u64) -> Result<(), Error> {
    if (PROGRAM_BASE..PROGRAM_END).contains(&address) {
        Ok(())
    } else {
        Err(Error::BadAddress)
    }
}

/// The same for an entry that need not be there: 0 is none.
pub fn check_optional_instruction(address: u64) -> Result<(), Error> {
    match address {
        0 => Ok(()),
        address => check_instruction(address),
    }
}

/// Refuses a stack outside the lower half.
pub fn check_stack(address: u64) -> Result<(), Error> {
    if address < LOWER_HALF_END {
        Ok(())
    } else {
        Err(Error::BadAddress)
    }
}
