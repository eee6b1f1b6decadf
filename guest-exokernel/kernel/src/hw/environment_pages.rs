//! The two pages of each environment: the kernel's side of them.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};

use exo_abi::address::{KERNEL_BASE, PAGE_SIZE};
use exo_abi::environment::{
    CallPage, EVENTS_MAX, EXCEPTION_STACK_TOP, EnvironmentPage, SAVED_REGISTERS, SLICE_STACK_TOP,
    UPCALL_CREDIT, UPCALL_SLOTS,
};
use exo_abi::map::{MAP_BATCH, MapEntry};
use exo_abi::revocation::{REPOSSESSIONS, Repossession, RevocationKind, RevocationRequest};
use exo_abi::term::Term;
use exo_abi::upcall::{UPCALL_ENTRY_STRIDE, Vector};

use super::assembly::{GATE_FRAME, USER_CODE, USER_DATA, USER_FLAGS};

/// Offset of what an entry into the kernel pushes: RIP, CS, RFLAGS, RSP, SS.
pub(super) const FRAME: usize = (EXCEPTION_STACK_TOP - GATE_FRAME) as usize;

/// Terms that the batch of the call page has room for.
const BATCH_TERMS: usize = MAP_BATCH * size_of::<MapEntry>() / size_of::<Term>();

/// Environment page and call page of one environment, by their physical address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EnvironmentPages {
    physical: u64,
}

/// What an environment finds in its page when it starts.
pub struct Start<'a> {
    /// Own number.
    pub id: u64,
    /// First frame and frames of the memory grant.
    pub grant: (u64, u64),
    /// Address and number of the arguments.
    pub arguments: (u64, u64),
    /// Initial capabilities.
    pub capabilities: &'a [u64],
    /// Top of the kernel stack of its vCPU.
    pub kernel_stack: u64,
}

impl EnvironmentPages {
    /// None yet.
    pub const NONE: Self = Self { physical: 0 };

    /// The pair at `physical`.
    pub fn new(physical: u64) -> Self {
        Self { physical }
    }

    /// Physical address of the environment page.
    pub fn physical(self) -> u64 {
        self.physical
    }

    /// Where the CPU pushes while this environment runs, when the timer ends its slice.
    pub fn slice_stack(self) -> u64 {
        KERNEL_BASE + self.physical + SLICE_STACK_TOP
    }

    /// Address of what a forced switch saves.
    pub fn saved_state(self) -> u64 {
        KERNEL_BASE + self.physical + offset_of!(EnvironmentPage, saved_floating_point) as u64
    }

    /// Saves the registers that the stub of the timer has left on the slice stack, and the frame above them.
    pub fn save_slice_frame(self) {
        self.copy(
            offset_of!(EnvironmentPage, slice_frame),
            offset_of!(EnvironmentPage, saved_registers),
            SAVED_REGISTERS + 5,
        );
    }

    /// Saves what stands where gates push: it may be the frame of an exception that the libOS has not read yet.
    pub fn save_gate_frame(self) {
        self.copy(FRAME, offset_of!(EnvironmentPage, saved_gate_frame), 5);
    }

    /// Puts it back.
    pub fn load_gate_frame(self) {
        self.copy(offset_of!(EnvironmentPage, saved_gate_frame), FRAME, 5);
    }

    fn copy(self, from: usize, to: usize, words: usize) {
        for offset in (0..8 * words).step_by(8) {
            self.set(to + offset, self.get(from + offset));
        }
    }

    /// Saves the bases of FS and GS.
    pub fn save_bases(self, [fs, gs]: [u64; 2]) {
        self.set(offset_of!(EnvironmentPage, saved_bases), fs);
        self.set(offset_of!(EnvironmentPage, saved_bases) + 8, gs);
    }

    /// What was saved of them.
    pub fn saved_bases(self) -> [u64; 2] {
        [
            self.get(offset_of!(EnvironmentPage, saved_bases)),
            self.get(offset_of!(EnvironmentPage, saved_bases) + 8),
        ]
    }

    /// Sets where slice upcalls go, and how many ticks the libOS has at the end. Entries are 0 for none, else they and the stack are
    /// canonical.
    pub fn set_slice_upcalls(self, end: u64, begin: u64, stack: u64, grace: u64) {
        self.set(offset_of!(EnvironmentPage, slice_end_entry), end);
        self.set(offset_of!(EnvironmentPage, slice_begin_entry), begin);
        self.set(offset_of!(EnvironmentPage, slice_stack), stack);
        self.set(
            offset_of!(EnvironmentPage, slice_grace),
            if end == 0 { 0 } else { grace },
        );
    }

    /// Where the libOS wants to go on at the beginning of a slice, entry and stack, if it can be told: this takes its credit. It finds
    /// where it would have gone on in the slice frame.
    pub fn begin_slice(self) -> Option<(u64, u64)> {
        let entry = self.get(offset_of!(EnvironmentPage, slice_begin_entry));
        if entry == 0 || !self.take_slice_credit() {
            return None;
        }
        self.write_slice_frame(FRAME);
        Some((entry, self.get(offset_of!(EnvironmentPage, slice_stack))))
    }

    /// Shows the libOS what the end of its slice has interrupted.
    pub fn tell_slice_frame(self) {
        self.write_slice_frame(SLICE_STACK_TOP as usize - GATE_FRAME as usize);
    }

    /// What the end of its slice has interrupted.
    pub fn interrupted_instruction(self) -> u64 {
        self.get(SLICE_STACK_TOP as usize - GATE_FRAME as usize)
    }

    /// What rax was then.
    pub fn interrupted_status(self) -> u64 {
        self.get(offset_of!(EnvironmentPage, slice_frame) + 8 * (SAVED_REGISTERS - 1))
    }

    /// RIP, RFLAGS and RSP of the five words at `from`.
    fn write_slice_frame(self, from: usize) {
        let to = offset_of!(EnvironmentPage, slice_upcall_frame);
        self.copy(from, to, 1);
        self.copy(from + 16, to + 8, 2);
    }

    /// Whether the libOS wants to be told when a slice of it begins.
    pub fn wants_slice_begin(self) -> bool {
        self.get(offset_of!(EnvironmentPage, slice_begin_entry)) != 0
    }

    /// Whether the libOS wants to be told when its slice ends.
    pub fn wants_slice_end(self) -> bool {
        self.get(offset_of!(EnvironmentPage, slice_grace)) != 0
    }

    /// What RSP0 is while this environment runs.
    pub fn exception_stack(self) -> u64 {
        KERNEL_BASE + self.physical + EXCEPTION_STACK_TOP
    }

    fn word(self, offset: usize) -> &'static AtomicU64 {
        debug_assert!(offset < 2 * PAGE_SIZE as usize);
        // SAFETY: 1. the pair is kernel memory of two pages, and offsets are those of u64 fields in the two structures;
        // 2. ring 3 may write the second page at any time, so every access is atomic.
        unsafe { AtomicU64::from_ptr((KERNEL_BASE + self.physical + offset as u64) as *mut u64) }
    }

    pub(super) fn set(self, offset: usize, value: u64) {
        self.word(offset).store(value, Ordering::Relaxed);
    }

    pub(super) fn get(self, offset: usize) -> u64 {
        self.word(offset).load(Ordering::Relaxed)
    }

    /// Writes what the environment finds when it starts.
    pub fn write_start(self, start: &Start) {
        self.set(offset_of!(EnvironmentPage, id), start.id);
        self.set(offset_of!(EnvironmentPage, grant_first), start.grant.0);
        self.set(offset_of!(EnvironmentPage, grant_frames), start.grant.1);
        self.set(offset_of!(EnvironmentPage, arguments), start.arguments.0);
        self.set(
            offset_of!(EnvironmentPage, argument_count),
            start.arguments.1,
        );
        self.set(
            offset_of!(EnvironmentPage, capability_count),
            start.capabilities.len() as u64,
        );
        for (number, &capability) in start.capabilities.iter().enumerate() {
            self.set(
                offset_of!(EnvironmentPage, capabilities) + 8 * number,
                capability,
            );
        }
        self.set(
            offset_of!(EnvironmentPage, upcall_code_segment),
            u64::from(USER_CODE),
        );
        self.set(offset_of!(EnvironmentPage, upcall_flags), USER_FLAGS);
        self.set(
            offset_of!(EnvironmentPage, upcall_stack_segment),
            u64::from(USER_DATA),
        );
        self.set(
            offset_of!(EnvironmentPage, slice_code_segment),
            u64::from(USER_CODE),
        );
        self.set(offset_of!(EnvironmentPage, slice_flags), USER_FLAGS);
        self.set(
            offset_of!(EnvironmentPage, slice_stack_segment),
            u64::from(USER_DATA),
        );
        self.set(
            offset_of!(EnvironmentPage, kernel_stack),
            start.kernel_stack,
        );
    }

    /// Sets where upcalls go. Both addresses are canonical: an upcall cannot fault in the kernel.
    pub fn set_upcall(self, entry: u64, stack: u64) {
        for vector in Vector::ALL {
            let slot = *vector as u64;
            self.set(
                offset_of!(EnvironmentPage, upcall_entries) + 8 * slot as usize,
                entry + UPCALL_ENTRY_STRIDE * slot,
            );
        }
        self.set(offset_of!(EnvironmentPage, upcall_stack), stack);
    }

    /// Takes over where upcalls go, those of exceptions, events and slices. No credit is given for them.
    pub fn copy_upcalls(self, maker: Self) {
        const SLICES: usize = offset_of!(EnvironmentPage, slice_end_entry);
        const _: () = assert!(
            offset_of!(EnvironmentPage, slice_begin_entry) == SLICES + 48
                && offset_of!(EnvironmentPage, event_stack)
                    == offset_of!(EnvironmentPage, event_entry) + 8
        );
        let take = |offset: usize, words: usize| {
            for offset in (offset..offset + 8 * words).step_by(8) {
                self.set(offset, maker.get(offset));
            }
        };
        take(offset_of!(EnvironmentPage, upcall_stack), 1);
        take(offset_of!(EnvironmentPage, upcall_entries), UPCALL_SLOTS);
        take(offset_of!(EnvironmentPage, event_entry), 2);
        take(SLICES, 7);
        for credit in [
            offset_of!(CallPage, upcall_credit),
            offset_of!(CallPage, slice_credit),
            offset_of!(CallPage, event_credit),
        ] {
            self.set(PAGE_SIZE as usize + credit, 0);
        }
    }

    /// Sets where event upcalls go. Both addresses are canonical: `iretq` cannot fault.
    pub fn set_event_upcall(self, entry: u64, stack: u64) {
        self.set(offset_of!(EnvironmentPage, event_entry), entry);
        self.set(offset_of!(EnvironmentPage, event_stack), stack);
    }

    /// Entry, 0: none, and stack of event upcalls.
    pub fn event_upcall(self) -> (u64, u64) {
        (
            self.get(offset_of!(EnvironmentPage, event_entry)),
            self.get(offset_of!(EnvironmentPage, event_stack)),
        )
    }

    /// Writes what an event upcall interrupted.
    pub fn write_event_frame(self, words: [u64; 5]) {
        for (number, word) in words.into_iter().enumerate() {
            self.set(offset_of!(EnvironmentPage, event_frame) + 8 * number, word);
        }
    }

    /// Takes the credit for an event upcall; whether it was there.
    pub fn take_event_credit(self) -> bool {
        self.take_credit(offset_of!(CallPage, event_credit))
    }

    /// The upcall entry of `vector`; 0: none.
    pub fn upcall(self, vector: u64) -> u64 {
        let slot = (vector as usize).min(UPCALL_SLOTS - 1);
        self.get(offset_of!(EnvironmentPage, upcall_entries) + 8 * slot)
    }

    /// Where this environment goes on: RIP and RSP, as its entry into the kernel left them.
    pub fn resume_point(self) -> (u64, u64) {
        (self.get(FRAME), self.get(FRAME + 24))
    }

    /// Whether the libOS was told of the end of a slice, and has not gone on since.
    pub fn owes_slice_credit(self) -> bool {
        let credit = self.get(PAGE_SIZE as usize + offset_of!(CallPage, slice_credit));
        self.wants_slice_end() && credit as u32 & UPCALL_CREDIT == 0
    }

    /// Takes the credit of slice upcalls.
    pub fn take_slice_credit(self) -> bool {
        self.take_credit(offset_of!(CallPage, slice_credit))
    }

    fn take_credit(self, offset: usize) -> bool {
        let credit = self.word(PAGE_SIZE as usize + offset);
        let before = credit.load(Ordering::Relaxed);
        // The low half is the credit word; bit 31 is cleared and the count below it raised.
        let after =
            before & !0xffff_ffff | u64::from((before as u32).wrapping_add(UPCALL_CREDIT | 1));
        let taken = before as u32 & UPCALL_CREDIT != 0;
        if taken {
            credit.store(after, Ordering::Relaxed);
        }
        taken
    }

    /// Says where it goes on before it has ever entered the kernel.
    pub fn set_resume_point(self, instruction: u64, stack: u64) {
        self.set(FRAME, instruction);
        self.set(FRAME + 24, stack);
    }

    /// A word that the CPU pushed, at kernel address `address`; 0 if that is not in the environment page.
    pub fn pushed_word(self, address: u64) -> u64 {
        match address.checked_sub(KERNEL_BASE + self.physical) {
            Some(offset) if offset <= PAGE_SIZE - 8 => self.get(offset as usize & !7),
            _ => 0,
        }
    }

    /// Entry `number` of the batch, read once.
    pub fn batch_entry(self, number: usize) -> MapEntry {
        let base = PAGE_SIZE as usize
            + offset_of!(CallPage, batch)
            + size_of::<MapEntry>() * number.min(MAP_BATCH - 1);
        let both = self.get(base + offset_of!(MapEntry, pages));
        MapEntry {
            address: self.get(base + offset_of!(MapEntry, address)),
            frame: self.get(base + offset_of!(MapEntry, frame)),
            pages: both as u32,
            rights: (both >> 32) as u32,
            capability: self.get(base + offset_of!(MapEntry, capability)),
        }
    }

    /// Term `number` of a program in the batch, read once.
    pub fn batch_term(self, number: usize) -> Term {
        let base = PAGE_SIZE as usize
            + offset_of!(CallPage, batch)
            + size_of::<Term>() * number.min(BATCH_TERMS - 1);
        // The first word is comparison, source, width, flags, a byte each, and the offset.
        let first = self.get(base);
        let [comparison, source, width, flags, ..] = first.to_le_bytes();
        Term {
            comparison,
            source,
            width,
            flags,
            offset: (first >> 32) as u32,
            capability: self.get(base + offset_of!(Term, capability)),
            frame: self.get(base + offset_of!(Term, frame)),
            mask: self.get(base + offset_of!(Term, mask)),
            value: self.get(base + offset_of!(Term, value)),
        }
    }

    /// The word at `offset` of the call page, a multiple of 8.
    pub fn call_word(self, offset: u64) -> u64 {
        self.get(PAGE_SIZE as usize + (offset % PAGE_SIZE) as usize)
    }

    /// Raises an event counter, then the count of all events.
    pub fn raise_event(self, index: usize) {
        let counter = PAGE_SIZE as usize
            + offset_of!(CallPage, event_counters)
            + 8 * index.min(EVENTS_MAX - 1);
        self.set(counter, self.get(counter).wrapping_add(1));
        self.raise_events();
    }

    /// Raises the count of all events, for what has no counter of its own.
    pub fn raise_events(self) {
        let all = PAGE_SIZE as usize + offset_of!(CallPage, events);
        self.set(all, self.get(all).wrapping_add(1));
    }

    /// Asks something back. The number is written last: who sees it, sees the rest.
    pub fn write_revocation(
        self,
        serial: u64,
        kind: RevocationKind,
        count: u64,
        goal: u64,
        deadline: u64,
    ) {
        const REQUEST: usize = offset_of!(EnvironmentPage, revocation);
        self.set(REQUEST + offset_of!(RevocationRequest, kind), kind as u64);
        self.set(REQUEST + offset_of!(RevocationRequest, count), count);
        self.set(REQUEST + offset_of!(RevocationRequest, goal), goal);
        self.set(REQUEST + offset_of!(RevocationRequest, deadline), deadline);
        self.word(REQUEST + offset_of!(RevocationRequest, serial))
            .store(serial, Ordering::Release);
    }

    /// Says that a request is over.
    pub fn write_answered(self, serial: u64) {
        const ANSWERED: usize =
            offset_of!(EnvironmentPage, revocation) + offset_of!(RevocationRequest, answered);
        self.word(ANSWERED).store(serial, Ordering::Release);
    }

    /// Adds to the repossession vector.
    pub fn add_repossession(self, taken: &Repossession) {
        const COUNT: usize =
            offset_of!(EnvironmentPage, revocation) + offset_of!(RevocationRequest, repossessed);
        let count = self.get(COUNT);
        let place = offset_of!(EnvironmentPage, repossessions)
            + count as usize % REPOSSESSIONS * size_of::<Repossession>();
        self.set(
            place + offset_of!(Repossession, capability),
            taken.capability,
        );
        self.set(place + offset_of!(Repossession, first), taken.first);
        self.set(place + offset_of!(Repossession, count), taken.count);
        self.set(place + offset_of!(Repossession, request), taken.request);
        self.word(COUNT)
            .store(count.wrapping_add(1), Ordering::Release);
    }

    /// The count of all events, as the call page says.
    pub fn events(self) -> u64 {
        self.get(PAGE_SIZE as usize + offset_of!(CallPage, events))
    }
}
