//! The attached blocks: files of the host in memory, named by physical address, since each process sees them elsewhere.

use exo_abi::address::PAGE_SIZE;
use exo_rt::family;

/// Where this process sees a physical address.
pub fn view(physical: u64) -> u64 {
    family::view(physical / PAGE_SIZE) + physical % PAGE_SIZE
}
