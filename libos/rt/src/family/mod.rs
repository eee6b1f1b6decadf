//! What the environments of one family share: a heap at one address in all of them, and the lock under which they change it.
//!
//! A family is one trust domain. Its first environment founds the heap on its memory grant; the others map the same frames at the same
//! addresses, so that what lies there may point to itself. Statics are each environment's own.
//!
//! The heap grows by whole chunks. Who grows it maps the new chunk at once; the others do so by the page fault of their first access.
#![allow(unsafe_code)]

mod heap;
mod member;
mod seat;

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use exo_abi::address::{BLOCK_FRAMES, BLOCK_SIZE, FRAME_WINDOW_SIZE, PAGE_SHIFT, PAGE_SIZE};
use exo_abi::map::{LARGE_PAGES, MapEntry};
use exo_abi::upcall::Vector;
use exo_abi::{Capability, EnvironmentId, Kind, Rights};
use linked_list_allocator::Heap as FreeList;

use crate::gate::Target;
use crate::upcall::Fault;
use crate::{context, environment, gate, processor, window};
pub use heap::Heap;
pub use member::{Layout, first_instruction, layout};
use seat::Seat;
pub use seat::{SEATS, give_way, leave, look, receive, send, sleep_term, wake, wake_up};

/// Where the heap lies: behind the personality's own image, in reach of the same page directory.
pub const FAMILY_BASE: u64 = 0x3f00_0040_0000;
/// Where a member views frame n: here + n pages.
pub const VIEWS: u64 = 0x3e00_0000_0000;
/// Their end.
const VIEWS_END: u64 = VIEWS + FRAME_WINDOW_SIZE;
/// Looks at the lock before its holder gets the rest of the slice.
const SPINS: u32 = 100;
/// Bytes of a chunk: one page of 2 MiB.
const CHUNK_BYTES: u64 = BLOCK_SIZE;

/// The beginning of the heap.
#[repr(C)]
struct Header {
    /// Number of the environment that holds the lock; 0: nobody.
    holder: AtomicU64,
    /// Whether there is, or was, more than one environment: until then the lock is taken without a locked instruction.
    is_shared: AtomicBool,
    /// Bytes that the heap has so far, whole chunks.
    bytes: AtomicU64,
    /// Most bytes that it can have.
    limit: AtomicU64,
    /// The frame at [`FAMILY_BASE`].
    first_frame: AtomicU64,
    /// What is free.
    list: UnsafeCell<FreeList>,
    /// What a member that starts calls, with its seat: a `fn(usize) -> !`.
    member_main: AtomicU64,
    /// How many members are awake.
    awake: AtomicU64,
    /// Number of the environment whose member was woken last, and does not run yet as far as is known; 0: nobody's.
    woken: AtomicU64,
    /// The members' places.
    seats: [Seat; SEATS],
}

/// The capability by which this environment maps the heap; 0: it has none.
static CAPABILITY: AtomicU64 = AtomicU64::new(0);

/// Whether another has founded the family.
static IS_MEMBER: AtomicBool = AtomicBool::new(false);

fn header() -> &'static Header {
    assert!(
        CAPABILITY.load(Ordering::Relaxed) != 0,
        "the family's heap is used before it is there"
    );
    // SAFETY: 1. `found` or `join` has made the heap of this family reachable at its address; 2. the header was written by `found`, and
    // changes by atomics only, but for the list, of which `Heap` takes care.
    unsafe { &*(FAMILY_BASE as *const Header) }
}

/// Makes the heap, on all of the memory grant but the block with the stacks. Members that are made later begin with `member_main`.
pub fn found(member_main: fn(usize) -> !) {
    let first = environment::grant_first() + BLOCK_FRAMES;
    let limit = environment::grant_frames().saturating_sub(BLOCK_FRAMES) << PAGE_SHIFT;
    let capability = environment::grant_capability();
    map_chunk(FAMILY_BASE, first, capability).expect("the heap does not fit into the grant");
    let mut list = FreeList::empty();
    let start = (FAMILY_BASE as usize + size_of::<Header>()).next_multiple_of(64);
    let room = FAMILY_BASE as usize + CHUNK_BYTES as usize - start;
    // SAFETY: 1. the chunk is mapped, writable, for good; 2. nothing but the header, which is before, lies there.
    unsafe { list.init(start as *mut u8, room) };
    let header = Header {
        holder: AtomicU64::new(0),
        is_shared: AtomicBool::new(false),
        bytes: AtomicU64::new(CHUNK_BYTES),
        limit: AtomicU64::new(limit / CHUNK_BYTES * CHUNK_BYTES),
        first_frame: AtomicU64::new(first),
        list: UnsafeCell::new(list),
        member_main: AtomicU64::new(member_main as usize as u64),
        awake: AtomicU64::new(0),
        woken: AtomicU64::new(0),
        seats: [const { Seat::new() }; SEATS],
    };
    // SAFETY: as above; the place is aligned to a page.
    unsafe { (FAMILY_BASE as *mut Header).write(header) };
    CAPABILITY.store(capability.0, Ordering::Relaxed);
    wake_up(0);
}

/// Uses the heap that another has founded and whose first chunk it has mapped here; this environment holds a capability for its frames.
fn join() {
    // SAFETY: whoever made this environment has mapped the first chunk, which begins with the header.
    let header = unsafe { &*(FAMILY_BASE as *const Header) };
    let first = header.first_frame.load(Ordering::Relaxed);
    let capability = environment::held_of(Kind::Blocks)
        .find(|(_, entry)| entry.first <= first && first < entry.first + entry.count)
        .map_or(Capability::NONE, |(capability, _)| capability);
    CAPABILITY.store(capability.0, Ordering::Relaxed);
    IS_MEMBER.store(true, Ordering::Relaxed);
}

/// The first frame of the heap.
pub fn first_frame() -> u64 {
    header().first_frame.load(Ordering::Relaxed)
}

/// Maps the first chunk of the heap in a member that is made, under its own capability: the others it maps by itself.
pub fn map_first(target: Target, capability: Capability) -> Result<(), exo_abi::Error> {
    let entry = chunk(FAMILY_BASE, first_frame(), capability);
    gate::page_map_in(target, &[entry]).map(drop)
}

/// The physical address of one of the heap; `None` for any other address.
pub fn physical(address: u64) -> Option<u64> {
    if CAPABILITY.load(Ordering::Relaxed) == 0 {
        return None;
    }
    let offset = address.checked_sub(FAMILY_BASE)?;
    (offset < header().bytes.load(Ordering::Relaxed))
        .then(|| (first_frame() << PAGE_SHIFT) + offset)
}

/// How the chunk at `address` is mapped to frames from `first` on.
fn chunk(address: u64, first: u64, capability: Capability) -> MapEntry {
    MapEntry {
        address,
        frame: first,
        pages: 1,
        rights: Rights::READ_WRITE.0 | LARGE_PAGES,
        capability: capability.0,
    }
}

fn map_chunk(address: u64, first: u64, capability: Capability) -> Result<(), exo_abi::Error> {
    gate::page_map(&[chunk(address, first, capability)]).map(drop)
}

/// Maps the chunk of the heap that holds `address`; false where the heap has none.
fn map_address(address: u64) -> bool {
    let header = header();
    let offset = address.wrapping_sub(FAMILY_BASE) / CHUNK_BYTES * CHUNK_BYTES;
    let frame = header.first_frame.load(Ordering::Relaxed) + (offset >> PAGE_SHIFT);
    let capability = Capability(CAPABILITY.load(Ordering::Relaxed));
    offset < header.bytes.load(Ordering::Acquire)
        && map_chunk(FAMILY_BASE + offset, frame, capability).is_ok()
}

/// Where the founder's frames can be read and written, those of the family's programs: in the founder the frame window, which shows them
/// all; in a member a range whose blocks come by the page fault of their first access.
pub fn view(frame: u64) -> u64 {
    match IS_MEMBER.load(Ordering::Relaxed) {
        false => window::address_of(frame),
        true => VIEWS + frame * PAGE_SIZE,
    }
}

/// Maps the block at an address of the views.
fn map_view(address: u64) -> bool {
    let first = (address - VIEWS) / BLOCK_SIZE * BLOCK_FRAMES;
    let covering = environment::held_of(Kind::Blocks).find(|(_, entry)| {
        entry.first <= first && first + BLOCK_FRAMES <= entry.first + entry.count
    });
    let Some((capability, _)) = covering else {
        return false;
    };
    let entry = MapEntry {
        address: VIEWS + first * PAGE_SIZE,
        frame: first,
        pages: 1,
        rights: Rights::READ_WRITE.0 | LARGE_PAGES,
        capability: capability.0,
    };
    gate::page_map(&[entry]).is_ok()
}

/// Maps what a page fault needs, if it is of the heap and another environment has grown it, or of the views.
pub(crate) fn handle_fault(fault: &Fault) -> bool {
    const PRESENT: u64 = 1;
    if fault.vector != Vector::PageFault as u64
        || fault.error_code & PRESENT != 0
        || CAPABILITY.load(Ordering::Relaxed) == 0
    {
        return false;
    }
    match fault.address {
        VIEWS..VIEWS_END => IS_MEMBER.load(Ordering::Relaxed) && map_view(fault.address),
        address if address >= FAMILY_BASE + CHUNK_BYTES => map_address(address),
        _ => false,
    }
}

/// The family's lock. Everything in the heap changes under it, the heap itself included.
///
/// Returns whether it was taken: false where this environment holds it already.
pub fn acquire() -> bool {
    let own = u64::from(environment::id().0);
    let Header {
        holder, is_shared, ..
    } = header();
    // Nobody else writes that.
    if holder.load(Ordering::Relaxed) == own {
        return false;
    }
    if !is_shared.load(Ordering::Relaxed) {
        holder.store(own, Ordering::Relaxed);
        return true;
    }
    let mut spins = 0;
    loop {
        match holder.compare_exchange_weak(0, own, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(_) if spins < SPINS => {
                spins += 1;
                processor::pause();
            }
            // Who holds it is inside a call, which is short: the end of its slice has interrupted it.
            Err(other) => context::yield_whole(EnvironmentId(other as u16)),
        }
    }
}

/// There will be another environment, which looks at the lock too. The caller holds it.
fn share() {
    header().is_shared.store(true, Ordering::Release);
}

/// Frees the lock.
pub fn release() {
    header().holder.store(0, Ordering::Release);
}

/// Does something under the lock, which it frees again if it was this that took it.
pub fn with_lock<R>(user: impl FnOnce() -> R) -> R {
    let taken = acquire();
    let result = user();
    if taken {
        release();
    }
    result
}
