//! The gate into the kernel: one function per call of the ABI, by the same name.
//!
//! Which instruction enters the kernel is the kernel's affair: the interface page says whom to call.
#![allow(unsafe_code)]

use core::arch::asm;
use core::mem::offset_of;

use exo_abi::address::INTERFACE_PAGE;
use exo_abi::call::ANY_FRAME;
use exo_abi::environment::CallPage;
use exo_abi::error::DONE;
use exo_abi::interface_page::InterfacePage;
use exo_abi::map::{MAP_BATCH, MapEntry};
use exo_abi::term::Term;
use exo_abi::{Call, Capability, EnvironmentId, Error, Kind, Rights};

use crate::shared;
use crate::transfer::{self, Message};

/// What the kernel left in the status and in the value register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Zero, or the number of an [`Error`].
    pub status: u64,
    /// What the call returns.
    pub value: u64,
}

/// An environment that was made, and the capability of kind `environment` by which the caller reaches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Names a range of numbers.
    pub capability: Capability,
    /// One of them.
    pub id: EnvironmentId,
}

impl Target {
    /// The caller itself.
    pub const SELF: Self = Self {
        capability: Capability::NONE,
        id: EnvironmentId::NOBODY,
    };
}

/// What an environment that is made gets of its owner's quotas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Frames that it may own.
    pub frames: u32,
    /// Page-table frames.
    pub tables: u32,
    /// Capabilities.
    pub capabilities: u32,
}

impl Answer {
    /// The value of a call that was done, or why it was refused.
    pub fn result(self) -> Result<u64, Error> {
        match self.status {
            DONE => Ok(self.value),
            status => Err(Error::from_number(status)
                .unwrap_or_else(|| panic!("the kernel answered {status}"))),
        }
    }
}

/// Enters the kernel with any number in the number register; not for the calls that may switch.
#[inline(always)]
pub fn enter(number: u64, arguments: [u64; 4]) -> Answer {
    let [a, b, c, d] = arguments;
    enter_with_five(number, [a, b, c, d, 0])
}

/// The same with one argument more.
#[inline(always)]
fn enter_with_five(number: u64, arguments: [u64; 5]) -> Answer {
    let status;
    let value;
    // SAFETY: 1. the gate entry is code of the kernel interface page; 2. the ABI says which registers are lost, and all of
    // them are outputs here; 3. without `nostack` the compiler keeps the red zone free for the return address.
    unsafe {
        asm!(
            "call qword ptr [r11 + {entry}]",
            entry = const offset_of!(InterfacePage, gate_entry),
            inlateout("rax") number => status,
            inlateout("rdi") arguments[0] => _,
            inlateout("rsi") arguments[1] => _,
            inlateout("rdx") arguments[2] => value,
            inlateout("r10") arguments[3] => _,
            inlateout("r11") INTERFACE_PAGE => _,
            inlateout("r8") arguments[4] => _,
            lateout("rcx") _,
            lateout("r9") _,
        );
    }
    Answer { status, value }
}

/// Enters the kernel by a call that may switch: only `rip` and `rsp` come back, and the SSE and x87 state is another's.
fn enter_and_switch(number: u64, arguments: [u64; 2]) -> Answer {
    let status;
    let value;
    // SAFETY: 1. as in `enter`; 2. rbx and rbp are saved by hand, all else is an output or in `clobber_abi`; 3. direction
    // flag, x87 and MXCSR are put back to what the System V ABI has at function entry.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "call qword ptr [r11 + {entry}]",
            "cld",
            "fninit",
            "push {mxcsr}",
            "ldmxcsr dword ptr [rsp]",
            "pop rbp",
            "pop rbp",
            "pop rbx",
            entry = const offset_of!(InterfacePage, gate_entry),
            mxcsr = const crate::processor::MXCSR_DEFAULT,
            inlateout("rax") number => status,
            inlateout("rdi") arguments[0] => _,
            inlateout("rsi") arguments[1] => _,
            inlateout("r11") INTERFACE_PAGE => _,
            lateout("rdx") value,
            lateout("r12") _,
            lateout("r13") _,
            lateout("r14") _,
            lateout("r15") _,
            clobber_abi("C"),
        );
    }
    Answer { status, value }
}

fn call(call: Call, arguments: [u64; 4]) -> Result<u64, Error> {
    enter(call as u64, arguments).result()
}

/// [`Call::Null`].
#[inline(always)]
pub fn null() {
    enter(Call::Null as u64, [0; 4]);
}

/// [`Call::EnvironmentExit`].
pub fn environment_exit(status: u64) -> ! {
    let answer = enter(Call::EnvironmentExit as u64, [status, 0, 0, 0]);
    panic!("environment_exit came back with {}", answer.status)
}

/// [`Call::EnvironmentYield`], to anyone.
pub fn environment_yield() -> Result<(), Error> {
    environment_yield_to(EnvironmentId::NOBODY)
}

/// [`Call::EnvironmentYield`], to a named environment; nobody stands for anyone.
pub fn environment_yield_to(named: EnvironmentId) -> Result<(), Error> {
    enter_and_switch(Call::EnvironmentYield as u64, [u64::from(named.0), 0])
        .result()
        .map(drop)
}

/// [`Call::VectorsMoved`]: for code of the interface page; who else calls it is refused.
pub fn vectors_moved() -> Result<(), Error> {
    call(Call::VectorsMoved, [0; 4]).map(drop)
}

/// [`Call::EnvironmentWait`].
pub fn environment_wait(seen: u64) -> Result<(), Error> {
    enter_and_switch(Call::EnvironmentWait as u64, [seen, 0])
        .result()
        .map(drop)
}

/// [`Call::PredicateBind`]; terms beyond the room of the call page are counted but have no room to be written.
pub fn predicate_bind(terms: &[Term]) -> Result<u64, Error> {
    let room = MAP_BATCH * size_of::<MapEntry>() / size_of::<Term>();
    for (index, term) in terms.iter().take(room).enumerate() {
        let offset = offset_of!(CallPage, batch) + index * size_of::<Term>();
        let first = [term.comparison, term.source, term.width, term.flags];
        shared::write_call_half_word(offset, u32::from_le_bytes(first));
        shared::write_call_half_word(offset + offset_of!(Term, offset), term.offset);
        shared::write_call_word(offset + offset_of!(Term, capability), term.capability);
        shared::write_call_word(offset + offset_of!(Term, frame), term.frame);
        shared::write_call_word(offset + offset_of!(Term, mask), term.mask);
        shared::write_call_word(offset + offset_of!(Term, value), term.value);
    }
    call(Call::PredicateBind, [terms.len() as u64, 0, 0, 0])
}

/// [`Call::EnvironmentSleep`]; whether the predicate held at once. After a sleep it is false: ask again.
pub fn environment_sleep() -> Result<bool, Error> {
    let answer = enter_and_switch(Call::EnvironmentSleep as u64, [0; 2]);
    answer.result().map(|held| held != 0)
}

/// [`Call::EnvironmentWake`]; whether it woke.
pub fn environment_wake(environment: EnvironmentId) -> Result<bool, Error> {
    let answer = call(Call::EnvironmentWake, [u64::from(environment.0), 0, 0, 0]);
    answer.map(|woke| woke != 0)
}

/// [`Call::EnvironmentWait`], willing to be entered by a transfer meanwhile: then it does not come back. The status, for tests of
/// refusals; [`crate::transfer::wait`] is for use.
pub fn environment_wait_willing(seen: u64, willing: u64) -> Result<(), Error> {
    enter_and_switch(Call::EnvironmentWait as u64, [seen, willing])
        .result()
        .map(drop)
}

/// [`Call::TransferAccept`].
pub fn transfer_accept(entry: u64, stack: u64) -> Result<Capability, Error> {
    call(Call::TransferAccept, [entry, stack, 0, 0]).map(Capability)
}

/// [`Call::Transfer`]; the reply is in the message.
pub fn transfer(capability: Capability, message: &mut Message) -> Result<(), Error> {
    exchange(Call::Transfer, capability.0, message)
}

/// [`Call::TransferReply`]; for a handler, [`crate::transfer`] does it.
pub fn transfer_reply(seen: u64, message: &mut Message) -> Result<(), Error> {
    exchange(Call::TransferReply, seen, message)
}

/// [`Call::TransferAsynchronous`]; what is in the message afterwards is nobody's.
pub fn transfer_asynchronous(capability: Capability, message: &mut Message) -> Result<(), Error> {
    exchange(Call::TransferAsynchronous, capability.0, message)
}

fn exchange(call: Call, argument: u64, message: &mut Message) -> Result<(), Error> {
    let status = transfer::exchange(call as u64, argument, message);
    Answer { status, value: 0 }.result().map(drop)
}

/// [`Call::UpcallSet`].
pub fn upcall_set(entry: u64, stack: u64) -> Result<(), Error> {
    call(Call::UpcallSet, [entry, stack, 0, 0]).map(drop)
}

/// [`Call::FrameAllocate`].
pub fn frame_allocate(first: u64, count: u64, order: u32) -> Result<Capability, Error> {
    call(Call::FrameAllocate, [first, count, u64::from(order), 0]).map(Capability)
}

/// [`Call::FrameAllocate`] of any frames whose first number is `colour` modulo `colours`.
pub fn frame_allocate_coloured(count: u64, colours: u64, colour: u64) -> Result<Capability, Error> {
    let arguments = [ANY_FRAME, count, 0, colours << 32 | colour];
    call(Call::FrameAllocate, arguments).map(Capability)
}

/// [`Call::CapabilityFree`].
pub fn capability_free(capability: Capability) -> Result<(), Error> {
    call(Call::CapabilityFree, [capability.0, 0, 0, 0]).map(drop)
}

/// [`Call::PageMap`]; returns how many entries were done, which is all of them.
pub fn page_map(entries: &[MapEntry]) -> Result<u64, Error> {
    run_batch(Call::PageMap, entries).result()
}

/// [`Call::PageMap`] in an environment that was made: under its capabilities.
pub fn page_map_in(target: Target, entries: &[MapEntry]) -> Result<u64, Error> {
    run_batch_in(Call::PageMap, target, entries).result()
}

/// [`Call::PageProtect`].
pub fn page_protect(entries: &[MapEntry]) -> Result<u64, Error> {
    run_batch(Call::PageProtect, entries).result()
}

/// [`Call::PageProtect`] in an environment that was made.
pub fn page_protect_in(target: Target, entries: &[MapEntry]) -> Result<u64, Error> {
    run_batch_in(Call::PageProtect, target, entries).result()
}

/// [`Call::PageUnmap`] in an environment that was made.
pub fn page_unmap_in(target: Target, entries: &[MapEntry]) -> Result<u64, Error> {
    run_batch_in(Call::PageUnmap, target, entries).result()
}

/// [`Call::PageUnmap`].
pub fn page_unmap(entries: &[MapEntry]) -> Result<u64, Error> {
    run_batch(Call::PageUnmap, entries).result()
}

/// Writes a batch to the call page and runs it. Entries beyond [`MAP_BATCH`] are counted but have no room to be written.
pub fn run_batch(call: Call, entries: &[MapEntry]) -> Answer {
    run_batch_in(call, Target::SELF, entries)
}

/// The same in an environment that was made.
pub fn run_batch_in(call: Call, target: Target, entries: &[MapEntry]) -> Answer {
    for (index, entry) in entries.iter().take(MAP_BATCH).enumerate() {
        let offset = offset_of!(CallPage, batch) + index * size_of::<MapEntry>();
        shared::write_call_word(offset + offset_of!(MapEntry, address), entry.address);
        shared::write_call_word(offset + offset_of!(MapEntry, frame), entry.frame);
        shared::write_call_half_word(offset + offset_of!(MapEntry, pages), entry.pages);
        shared::write_call_half_word(offset + offset_of!(MapEntry, rights), entry.rights);
        shared::write_call_word(offset + offset_of!(MapEntry, capability), entry.capability);
    }
    let (capability, number) = (target.capability.0, u64::from(target.id.0));
    enter(call as u64, [entries.len() as u64, capability, number, 0])
}

/// [`Call::DmaMap`]; returns the DMA capability, whose end by [`capability_free`] ends the mapping.
pub fn dma_map(
    capability: Capability,
    first: u64,
    count: u64,
    rights: Rights,
) -> Result<Capability, Error> {
    call(
        Call::DmaMap,
        [capability.0, first, count, u64::from(rights.0)],
    )
    .map(Capability)
}

/// [`Call::FunctionBind`].
pub fn function_bind(capability: Capability) -> Result<(), Error> {
    call(Call::FunctionBind, [capability.0, 0, 0, 0]).map(drop)
}

/// [`Call::EventUpcallSet`].
pub fn event_upcall_set(entry: u64, stack: u64) -> Result<(), Error> {
    call(Call::EventUpcallSet, [entry, stack, 0, 0]).map(drop)
}

/// [`Call::ExtentBind`].
pub fn extent_bind(extent: Capability, function: Capability) -> Result<(), Error> {
    call(Call::ExtentBind, [extent.0, function.0, 0, 0]).map(drop)
}

/// [`Call::VectorBind`]; returns the event index.
pub fn vector_bind(capability: Capability, index: u32) -> Result<u64, Error> {
    call(Call::VectorBind, [capability.0, u64::from(index), 0, 0])
}

/// [`Call::CapabilityDerive`]; the new capability is of the same kind.
pub fn capability_derive(
    capability: Capability,
    first: u64,
    count: u64,
    rights: Rights,
) -> Result<Capability, Error> {
    derive(capability, first, count, rights, 0)
}

/// [`Call::CapabilityDerive`] of another kind: queues of a function.
pub fn capability_derive_kind(
    capability: Capability,
    first: u64,
    count: u64,
    rights: Rights,
    kind: Kind,
) -> Result<Capability, Error> {
    derive(capability, first, count, rights, kind as u64)
}

fn derive(
    capability: Capability,
    first: u64,
    count: u64,
    rights: Rights,
    kind: u64,
) -> Result<Capability, Error> {
    let arguments = [capability.0, first, count, u64::from(rights.0), kind];
    enter_with_five(Call::CapabilityDerive as u64, arguments)
        .result()
        .map(Capability)
}

/// [`Call::CapabilityGive`]; returns the word by which the new holder names it.
pub fn capability_give(
    capability: Capability,
    environment: EnvironmentId,
) -> Result<Capability, Error> {
    let arguments = [capability.0, u64::from(environment.0), 0, 0];
    call(Call::CapabilityGive, arguments).map(Capability)
}

/// [`Call::CapabilityAccept`]: an environment's number, [`exo_abi::call::ANY_ENVIRONMENT`], or 0.
pub fn capability_accept(environment: u64) -> Result<(), Error> {
    call(Call::CapabilityAccept, [environment, 0, 0, 0]).map(drop)
}

/// [`Call::CapabilityRevoke`], until nothing is left.
pub fn capability_revoke(capability: Capability) -> Result<(), Error> {
    while call(Call::CapabilityRevoke, [capability.0, 0, 0, 0])? != 0 {}
    Ok(())
}

/// [`Call::SliceAllocate`]: `count` slots of a vCPU from `position` on, or [`exo_abi::slice::ANY_POSITION`].
pub fn slice_allocate(vcpu: u32, position: u64, count: u64) -> Result<Capability, Error> {
    call(Call::SliceAllocate, [u64::from(vcpu), position, count, 0]).map(Capability)
}

/// [`Call::SliceBind`].
pub fn slice_bind(capability: Capability) -> Result<(), Error> {
    call(Call::SliceBind, [capability.0, 0, 0, 0]).map(drop)
}

/// [`Call::SliceUpcallSet`]: entries at the end and at the beginning of a slice, or 0, and the stack of both.
pub fn slice_upcall_set(end: u64, begin: u64, stack: u64) -> Result<(), Error> {
    call(Call::SliceUpcallSet, [end, begin, stack, 0]).map(drop)
}

/// [`Call::EnvironmentCreate`].
pub fn environment_create(target: Target, vcpu: u32, quotas: Quotas) -> Result<(), Error> {
    let arguments = [
        target.capability.0,
        u64::from(target.id.0),
        u64::from(vcpu),
        u64::from(quotas.frames),
        u64::from(quotas.tables) << 32 | u64::from(quotas.capabilities),
    ];
    enter_with_five(Call::EnvironmentCreate as u64, arguments)
        .result()
        .map(drop)
}

/// [`Call::EnvironmentStart`]; it finds the argument in `rax`.
pub fn environment_start(
    target: Target,
    entry: u64,
    stack: u64,
    argument: u64,
) -> Result<(), Error> {
    let (capability, number) = (target.capability.0, u64::from(target.id.0));
    let arguments = [capability, number, entry, stack, argument];
    enter_with_five(Call::EnvironmentStart as u64, arguments)
        .result()
        .map(drop)
}

/// [`Call::EnvironmentEnd`].
pub fn environment_end(target: Target, status: u64) -> Result<(), Error> {
    let (capability, number) = (target.capability.0, u64::from(target.id.0));
    call(Call::EnvironmentEnd, [capability, number, status, 0]).map(drop)
}

/// [`Call::CapabilityCopy`]; returns the word by which the other environment names it.
pub fn capability_copy(
    capability: Capability,
    environment: EnvironmentId,
) -> Result<Capability, Error> {
    let arguments = [capability.0, u64::from(environment.0), 0, 0];
    call(Call::CapabilityCopy, arguments).map(Capability)
}

/// [`Call::TimerSet`].
pub fn timer_set(moment: u64) -> Result<(), Error> {
    call(Call::TimerSet, [moment, 0, 0, 0]).map(drop)
}
