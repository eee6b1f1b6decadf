//! Maps over, protects and unmaps the pages that the kernel shares with everybody, and the frame window.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::expect_bad_address;
use exo_programs::victim::Victim;
use exo_rt::abi::address::{
    CALL_PAGE, ENVIRONMENT_PAGE, EXPORTED_TABLES, FRAME_WINDOW, INTERFACE_PAGE,
};
use exo_rt::window;

exo_rt::program!(main);

fn main() -> Verdict {
    Victim::await_ready();
    let own = window::grant_start();
    for address in [
        INTERFACE_PAGE,
        EXPORTED_TABLES,
        ENVIRONMENT_PAGE,
        CALL_PAGE,
        FRAME_WINDOW,
        own,
    ] {
        expect_bad_address(address, 1)?;
    }
    Ok(())
}
