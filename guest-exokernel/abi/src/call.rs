//! The kernel's calls: one number each, named alike from here to the tests.
//!
//! Registers: number in `rax`; arguments in `rdi rsi rdx r10 r8 r9`; status in `rax` (0 is done, else [`crate::Error`]),
//! value in `rdx`. `rcx rdx rsi rdi r8..r11` are lost; the rest, and all SSE state, is preserved by calls that do not
//! switch the environment. [`Call::EnvironmentYield`] and [`Call::EnvironmentWait`] may switch: of the registers they
//! preserve only `rip` and `rsp`, and the libOS saves what it wants to keep.

/// Numbers start here, so that a Linux system call number, which is small, is never taken for one of ours.
pub const CALL_BASE: u32 = 0x4578_0000;

abi_enum! {
    /// A kernel call.
    pub enum Call: u32 {
        /// Does nothing: the cost of the gate itself.
        Null = CALL_BASE => "null",
        /// `(status)`: ends the calling environment; everything that it holds is freed.
        EnvironmentExit = CALL_BASE + 1 => "environment_exit",
        /// `(0 or environment)`: lets the next environment of this vCPU have its turn, or a named one the rest of the slice.
        EnvironmentYield = CALL_BASE + 2 => "environment_yield",
        /// `(seen, willing)`: sleeps until the caller's event counter differs from `seen`; where `willing` is 1, until a transfer too.
        EnvironmentWait = CALL_BASE + 3 => "environment_wait",
        /// `(entry, stack)`: where exception upcalls go: vector v to `entry + 16 v`, on `stack`.
        UpcallSet = CALL_BASE + 4 => "upcall_set",
        /// `(first or ANY_FRAME, count, order, colour)` -> capability: `count` contiguous frames, 4 KiB (order 0) or 2 MiB (order 9);
        /// of any, the first of this colour, if it is not 0: `colours << 32 | colour`.
        FrameAllocate = CALL_BASE + 5 => "frame_allocate",
        /// `(capability)`: gives the resource back and makes the capability stale.
        CapabilityFree = CALL_BASE + 6 => "capability_free",
        /// `(entries, capability or 0, number)` -> entries done: maps the runs that the call page lists, in the caller or, by a capability
        /// of kind `environment`, in another.
        PageMap = CALL_BASE + 7 => "page_map",
        /// `(entries, capability or 0, number)` -> entries done: changes the rights of mapped runs.
        PageProtect = CALL_BASE + 8 => "page_protect",
        /// `(entries, capability or 0, number)` -> entries done: unmaps runs.
        PageUnmap = CALL_BASE + 9 => "page_unmap",
        /// `(capability, first, count, rights)` -> DMA capability: lets the caller's bound functions reach these frames, at
        /// IOVA = physical address. Freeing the DMA capability ends that, and returns when no request is in flight to them.
        DmaMap = CALL_BASE + 10 => "dma_map",
        /// `(capability)`: attaches the function, or the queue, to the caller's DMA domain and lets it master the bus.
        FunctionBind = CALL_BASE + 11 => "function_bind",
        /// `(capability, index)` -> event index: routes MSI-X vector `index` of a bound function to the caller's event counters.
        VectorBind = CALL_BASE + 12 => "vector_bind",
        /// `(capability, first, count, rights, kind)` -> capability: a part of what a capability names, with some of its rights.
        CapabilityDerive = CALL_BASE + 13 => "capability_derive",
        /// `(capability, environment)` -> capability, as its new holder names it: gives a derived capability away.
        CapabilityGive = CALL_BASE + 14 => "capability_give",
        /// `(environment, ANY_ENVIRONMENT or 0)`: from whom the caller accepts capabilities.
        CapabilityAccept = CALL_BASE + 15 => "capability_accept",
        /// `(capability)` -> 1 while more is left, else 0: takes back what was derived from it, whoever holds it.
        CapabilityRevoke = CALL_BASE + 16 => "capability_revoke",
        /// `(extent capability, function capability)`: the function shows this extent of its disk, from sector 0 on.
        ExtentBind = CALL_BASE + 17 => "extent_bind",
        /// `(terms)` -> terms accepted: the call page's terms become the caller's wakeup predicate.
        PredicateBind = CALL_BASE + 18 => "predicate_bind",
        /// `()` -> 1 where it holds at once: sleeps until the caller's predicate holds.
        EnvironmentSleep = CALL_BASE + 19 => "environment_sleep",
        /// `(environment)` -> 1 if it woke: looks whether the predicate holds that an environment sleeps on.
        EnvironmentWake = CALL_BASE + 20 => "environment_wake",
        /// `()`: the code of the interface page says that vector registers are stored or loaded, as a forced switch asked it to.
        VectorsMoved = CALL_BASE + 21 => "vectors_moved",
        /// `(entry, stack)` -> capability: where transfers enter the caller, whenever it waits for one; to be derived and given.
        TransferAccept = CALL_BASE + 22 => "transfer_accept",
        /// `(capability)`: enters an environment with the caller's registers, and waits for its reply.
        Transfer = CALL_BASE + 23 => "transfer",
        /// `(seen)`: goes back with the caller's registers to whoever waits for a reply, and waits for the next transfer.
        TransferReply = CALL_BASE + 24 => "transfer_reply",
        /// `(capability)`: enters an environment with the caller's registers; the caller goes on at its next turn.
        TransferAsynchronous = CALL_BASE + 25 => "transfer_asynchronous",
        /// `(entry, stack)`: where upcalls go that tell events while the caller runs.
        EventUpcallSet = CALL_BASE + 26 => "event_upcall_set",
        /// `(vCPU, position or ANY_POSITION, count)` -> capability: slots of the vector of time slices of the caller's vCPU.
        SliceAllocate = CALL_BASE + 27 => "slice_allocate",
        /// `(capability)`: slots that were given to the caller run it from now on.
        SliceBind = CALL_BASE + 28 => "slice_bind",
        /// `(end, begin, stack)`: where slice upcalls go; 0: the caller wants none.
        SliceUpcallSet = CALL_BASE + 29 => "slice_upcall_set",
        /// `(capability, number, vCPU, frames, tables << 32 | capabilities)`: makes the environment with this number, and such quotas.
        EnvironmentCreate = CALL_BASE + 30 => "environment_create",
        /// `(capability, number, entry, stack, argument)`: lets an environment run that was made.
        EnvironmentStart = CALL_BASE + 31 => "environment_start",
        /// `(capability, number, status)`: ends an environment that was made.
        EnvironmentEnd = CALL_BASE + 32 => "environment_end",
        /// `(capability, environment)` -> capability, as its holder names it: another one for the same, derived from the same.
        CapabilityCopy = CALL_BASE + 33 => "capability_copy",
        /// `(time stamp or 0)`: an event comes to the caller at that moment.
        TimerSet = CALL_BASE + 34 => "timer_set",
    }
}

/// How many calls there are; their numbers have no gap.
pub const CALL_COUNT: usize = Call::ALL.len();

/// `frame_allocate` asks for frames by no particular name.
pub const ANY_FRAME: u64 = u64::MAX;

/// `capability_accept` accepts from whomever.
pub const ANY_ENVIRONMENT: u64 = u64::MAX;

impl Call {
    /// Position in tables with one slot per call.
    pub const fn index(self) -> usize {
        (self as u32 - CALL_BASE) as usize
    }
}

const _: () = assert!(
    Call::ALL[CALL_COUNT - 1].index() == CALL_COUNT - 1,
    "call numbers have a gap"
);
