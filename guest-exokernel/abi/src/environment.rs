//! Environments: the unit that owns, runs and is protected; its exported record and its two pages.

use crate::call::CALL_COUNT;
use crate::capability::KIND_NUMBERS;
use crate::map::{MAP_BATCH, MapEntry};
use crate::revocation::{REPOSSESSIONS, Repossession, RevocationRequest};

/// Number of an environment, as owner fields carry it. 0 is nobody; the first of the image is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
#[repr(transparent)]
pub struct EnvironmentId(pub u16);

impl EnvironmentId {
    /// Owner of what is free.
    pub const NOBODY: Self = Self(0);
    /// Owner of what the kernel keeps for itself.
    pub const KERNEL: Self = Self(u16::MAX);
}

/// Most environments that one image may have.
pub const ENVIRONMENTS_MAX: usize = 1024;
/// Most bytes of an environment's name, without a terminating zero.
pub const NAME_MAX: usize = 32;

/// Page-table frames that the number of an environment that was made keeps for the next one: those that lead to its own pages.
pub const KEPT_TABLES: u32 = 5;

/// Value of [`EnvironmentEntry::accepts`] for everybody.
pub const ACCEPTS_ANY: u32 = u32::MAX;

abi_enum! {
    /// What an environment is doing.
    pub enum State: u32 {
        /// The record is unused.
        Absent = 0 => "absent",
        /// Ready to run, or running.
        Runnable = 1 => "runnable",
        /// Sleeps until an event.
        Waiting = 2 => "waiting",
        /// Ended by itself, with a status.
        Exited = 3 => "exited",
        /// Ended by the kernel, with a reason.
        Aborted = 4 => "aborted",
        /// Waits for the reply to a protected control transfer.
        AwaitingReply = 5 => "awaiting-reply",
        /// Made by another environment, and not started yet.
        Prepared = 6 => "prepared",
    }
}

impl State {
    /// Whether an environment in this state is there, and has not ended.
    #[inline(always)]
    pub const fn is_alive(self) -> bool {
        !matches!(self, Self::Absent | Self::Exited | Self::Aborted)
    }
}

abi_enum! {
    /// Why the kernel ended an environment.
    pub enum AbortReason: u32 {
        /// It was not.
        None = 0 => "none",
        /// An exception, and no upcall entry had been set.
        NoUpcall = 1 => "no-upcall-entry",
        /// An exception before the libOS had taken the frame of the last one.
        NestedFault = 2 => "fault-in-upcall",
        /// It was made out of the quotas of one that has ended, or has freed the capability for its number.
        OwnerEnded = 3 => "owner-ended",
    }
}

/// One entry of the exported environment table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct EnvironmentEntry {
    /// Name from the manifest, padded with zeros.
    pub name: [u8; NAME_MAX],
    /// A [`State`].
    pub state: u32,
    /// An [`AbortReason`].
    pub abort_reason: u32,
    /// Status of an exited environment.
    pub exit_status: u64,
    /// Vector of the exception that ended an aborted environment.
    pub abort_vector: u64,
    /// Error code that came with it, or 0.
    pub abort_error_code: u64,
    /// Where it happened.
    pub abort_instruction: u64,
    /// Faulting address, for a page fault.
    pub abort_address: u64,
    /// vCPU that runs it.
    pub vcpu: u32,
    /// Frames held now, block frames included.
    pub frames: u32,
    /// Most frames it may hold.
    pub frames_quota: u32,
    /// Page-table frames in use now.
    pub tables: u32,
    /// Most page-table frames.
    pub tables_quota: u32,
    /// Capabilities held now.
    pub capabilities: u32,
    /// Most capabilities.
    pub capabilities_quota: u32,
    /// DMA capabilities held now.
    pub dma_mappings: u32,
    /// Most DMA capabilities.
    pub dma_mappings_quota: u32,
    /// Slot, plus one, of its newest capability, from which `CapabilityEntry::next` leads to the others; zero: it has none.
    pub first_capability: u32,
    /// From whom it accepts capabilities: a number, 0 nobody, [`ACCEPTS_ANY`] everybody.
    pub accepts: u32,
    /// Frames of those that it started with; they are never taken by force.
    pub frames_guaranteed: u32,
    /// Most slots of the slice vector of its vCPU.
    pub slices_quota: u32,
    /// Number of the environment out of whose quotas this one was made; 0: it is of the image.
    pub owner: u32,
    /// Slots that it has bound; one that it has bound by two capabilities counts twice.
    pub slices: u32,
    /// Zero.
    pub reserved: u32,
    /// Kernel entries by call, in the order of [`crate::Call::ALL`]. `null` is not counted: its path is the bare gate.
    pub calls: [u64; CALL_COUNT],
    /// Device interrupts taken for it.
    pub interrupts: u64,
    /// Ticks of the time stamp counter for which it has run, up to the last switch.
    pub ticks: u64,
    /// Turns that it has had, up to the last switch.
    pub turns: u64,
    /// Turns that the kernel ended by a forced switch.
    pub forced_switches: u64,
    /// Slices that it ended too late, although it had asked for an upcall; each costs it a turn.
    pub penalties: u64,
    /// Capabilities held now, by number of their [`crate::Kind`].
    pub held: [u32; KIND_NUMBERS],
}

const _: () =
    assert!(size_of::<EnvironmentEntry>() == 144 + 8 * CALL_COUNT + 40 + 4 * KIND_NUMBERS);

/// Most capabilities that an environment starts with.
pub const INITIAL_CAPABILITIES_MAX: usize = 64;
/// Offset in the environment page of the top of the exception stack: the CPU pushes downwards from here.
pub const EXCEPTION_STACK_TOP: u64 = 0xe00;
/// Offset in the environment page of the top of the slice stack: where the CPU pushes when the timer ends a slice.
pub const SLICE_STACK_TOP: u64 = 0x760;
/// General registers that a forced switch saves.
pub const SAVED_REGISTERS: usize = 15;
/// Vectors that can have an upcall slot: 0..31 the exceptions, [`crate::upcall::VECTOR_SYSCALL`] the reflected `syscall`.
pub const UPCALL_SLOTS: usize = 33;

/// The environment page: written by the kernel, read by the libOS.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct EnvironmentPage {
    /// Own number.
    pub id: u64,
    /// How many of `capabilities` are there.
    pub capability_count: u64,
    /// First frame of the memory grant; its first byte is at `FRAME_WINDOW + first * 4096`.
    pub grant_first: u64,
    /// Frames of the memory grant.
    pub grant_frames: u64,
    /// Where the arguments lie: a run of zero-terminated strings.
    pub arguments: u64,
    /// How many there are.
    pub argument_count: u64,
    /// Initial capabilities: memory grant, image, then ports, then functions, in the order of the manifest.
    pub capabilities: [u64; INITIAL_CAPABILITIES_MAX],
    /// What the kernel asks back.
    pub revocation: RevocationRequest,
    /// The repossession vector: what it has taken by force last.
    pub repossessions: [Repossession; REPOSSESSIONS],
    /// Unused, zero.
    pub reserved: [u64; 2],
    /// What the last forced switch saved: x87 and SSE, as `fxsave64` writes it.
    pub saved_floating_point: [u64; 64],
    /// r15 r14 r13 r12 r11 r10 r9 r8 rbp rdi rsi rbx rdx rcx rax.
    pub saved_registers: [u64; SAVED_REGISTERS],
    /// RIP CS RFLAGS RSP SS.
    pub saved_frame: [u64; 5],
    /// Bases of FS and GS.
    pub saved_bases: [u64; 2],
    /// Unused, zero.
    pub saved_reserved: [u64; 2],
    /// Where the CPU pushes when a slice ends, at any time: not for the libOS.
    pub slice_frame: [u64; SAVED_REGISTERS + 5],
    /// What `iretq` takes for the upcall at the end of a slice: entry; 0: none.
    pub slice_end_entry: u64,
    /// Code segment.
    pub slice_code_segment: u64,
    /// Flags.
    pub slice_flags: u64,
    /// Stack.
    pub slice_stack: u64,
    /// Stack segment.
    pub slice_stack_segment: u64,
    /// Ticks that the libOS has from the end of its slice to its yield; 0: it asked for no upcall.
    pub slice_grace: u64,
    /// Entry of the upcall at the beginning of a slice; 0: none.
    pub slice_begin_entry: u64,
    /// What stood where gates and exceptions push, over a forced switch that itself goes through a gate.
    pub saved_gate_frame: [u64; 5],
    /// What the last slice upcall interrupted: RIP, RFLAGS, RSP. It stays while the credit is out, whatever the timer does.
    pub slice_upcall_frame: [u64; 3],
    /// Unused, zero.
    pub slice_reserved: [u64; 5],
    /// The kernel's notes for turns.
    pub turn: TurnNotes,
    /// Where the CPU pushes exception frames; the last one starts at a place that its vector determines.
    pub exception_stack: [u64; (EXCEPTION_STACK_TOP as usize - 0x840) / 8],
    /// What `iretq` takes for an upcall: code segment.
    pub upcall_code_segment: u64,
    /// Flags of an upcall: interrupts on, all else clear.
    pub upcall_flags: u64,
    /// Stack of an upcall.
    pub upcall_stack: u64,
    /// Stack segment.
    pub upcall_stack_segment: u64,
    /// Entry by vector; 0: none.
    pub upcall_entries: [u64; UPCALL_SLOTS],
    /// Top of the kernel stack of the vCPU that runs this environment.
    pub kernel_stack: u64,
    /// What the last event upcall interrupted: RIP CS RFLAGS RSP SS.
    pub event_frame: [u64; 5],
    /// Entry of event upcalls; 0: none.
    pub event_entry: u64,
    /// Stack of event upcalls, its top.
    pub event_stack: u64,
    /// Unused, zero.
    pub tail: [u64; 5],
    /// The kernel's notes for protected control transfer.
    pub transfer: TransferNotes,
}

/// What the kernel keeps of an environment for its turns, so that a yield needs nothing else. Of no use to the libOS. Places are those of [`TransferNotes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct TurnNotes {
    /// What `iretq` takes to begin a turn: RIP, CS, RFLAGS, RSP, SS.
    pub frame: [u64; 5],
    /// Its [`TransferNotes::terms`], while a yield of who has the same may begin its turn; else 0.
    pub terms: u64,
    /// The place of who comes behind it in the ring of its vCPU; or one whose terms are 0.
    pub next: u64,
    /// The place of who comes before it there.
    pub previous: u64,
}

/// What the kernel keeps of an environment for protected control transfer, so that a transfer needs nothing else. Of no use to the
/// libOS. A place is a kernel address in an environment page: that of RIP in the frame of an entry into the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct TransferNotes {
    /// Kernel address of its [`EnvironmentEntry`].
    pub record: u64,
    /// Kernel address of the word of the summary that says who runs on its vCPU.
    pub running: u64,
    /// Kernel address of the task state segment of its vCPU.
    pub task_state: u64,
    /// Physical address of the root of its address space.
    pub root: u64,
    /// vCPU and set of ports: only between environments that agree in both is a transfer nothing but a transfer.
    pub terms: u64,
    /// Its terms, while it waits for a transfer; the place of who waits for its reply; or 0.
    pub peer: u64,
    /// The last capability that it has transferred by, while that is valid; or 0.
    pub bound: u64,
    /// The place of the environment to which that leads, or led. While it awaits a reply: from there.
    pub target: u64,
    /// What `iretq` takes to enter it: RIP, CS, RFLAGS, RSP, SS.
    pub entry: [u64; 5],
    /// Status with which its call ends when it is resumed without a reply.
    pub status: u64,
}

const _: () = {
    assert!(size_of::<EnvironmentPage>() == 4096);
    assert!(core::mem::offset_of!(EnvironmentPage, saved_floating_point) == 0x400);
    assert!(core::mem::offset_of!(EnvironmentPage, slice_end_entry) as u64 == SLICE_STACK_TOP);
    assert!(core::mem::offset_of!(EnvironmentPage, exception_stack) == 0x840);
    assert!(
        core::mem::offset_of!(EnvironmentPage, upcall_code_segment) as u64 == EXCEPTION_STACK_TOP
    );
};

/// Most interrupt vectors that one environment can have bound.
pub const EVENTS_MAX: usize = 32;
/// Set by the libOS in [`CallPage::upcall_credit`] when it can take an upcall; taken by the kernel for each.
pub const UPCALL_CREDIT: u32 = 1 << 31;

/// The call page: written by libOS and kernel. The kernel trusts nothing here, and reads each word once.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CallPage {
    /// Bit 31: [`UPCALL_CREDIT`]. Bits 0..31: upcalls taken.
    pub upcall_credit: u32,
    /// Zero.
    pub reserved: u32,
    /// Raised by one for each interrupt of a bound vector, after its own counter.
    pub events: u64,
    /// Time stamp that the runtime read with its first instruction.
    pub start_time: u64,
    /// Bytes of payload that the libOS moved through its queues, as it says.
    pub bytes: u64,
    /// Requests that the libOS completed on its queues, as it says.
    pub requests: u64,
    /// As `upcall_credit`, for the upcalls at the beginning and the end of a slice.
    pub slice_credit: u32,
    /// Zero.
    pub reserved2: u32,
    /// As `upcall_credit`, for the upcalls that tell events.
    pub event_credit: u32,
    /// Zero.
    pub reserved3: u32,
    /// Unused.
    pub unused: [u64; 25],
    /// Interrupts taken, by event index.
    pub event_counters: [u64; EVENTS_MAX],
    /// The batch of `page_map`, `page_protect` or `page_unmap`.
    pub batch: [MapEntry; MAP_BATCH],
}

const _: () = assert!(size_of::<CallPage>() == 4096);
