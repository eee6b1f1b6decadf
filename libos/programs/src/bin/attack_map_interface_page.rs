//! Maps over, protects and unmaps the pages that the kernel shares with everybody, and the frame window.
#![no_std]
#![no_main]

use exo_programs::Verdict;
use exo_programs::attack::{allowed_mapping, expect_error, expect_map_error};
use exo_programs::victim::Victim;
use exo_rt::abi::Error;
use exo_rt::abi::address::{
    CALL_PAGE, ENVIRONMENT_PAGE, EXPORTED_TABLES, FRAME_WINDOW, INTERFACE_PAGE,
};
use exo_rt::abi::map::MapEntry;
use exo_rt::{gate, window};

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
        let entry = MapEntry {
            address,
            ..allowed_mapping()
        };
        expect_map_error("page_map", entry, Error::BadAddress)?;
        expect_error(
            "page_protect",
            gate::page_protect(&[entry]),
            Error::BadAddress,
        )?;
        expect_error("page_unmap", gate::page_unmap(&[entry]), Error::BadAddress)?;
    }
    Ok(())
}
