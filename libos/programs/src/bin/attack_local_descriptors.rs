//! Makes descriptors of its own in low memory, where a local descriptor table would be that nobody has switched off.
//!
//! A CPU that comes out of reset has a local descriptor table at address 0 (Intel SDM volume 3, table 11-1).
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;

use exo_programs::Verdict;
use exo_programs::attack::{allowed_mapping, expect_done, expect_protection_fault};
use exo_programs::victim::Victim;
use exo_rt::abi::address::PROGRAM_BASE;
use exo_rt::abi::map::MapEntry;
use exo_rt::{gate, probe, segments};

exo_rt::program!(main);

/// Writable data segment of ring 3 (Intel SDM volume 3, section 3.4.5).
const DATA: u64 = 0x00cf_f300_0000_ffff;
/// 64-bit call gate that ring 3 may use, to the kernel's code segment, selector 8 (section 6.8.3.1).
const GATE: u64 = 0xec00_0008_0000;
/// Table indicator of a selector: the local table.
const LOCAL: u64 = 4;

fn main() -> Verdict {
    Victim::await_ready();
    let low = MapEntry {
        address: PROGRAM_BASE,
        ..allowed_mapping()
    };
    expect_done("mapping", gate::page_map(&[low]))?;
    let target = segments::gate_target();
    let descriptors = [
        DATA,
        0,
        GATE | (target & 0xffff) | (target >> 16 & 0xffff) << 48,
        target >> 32,
    ];
    for (address, descriptor) in (PROGRAM_BASE..).step_by(8).zip(descriptors) {
        let written = probe::write(address, descriptor);
        written.map_err(|fault| format!("writing: {fault}"))?;
    }
    let gate = (PROGRAM_BASE + 16) | LOCAL;
    let called = segments::call_gate(gate as u16 | 3);
    if let Ok(root) = called {
        return Err(format!("ring 0 says that CR3 is {root:#x}"));
    }
    expect_protection_fault("a local call gate", called, gate)?;
    let data = PROGRAM_BASE | LOCAL;
    let loaded = segments::load(data as u16 | 3);
    expect_protection_fault("a local data segment", loaded, data)
}
