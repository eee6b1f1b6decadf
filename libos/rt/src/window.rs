//! The frame window: the environment's frames, where an address tells the physical name.
//!
//! | part of the grant | size | use |
//! |---|---|---|
//! | bottom | [`STACK_SIZE`] | stack; a program that overruns it leaves its own memory downwards |
//! | next | [`UPCALL_STACK_SIZE`] | stack of upcalls |
//! | next | [`SLICE_STACK_SIZE`] | stack of slice upcalls |
//! | rest | | heap, from which DMA memory comes too |

use core::sync::atomic::{AtomicU64, Ordering};

use exo_abi::address::{FRAME_WINDOW, FRAME_WINDOW_SIZE, PAGE_SHIFT, PAGE_SIZE};

use crate::environment;

/// Bytes of stack.
pub const STACK_SIZE: u64 = 64 << 10;
/// Bytes of stack for upcalls.
pub const UPCALL_STACK_SIZE: u64 = 32 << 10;

/// Bytes of stack for slice upcalls, which save all registers there.
pub const SLICE_STACK_SIZE: u64 = 16 << 10;

/// Address of the first byte of the memory grant.
pub fn grant_start() -> u64 {
    address_of(environment::grant_first())
}

/// End (exclusive) of the memory grant.
pub fn grant_end() -> u64 {
    grant_start() + environment::grant_frames() * PAGE_SIZE
}

/// Where the stacks lie, if that is not the grant.
static STACKS: AtomicU64 = AtomicU64::new(0);

/// Has stacks lie somewhere else than in the grant, which an environment that was made does not have.
pub(crate) fn place_stacks(start: u64) {
    STACKS.store(start, Ordering::Relaxed);
}

/// Where the stacks lie.
fn stacks_start() -> u64 {
    match STACKS.load(Ordering::Relaxed) {
        0 => grant_start(),
        start => start,
    }
}

/// Bytes of all stacks.
pub const STACKS_SIZE: u64 = STACK_SIZE + UPCALL_STACK_SIZE + SLICE_STACK_SIZE;

/// Top of the upcall stack.
pub fn upcall_stack_top() -> u64 {
    stacks_start() + STACK_SIZE + UPCALL_STACK_SIZE
}

/// Top of the stack of event upcalls: the lower half of that of exceptions, which nest only in programs that mean it.
pub fn event_stack_top() -> u64 {
    stacks_start() + STACK_SIZE + UPCALL_STACK_SIZE / 2
}

/// Top of the stack of slice upcalls.
pub fn slice_stack_top() -> u64 {
    upcall_stack_top() + SLICE_STACK_SIZE
}

/// Where frame `number` is mapped, if this environment owns it.
pub const fn address_of(number: u64) -> u64 {
    FRAME_WINDOW + (number << PAGE_SHIFT)
}

/// The physical address behind an address of the frame window; `None` for any other address.
pub const fn physical(address: u64) -> Option<u64> {
    match address.checked_sub(FRAME_WINDOW) {
        Some(offset) if offset < FRAME_WINDOW_SIZE => Some(offset),
        _ => None,
    }
}
