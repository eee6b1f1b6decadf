//! What the kernel asks this environment to give back, and what it has taken by force.
//!
//! A request is answered by giving back whatever the libOS chooses, by the calls that give things back anyway, until the environment holds
//! no more than the request's goal. Whoever waits calls [`serve`]; the hook that [`set_handler`] sets does the choosing.
#![allow(unsafe_code)]

use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use exo_abi::capability::CapabilityEntry;
use exo_abi::environment::EnvironmentPage;
use exo_abi::revocation::{
    REPOSSESSIONS, Repossession, RevocationKind, RevocationRequest as Words,
};
use exo_abi::{Capability, Error, Kind};

use crate::shared::ENVIRONMENT;
use crate::{environment, events, gate, tables};

/// A request that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number.
    pub serial: u64,
    /// What is asked.
    pub kind: RevocationKind,
    /// How much was asked.
    pub count: u64,
    /// How much of the kind may still be held.
    pub goal: u64,
    /// Time stamp after which the kernel takes what is left.
    pub deadline: u64,
}

/// Gives back what a request asks for, or as much as it likes.
pub type Handler = fn(&Request);

static HANDLER: AtomicUsize = AtomicUsize::new(0);
/// The last request that the handler has seen.
static SERVED: AtomicU64 = AtomicU64::new(0);

fn word(offset: usize) -> u64 {
    ENVIRONMENT.word(offset_of!(EnvironmentPage, revocation) + offset)
}

/// Makes `handler` answer requests. Without one they are not answered, and the kernel takes what it wants at the deadline.
pub fn set_handler(handler: Handler) {
    HANDLER.store(handler as usize, Ordering::Relaxed);
}

/// The request that is open, if one is.
pub fn request() -> Option<Request> {
    let serial = word(offset_of!(Words, serial));
    if is_answered(serial) {
        return None;
    }
    Some(Request {
        serial,
        kind: RevocationKind::from_number(word(offset_of!(Words, kind)) as u8)?,
        count: word(offset_of!(Words, count)),
        goal: word(offset_of!(Words, goal)),
        deadline: word(offset_of!(Words, deadline)),
    })
}

/// Number of the last request, open or not; 0: there was none.
pub fn last_serial() -> u64 {
    word(offset_of!(Words, serial))
}

/// Whether a request is over. One is open at a time, and numbers grow.
pub fn is_answered(serial: u64) -> bool {
    word(offset_of!(Words, answered)) >= serial
}

/// Lets the handler answer a request that it has not seen yet. Cheap where there is none.
pub fn serve() {
    let handler = HANDLER.load(Ordering::Relaxed);
    if handler == 0 {
        return;
    }
    let Some(request) = request() else { return };
    if SERVED.swap(request.serial, Ordering::Relaxed) == request.serial {
        return;
    }
    // SAFETY: `set_handler` alone writes it, from a `Handler`.
    let handler: Handler = unsafe { core::mem::transmute::<usize, Handler>(handler) };
    handler(&request);
}

/// Has the handler answer requests also while the program computes, told by an event upcall. So it must do nothing there that may fault, and
/// neither allocate nor print, as what it interrupts may be doing just that.
pub fn serve_while_computing() -> Result<(), Error> {
    events::install(|| {
        // A call would write over the frame of an exception that is not read yet.
        match environment::can_take_upcall() {
            true => serve(),
            false => events::defer(),
        }
    })
}

/// How many bindings the kernel has ever taken by force.
pub fn repossessed() -> u64 {
    word(offset_of!(Words, repossessed))
}

/// Binding number `number` of those that the kernel has taken by force, counted from 0; nothing for one that it has not taken, or that
/// the vector remembers no more.
pub fn repossession(number: u64) -> Option<Repossession> {
    let count = repossessed();
    if number >= count || count - number > REPOSSESSIONS as u64 {
        return None;
    }
    let place = offset_of!(EnvironmentPage, repossessions)
        + number as usize % REPOSSESSIONS * size_of::<Repossession>();
    let word = |offset: usize| ENVIRONMENT.word(place + offset);
    Some(Repossession {
        capability: word(offset_of!(Repossession, capability)),
        first: word(offset_of!(Repossession, first)),
        count: word(offset_of!(Repossession, count)),
        request: word(offset_of!(Repossession, request)),
    })
}

/// How much this environment holds of what a request asks for.
pub fn held(kind: RevocationKind) -> u64 {
    let own = tables::own_environment();
    let kind = match kind {
        RevocationKind::Frames => return own.frames.into(),
        RevocationKind::Slices | RevocationKind::Vcpus => Kind::Slice,
        RevocationKind::Queues => Kind::Queue,
        RevocationKind::Extents => Kind::Extent,
        RevocationKind::Ports => Kind::Ports,
    };
    own.held[kind as usize].into()
}

/// A handler for who does not care what goes: gives back the newest first, what cannot be given back now apart.
pub fn give_newest(request: &Request) {
    let mut link = tables::own_environment().first_capability;
    while !is_answered(request.serial)
        && let Some(slot) = link.checked_sub(1)
        && let Some(entry) = tables::capability(slot)
        && entry.holder == environment::id()
    {
        link = entry.next;
        if entry.guaranteed == 0 && is_of_kind(&entry, request.kind) {
            // What is mapped, or derived from, stays for another request or for the kernel.
            let _ = gate::capability_free(Capability::new(slot, entry.generation));
        }
    }
}

fn is_of_kind(entry: &CapabilityEntry, kind: RevocationKind) -> bool {
    let found = Kind::from_number(entry.kind);
    match kind {
        RevocationKind::Frames => {
            matches!(found, Some(Kind::Frames | Kind::Blocks)) && entry.parent == 0
        }
        RevocationKind::Slices | RevocationKind::Vcpus => found == Some(Kind::Slice),
        RevocationKind::Queues => found == Some(Kind::Queue),
        RevocationKind::Extents => found == Some(Kind::Extent),
        RevocationKind::Ports => found == Some(Kind::Ports),
    }
}
