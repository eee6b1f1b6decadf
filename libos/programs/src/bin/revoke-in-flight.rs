//! Gives frames and a queue of its function to the attacker, and takes both back while the device writes to the frames: from
//! then on nothing does.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};

use exo_drivers::transport::Transport;
use exo_drivers::virtio::{DEVICE_BLOCK, feature};
use exo_programs::gifts::{await_ends, environment_named, give};
use exo_rt::abi::call::ANY_FRAME;
use exo_rt::abi::environment::EnvironmentEntry;
use exo_rt::abi::{Call, Capability, Kind, Rights};
use exo_rt::wait::Spinner;
use exo_rt::{gate, probe, tables, window};

exo_rt::program!(main);

/// Frames that the attacker gets.
const FRAMES: u64 = 64;
/// What the device never writes: its disk has other words.
const MARK: u64 = 0x5555_aaaa_5555_aaaa;
/// Looks at the frames after they were taken back.
const LOOKS: u32 = 2000;

fn main() -> Result<(), String> {
    let attacker = environment_named("attacker")?;
    let function = Transport::find(DEVICE_BLOCK, 0).map_err(|error| error.to_string())?;
    let transport = Transport::bind(function).map_err(|error| error.to_string())?;
    transport
        .negotiate(feature::INDIRECT)
        .map_err(|error| error.to_string())?;
    transport.clear_configuration_vector();
    transport.start();
    let refused = |error: exo_rt::abi::Error| error.to_string();
    let frames = gate::frame_allocate(ANY_FRAME, FRAMES, 0).map_err(refused)?;
    let first = tables::capability(frames.slot()).ok_or("no frames")?.first;
    mark(first);
    let rights = Rights::READ_WRITE;
    let given = gate::capability_derive(frames, first, FRAMES, rights).map_err(refused)?;
    give(given, attacker)?;
    let queue = gate::capability_derive_kind(function.capability, 0, 1, rights, Kind::Queue);
    give(queue.map_err(refused)?, attacker)?;

    let mut spinner = Spinner::new();
    while is_marked(first) {
        spinner.relax();
    }
    take_back(frames, first)?;
    // The attacker goes on with memory of its own, and then accepts nothing more; so its queue is taken while it is in use.
    let accepts = |entry: EnvironmentEntry| entry.calls[Call::CapabilityAccept.index()];
    let mut spinner = Spinner::new();
    while tables::environment(attacker)
        .is_some_and(|entry| accepts(entry) < 3 && !tables::has_ended(&entry))
    {
        spinner.relax();
    }
    gate::capability_revoke(function.capability).map_err(refused)?;
    await_ends(&[attacker]);
    Ok(())
}

fn take_back(frames: Capability, first: u64) -> Result<(), String> {
    gate::capability_revoke(frames).map_err(|error| error.to_string())?;
    mark(first);
    let mut spinner = Spinner::new();
    for look in 0..LOOKS {
        if !is_marked(first) {
            return Err(format!(
                "written after it was taken back, seen at look {look}"
            ));
        }
        spinner.relax();
    }
    Ok(())
}

/// Writes the mark to the first word of each frame.
fn mark(first: u64) {
    for frame in first..first + FRAMES {
        let written = probe::write(window::address_of(frame), MARK);
        written.expect("own frames are in the window");
    }
}

fn is_marked(first: u64) -> bool {
    (first..first + FRAMES).all(|frame| probe::read(window::address_of(frame)) == Ok(MARK))
}
