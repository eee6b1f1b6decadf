//! This environment: its number, name, arguments and capabilities, and its side of the call page.
#![allow(unsafe_code)]

use alloc::string::String;
use core::ffi::CStr;
use core::mem::offset_of;

use exo_abi::capability::CapabilityEntry;
use exo_abi::environment::{
    CallPage, EVENTS_MAX, EnvironmentId, EnvironmentPage, INITIAL_CAPABILITIES_MAX, UPCALL_CREDIT,
};
use exo_abi::function::FunctionEntry;
use exo_abi::{Capability, Kind};

use crate::shared::{self, CALLS, ENVIRONMENT};
use crate::tables;

/// Own number.
pub fn id() -> EnvironmentId {
    EnvironmentId(ENVIRONMENT.word(offset_of!(EnvironmentPage, id)) as u16)
}

/// Own name, from the manifest.
pub fn name() -> tables::Name {
    tables::environment(id()).map_or(tables::Name::UNKNOWN, |entry| tables::Name::new(entry.name))
}

/// First frame of the memory grant.
pub fn grant_first() -> u64 {
    ENVIRONMENT.word(offset_of!(EnvironmentPage, grant_first))
}

/// Frames of the memory grant.
pub fn grant_frames() -> u64 {
    ENVIRONMENT.word(offset_of!(EnvironmentPage, grant_frames))
}

/// The capabilities that the environment started with, in the order of the manifest.
pub fn capabilities() -> impl Iterator<Item = Capability> {
    let count = ENVIRONMENT.word(offset_of!(EnvironmentPage, capability_count)) as usize;
    (0..count.min(INITIAL_CAPABILITIES_MAX)).map(|index| {
        Capability(ENVIRONMENT.word(offset_of!(EnvironmentPage, capabilities) + 8 * index))
    })
}

/// The initial capabilities of one kind, and what they name.
pub fn capabilities_of(kind: Kind) -> impl Iterator<Item = (Capability, CapabilityEntry)> {
    capabilities().filter_map(move |capability| {
        let entry = tables::capability(capability.slot())?;
        let valid = entry.generation == capability.generation() && entry.holder == id();
        (valid && entry.kind == kind as u8).then_some((capability, entry))
    })
}

/// All capabilities of one kind that the environment holds now, the newest first. One that comes or goes meanwhile may be
/// missed.
pub fn held_of(kind: Kind) -> impl Iterator<Item = (Capability, CapabilityEntry)> {
    let mut link = tables::own_environment().first_capability;
    let held = core::iter::from_fn(move || {
        let slot = link.checked_sub(1)?;
        let entry = tables::capability(slot)?;
        // Where the list has changed under us, it leads to what is not ours.
        (entry.holder == id()).then(|| {
            link = entry.next;
            (Capability::new(slot, entry.generation), entry)
        })
    });
    held.filter(move |(_, entry)| entry.kind == kind as u8)
}

/// The capability of the memory grant.
pub fn grant_capability() -> Capability {
    let covers = |entry: &CapabilityEntry| {
        entry.first <= grant_first() && grant_first() < entry.first + entry.count
    };
    capabilities_of(Kind::Blocks)
        .find(|(_, entry)| covers(entry))
        .map_or(Capability::NONE, |(capability, _)| capability)
}

/// A device function that the manifest gave to this environment.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// Names it.
    pub capability: Capability,
    /// Index in the function table.
    pub index: u64,
    /// Its entry, as it was when asked.
    pub entry: FunctionEntry,
}

/// The functions of this environment, in the order of the manifest.
pub fn functions() -> impl Iterator<Item = Function> {
    capabilities_of(Kind::Function).filter_map(|(capability, named)| {
        let entry = tables::function(named.first)?;
        Some(Function {
            capability,
            index: named.first,
            entry,
        })
    })
}

/// The arguments, without a program name.
pub fn arguments() -> impl Iterator<Item = String> {
    let count = ENVIRONMENT.word(offset_of!(EnvironmentPage, argument_count));
    let mut next = ENVIRONMENT.word(offset_of!(EnvironmentPage, arguments));
    (0..count).map(move |_| {
        // SAFETY: 1. the bundle holds `count` zero-terminated strings in a row there; 2. they are mapped read-only, and
        // copied at once.
        let text = unsafe { CStr::from_ptr(next as *const core::ffi::c_char) };
        next += text.count_bytes() as u64 + 1;
        String::from_utf8_lossy(text.to_bytes()).into_owned()
    })
}

/// Time stamp of the first instruction.
pub fn start_time() -> u64 {
    CALLS.word(offset_of!(CallPage, start_time))
}

/// Interrupts of all bound vectors so far.
pub fn events() -> u64 {
    CALLS.word(offset_of!(CallPage, events))
}

/// Interrupts of the vector with this event index so far.
pub fn event_counter(index: u64) -> u64 {
    assert!(index < EVENTS_MAX as u64, "no such event");
    CALLS.word(offset_of!(CallPage, event_counters) + 8 * index as usize)
}

/// Adds to what the host's report shows of this environment: requests completed, and bytes they moved.
pub fn count_requests(requests: u64, bytes: u64) {
    let old = CALLS.word(offset_of!(CallPage, requests));
    shared::write_call_word(offset_of!(CallPage, requests), old.wrapping_add(requests));
    let old = CALLS.word(offset_of!(CallPage, bytes));
    shared::write_call_word(offset_of!(CallPage, bytes), old.wrapping_add(bytes));
}

/// Upcalls taken so far.
pub fn upcalls_taken() -> u32 {
    shared::upcalls_taken(offset_of!(CallPage, upcall_credit))
}

/// Lets the kernel deliver one more upcall.
pub fn set_upcall_credit() {
    shared::give_credit(offset_of!(CallPage, upcall_credit));
}

/// Whether the kernel can deliver one: then no frame of an exception is unread.
pub fn can_take_upcall() -> bool {
    CALLS.half_word(offset_of!(CallPage, upcall_credit)) & UPCALL_CREDIT != 0
}
