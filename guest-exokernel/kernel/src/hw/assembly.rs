//! Assembles the kernel's assembly files as one unit, with every number from the ABI or from [`super::vcpu`].

use core::arch::global_asm;
use core::mem::offset_of;

use exo_abi::Call;
use exo_abi::address::{
    DEVICE_HOLE, ENVIRONMENT_PAGE, KERNEL_BASE, PAGE_SIZE, PROGRAM_END, VECTOR_PAGE,
};
use exo_abi::call::{CALL_BASE, CALL_COUNT};
use exo_abi::environment::{
    CallPage, EXCEPTION_STACK_TOP, EnvironmentEntry, EnvironmentPage, SLICE_STACK_TOP, State,
    TransferNotes, TurnNotes,
};
use exo_abi::interface_page::{GATE_CODE_OFFSET, InterfacePage};
use exo_abi::layout::{KERNEL_DATA, KERNEL_TEXT, Summary};
use exo_abi::pvh::NOTE_PHYS32_ENTRY;
use exo_abi::upcall::VECTOR_SYSCALL;
use exo_abi::version::{ABI_VERSION, NOTE_TYPE_ABI_VERSION};
use exo_lock::Lock;

use super::memory::SUMMARY;
use super::registers;
use super::vcpu::{self, Area};

/// Kernel code segment.
const KERNEL_CODE: u16 = 0x08;
/// Kernel data segment.
const KERNEL_SEGMENT: u16 = 0x10;
/// User data segment, with privilege level 3.
pub const USER_DATA: u16 = 0x20 | 3;
/// User code segment, with privilege level 3.
pub const USER_CODE: u16 = 0x28 | 3;
/// First of the task state segment descriptors, 16 bytes each.
const FIRST_TSS: u16 = 0x30;
/// RFLAGS of an environment that starts, resumes or takes an upcall: interrupts on, nothing else.
pub const USER_FLAGS: u64 = 0x202;

/// IA32_EFER (Intel SDM volume 4, table 2-2).
const MSR_EFER: u32 = 0xc000_0080;
/// SYSCALL, long mode, no-execute.
const EFER: u32 = 1 << 0 | 1 << 8 | 1 << 11;
/// Physical address extension; FXSAVE and SSE exceptions, which are for ring 3 (Intel SDM volume 3, section 2.5).
const CR4: u32 = 1 << 5 | 1 << 9 | 1 << 10;
/// Paging, write protection in ring 0, native x87 errors, x87 present, protected mode.
const CR0: u32 = 1 << 31 | 1 << 16 | 1 << 5 | 1 << 4 | 1 << 1 | 1;
/// Protected mode without paging, for a vCPU that comes out of real mode.
const CR0_PROTECTED: u32 = 1 << 4 | 1;

/// Where the real-mode start of other vCPUs is copied to; its page number is the start-up vector.
pub const TRAMPOLINE_ADDRESS: u64 = 0x8000;

/// Offset in the interface page of what `fxrstor` takes at the beginning of a turn: a multiple of 16 behind the data.
const CLEAN_STATE_OFFSET: usize = 0x400;
const _: () = assert!(size_of::<InterfacePage>() <= CLEAN_STATE_OFFSET);

/// Bytes of SS, RSP, RFLAGS, CS and RIP.
pub const GATE_FRAME: u64 = 40;

/// Bytes of the environment page, or of the call page behind it, from the top of the slice stack to a field above it.
const fn above_slice_stack(offset: usize) -> u64 {
    offset as u64 - SLICE_STACK_TOP
}

/// Bytes of the environment page from where RSP0 points to a field above it.
const fn above_exception_stack(offset: usize) -> u64 {
    offset as u64 - EXCEPTION_STACK_TOP
}

/// The same, from where the five words of a gate's frame end.
const fn above_gate_frame(offset: usize) -> u64 {
    above_exception_stack(offset) + GATE_FRAME
}

/// The same for a field of the notes on transfers.
const fn transfer_note(offset: usize) -> u64 {
    above_gate_frame(offset_of!(EnvironmentPage, transfer) + offset)
}

/// The same for a field of the notes on turns, which lie below.
const fn turn_note(offset: usize) -> i64 {
    (offset_of!(EnvironmentPage, turn) + offset) as i64 - (EXCEPTION_STACK_TOP - GATE_FRAME) as i64
}

// The flag of the lock is the first that a symbol of the lock leads to.
const _: () = assert!(Lock::<u64>::FLAG == 0);

global_asm!(
    include_str!("assembly/upcall.S"),
    include_str!("assembly/gate.S"),
    include_str!("assembly/yield.S"),
    include_str!("assembly/transfer.S"),
    include_str!("assembly/interrupt.S"),
    include_str!("assembly/switch.S"),
    include_str!("assembly/boot.S"),
    include_str!("assembly/tables.S"),
    kernel_base = const KERNEL_BASE as i64,
    stubs = const (KERNEL_BASE + KERNEL_TEXT) as i64,
    task_states = const (KERNEL_BASE + KERNEL_DATA) as i64,
    device_hole = const DEVICE_HOLE,
    kernel_code = const KERNEL_CODE,
    kernel_data = const KERNEL_SEGMENT,
    user_data = const USER_DATA,
    user_code = const USER_CODE,
    user_flags = const USER_FLAGS,
    first_tss = const FIRST_TSS,
    msr_efer = const MSR_EFER,
    msr_apic_base = const registers::APIC_BASE,
    msr_apic_id = const registers::X2APIC_ID,
    x2apic = const registers::APIC_BASE_ENABLE | registers::APIC_BASE_X2APIC,
    efer = const EFER,
    cr4 = const CR4,
    cr0 = const CR0 as i32,
    cr0_protected = const CR0_PROTECTED,
    trampoline_address = const TRAMPOLINE_ADDRESS,
    note_phys32_entry = const NOTE_PHYS32_ENTRY,
    note_abi_version = const NOTE_TYPE_ABI_VERSION,
    abi_version = const ABI_VERSION,
    vcpus_max = const vcpu::VCPUS_MAX,
    area_shift = const vcpu::AREA_SHIFT,
    interrupt_stack_top = const vcpu::INTERRUPT_STACK_TOP,
    fault_stack_top = const vcpu::FAULT_STACK_TOP,
    area_exception_stack = const offset_of!(Area, exception_stack),
    area_user_stack = const offset_of!(Area, user_stack),
    interrupt_stack = const 1,
    fault_stack = const 2,
    no_port_bitmap = const vcpu::NO_PORT_BITMAP,
    port_bitmap_size = const vcpu::PORT_BITMAP_SIZE,
    tss_stride = const vcpu::TASK_STATE_STRIDE,
    tss_limit = const vcpu::PORT_BITMAP + vcpu::PORT_BITMAP_SIZE - 1,
    neighbour_vector = const vcpu::NEIGHBOUR_VECTOR,
    first_device_vector = const vcpu::FIRST_DEVICE_VECTOR,
    device_vectors = const vcpu::DEVICE_VECTORS,
    own_vectors = const vcpu::OWN_VECTORS,
    timer_number = const vcpu::TIMER_VECTOR - vcpu::FIRST_DEVICE_VECTOR,
    slice_stack = const 4,
    outside_program = const (PROGRAM_END >> 40) as u8,
    slice_grace = const above_slice_stack(offset_of!(EnvironmentPage, slice_grace)),
    slice_upcall_frame = const above_slice_stack(offset_of!(EnvironmentPage, slice_upcall_frame)),
    slice_stack_segment = const above_slice_stack(offset_of!(EnvironmentPage, slice_stack_segment)),
    kernel_stack_above_slice = const above_slice_stack(offset_of!(EnvironmentPage, kernel_stack)),
    slice_credit = const PAGE_SIZE - SLICE_STACK_TOP + offset_of!(CallPage, slice_credit) as u64,
    area_since = const offset_of!(Area, since),
    area_allowance = const offset_of!(Area, allowance),
    area_terms = const offset_of!(Area, terms),
    area_current = const offset_of!(Area, current),
    area_grace = const offset_of!(Area, grace),
    msr_tsc_deadline = const registers::TSC_DEADLINE,
    msr_eoi = const registers::X2APIC_EOI,
    vectors_moved = const Call::VectorsMoved as u32,
    vector_page = const VECTOR_PAGE,
    gate_entry_offset = const offset_of!(InterfacePage, gate_entry),
    gate_code_offset = const GATE_CODE_OFFSET,
    clean_state_offset = const CLEAN_STATE_OFFSET,
    resume_point = const ENVIRONMENT_PAGE + EXCEPTION_STACK_TOP - GATE_FRAME,
    call_base = const CALL_BASE,
    call_count = const CALL_COUNT,
    vector_syscall = const VECTOR_SYSCALL,
    kernel_stack = const offset_of!(EnvironmentPage, kernel_stack),
    kernel_stack_above_frame = const above_gate_frame(offset_of!(EnvironmentPage, kernel_stack)),
    upcall_stack_segment = const above_exception_stack(offset_of!(EnvironmentPage, upcall_stack_segment)),
    upcall_entries = const above_exception_stack(offset_of!(EnvironmentPage, upcall_entries)),
    upcall_credit = const PAGE_SIZE - EXCEPTION_STACK_TOP + offset_of!(CallPage, upcall_credit) as u64,
    call_yield = const Call::EnvironmentYield.index(),
    call_transfer = const Call::Transfer.index(),
    call_transfer_reply = const Call::TransferReply.index(),
    call_transfer_asynchronous = const Call::TransferAsynchronous.index(),
    transfer_record = const transfer_note(offset_of!(TransferNotes, record)),
    transfer_running = const transfer_note(offset_of!(TransferNotes, running)),
    transfer_task_state = const transfer_note(offset_of!(TransferNotes, task_state)),
    transfer_root = const transfer_note(offset_of!(TransferNotes, root)),
    transfer_terms = const transfer_note(offset_of!(TransferNotes, terms)),
    transfer_peer = const transfer_note(offset_of!(TransferNotes, peer)),
    transfer_bound = const transfer_note(offset_of!(TransferNotes, bound)),
    transfer_target = const transfer_note(offset_of!(TransferNotes, target)),
    transfer_entry = const transfer_note(offset_of!(TransferNotes, entry)),
    turn_frame = const turn_note(offset_of!(TurnNotes, frame)),
    turn_terms = const turn_note(offset_of!(TurnNotes, terms)),
    turn_next = const turn_note(offset_of!(TurnNotes, next)),
    page_id = const offset_of!(EnvironmentPage, id) as i64 - (EXCEPTION_STACK_TOP - GATE_FRAME) as i64,
    call_page_events = const above_gate_frame(PAGE_SIZE as usize + offset_of!(CallPage, events)),
    gate_frame = const GATE_FRAME,
    rsp0 = const vcpu::RSP0,
    slice_stack_offset = const vcpu::SLICE_STACK,
    slice_stack_above_frame = const SLICE_STACK_TOP as i64 - (EXCEPTION_STACK_TOP - GATE_FRAME) as i64,
    sequence = const (SUMMARY + offset_of!(Summary, sequence) as u64) as i64,
    record_calls = const offset_of!(EnvironmentEntry, calls),
    record_state = const offset_of!(EnvironmentEntry, state),
    record_ticks = const offset_of!(EnvironmentEntry, ticks),
    record_turns = const offset_of!(EnvironmentEntry, turns),
    record_yields = const offset_of!(EnvironmentEntry, calls) + 8 * Call::EnvironmentYield.index(),
    record_transfers = const offset_of!(EnvironmentEntry, calls) + 8 * Call::Transfer.index(),
    record_replies = const offset_of!(EnvironmentEntry, calls) + 8 * Call::TransferReply.index(),
    state_runnable = const State::Runnable as u32,
    state_waiting = const State::Waiting as u32,
    state_awaiting_reply = const State::AwaitingReply as u32,
    kernel_lock = sym crate::kernel::KERNEL,
    vcpu_areas = sym vcpu::VCPU_AREAS,
    boot_machine = sym crate::boot::boot_machine,
    join_machine = sym crate::boot::join_machine,
    handlers = sym crate::calls::HANDLERS,
    wait_for_lock = sym super::gate::wait_for_lock,
    handle_transfer = sym crate::transfer::handle_transfer,
    abort_environment = sym crate::fault::abort_environment,
    report_kernel_fault = sym crate::fault::report_kernel_fault,
    handle_interrupt = sym crate::interrupts::handle_interrupt,
    handle_neighbour = sym crate::interrupts::handle_neighbour,
    end_slice = sym crate::scheduler::end_slice,
    leave_ended = sym crate::scheduler::leave_ended,
    options(att_syntax)
);
