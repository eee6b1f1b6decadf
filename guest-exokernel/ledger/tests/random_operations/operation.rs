//! What an environment may try, drawn from random words so that it often nearly works.

use exo_abi::call::ANY_FRAME;
use exo_abi::{EnvironmentId, Kind, Rights};

use crate::machine::*;

/// Which capability word an operation uses.
#[derive(Clone, Copy, Debug)]
pub enum Word {
    /// One of those that the caller holds.
    Own(usize),
    /// One of this kind that the caller holds.
    OwnOf(Kind, usize),
    /// One that somebody holds.
    Anybodys(usize),
    /// One that was freed.
    Stale(usize),
    /// Any word, with few or with all bits.
    Guessed(u64),
}

/// Frames relative to what the capability names, or anywhere.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// So far behind the first frame of the capability.
    Within(u64),
    /// This frame.
    At(u64),
}

/// One operation of one environment.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// `frame_allocate`.
    Allocate {
        caller: EnvironmentId,
        first: u64,
        count: u64,
        order: u64,
    },
    /// Frames of the bundle.
    Claim {
        caller: EnvironmentId,
        first: u64,
        count: u64,
    },
    /// `capability_free`.
    Free { caller: EnvironmentId, word: Word },
    /// One run of `page_map`.
    Map {
        caller: EnvironmentId,
        word: Word,
        place: Place,
        count: u64,
        rights: Rights,
    },
    /// One page of `page_unmap`: the n-th that the caller has mapped.
    Unmap { caller: EnvironmentId, which: usize },
    /// `dma_map`.
    MapDma {
        caller: EnvironmentId,
        word: Word,
        place: Place,
        count: u64,
        rights: Rights,
    },
    /// `function_bind`.
    Bind { caller: EnvironmentId, word: Word },
    /// `queue_bind`.
    BindQueue { caller: EnvironmentId, word: Word },
    /// The kernel gives a function that nobody has to the caller.
    Give { caller: EnvironmentId, index: u32 },
    /// `slice_allocate` on the caller's vCPU.
    AllocateSlices {
        caller: EnvironmentId,
        first: u64,
        count: u64,
    },
    /// `slice_bind`.
    BindSlices { caller: EnvironmentId, word: Word },
    /// The kernel makes a capability of a kind that names no memory, no function and no slice.
    Make {
        caller: EnvironmentId,
        kind: Kind,
        first: u64,
        count: u64,
    },
    /// `capability_derive`.
    Derive {
        caller: EnvironmentId,
        word: Word,
        place: Place,
        count: u64,
        rights: u64,
        kind: u64,
    },
    /// `capability_give`.
    GiveAway {
        caller: EnvironmentId,
        word: Word,
        to: u64,
    },
    /// `capability_accept`.
    Accept { caller: EnvironmentId, from: u64 },
    /// `capability_revoke` with so many capabilities to a call.
    Revoke {
        caller: EnvironmentId,
        word: Word,
        batch: u64,
    },
    /// One page-table frame more, or one less.
    Table { caller: EnvironmentId, more: bool },
    /// The environment ends, loses all, and is started again, if it is of the image.
    End { caller: EnvironmentId },
    /// The kernel gives the numbers of the environments that can be made to the caller, if nobody has them.
    GiveNumbers { caller: EnvironmentId },
    /// `environment_create`: frames, page tables, capabilities.
    Create {
        caller: EnvironmentId,
        word: Word,
        number: u64,
        vcpu: u64,
        quotas: [u64; 3],
    },
    /// `environment_start`.
    Start {
        caller: EnvironmentId,
        word: Word,
        number: u64,
    },
    /// `environment_end`.
    EndOther {
        caller: EnvironmentId,
        word: Word,
        number: u64,
    },
    /// `capability_copy`.
    Copy {
        caller: EnvironmentId,
        word: Word,
        to: u64,
    },
}

/// Mostly small counts, sometimes one at or beyond a limit.
fn count_from(word: u64) -> u64 {
    match word % 16 {
        0 => [0, 511, 512, 513, 600, 1024, 1800, u64::MAX][(word >> 8) as usize % 8],
        1 => 0,
        2..6 => (word >> 8) % 300,
        _ => 1 + (word >> 8) % 6,
    }
}

/// Mostly frames of the machine, sometimes one at a limit.
fn frame_from(word: u64) -> u64 {
    let block = (word >> 8) % (BLOCKS + 2) * BLOCK;
    match word % 16 {
        0 => [0, u64::MAX - 1, u64::MAX - 511, 1 << 63, 1 << 32][(word >> 8) as usize % 5],
        1..7 => block,
        7 => block + 511,
        _ => block + (word >> 24) % BLOCK,
    }
}

fn word_from(word: u64) -> Word {
    let choice = (word >> 8) as usize;
    match word % 16 {
        0 => Word::Anybodys(choice),
        1 => Word::Stale(choice),
        2 => Word::Guessed(word >> 8 & 0x1f | (word >> 40 & 3) << 32),
        3 => Word::Guessed(word),
        _ => Word::Own(choice),
    }
}

/// Mostly an own one of this kind.
fn word_of(kind: Kind, word: u64) -> Word {
    match word % 4 {
        0 => word_from(word >> 2),
        _ => Word::OwnOf(kind, (word >> 2) as usize),
    }
}

fn place_from(word: u64) -> Place {
    match word % 8 {
        0 => Place::At(frame_from(word >> 3)),
        1 => Place::At(registers((word >> 3) as u32 % FUNCTIONS) + (word >> 8) % 6),
        2 => Place::At(doorbells((word >> 3) as u32 % FUNCTIONS) + (word >> 8) % 3),
        3 => Place::Within((word >> 3) % 600),
        _ => Place::Within((word >> 3) % 3),
    }
}

/// Mostly rights that make sense.
fn rights_from(word: u64) -> Rights {
    match word % 16 {
        0 => Rights((word >> 8) as u32),
        1..4 => Rights((word >> 8) as u32 % 8),
        _ => Rights(1 + (word >> 8) as u32 % 3),
    }
}

/// Mostly all rights, so that trees grow.
fn derived_rights_from(word: u64) -> u64 {
    match word % 16 {
        0 => word >> 8,
        1..5 => (word >> 8) % 32,
        5..8 => [1, 3, 9, 11][(word >> 8) as usize % 4],
        _ => 27,
    }
}

/// Mostly the number of an environment.
fn environment_from(word: u64) -> u64 {
    match word % 16 {
        0 => [0, 6, 0xffff, 0x1_0001, u64::MAX - 1][(word >> 8) as usize % 5],
        _ => 1 + (word >> 8) % u64::from(NUMBERS),
    }
}

/// Mostly the number of an environment that can be made.
fn number_from(word: u64) -> u64 {
    match word % 16 {
        0 => environment_from(word >> 4),
        _ => u64::from(ENVIRONMENTS) + 1 + (word >> 8) % u64::from(NUMBERS - ENVIRONMENTS),
    }
}

impl Operation {
    /// Whose operation it is.
    pub fn caller(&self) -> EnvironmentId {
        match *self {
            Self::Allocate { caller, .. }
            | Self::Claim { caller, .. }
            | Self::Free { caller, .. }
            | Self::Map { caller, .. }
            | Self::Unmap { caller, .. }
            | Self::MapDma { caller, .. }
            | Self::Bind { caller, .. }
            | Self::BindQueue { caller, .. }
            | Self::Give { caller, .. }
            | Self::Make { caller, .. }
            | Self::Derive { caller, .. }
            | Self::GiveAway { caller, .. }
            | Self::Accept { caller, .. }
            | Self::Revoke { caller, .. }
            | Self::Table { caller, .. }
            | Self::End { caller }
            | Self::GiveNumbers { caller }
            | Self::Create { caller, .. }
            | Self::Start { caller, .. }
            | Self::EndOther { caller, .. }
            | Self::AllocateSlices { caller, .. }
            | Self::BindSlices { caller, .. }
            | Self::Copy { caller, .. } => caller,
        }
    }

    /// The operation that these words stand for.
    pub fn from_words(words: [u64; 6]) -> Self {
        let [choice, caller, a, b, c, d] = words;
        let caller = EnvironmentId(1 + (caller % u64::from(NUMBERS)) as u16);
        match choice % 1150 {
            0..140 => {
                let order = [0, 0, 0, 0, 0, 9, 9, 9, 9, 1][c as usize % 10];
                let few = if order == 9 { b % 4 } else { count_from(b) };
                Self::Allocate {
                    caller,
                    first: if a % 3 == 0 {
                        ANY_FRAME
                    } else {
                        frame_from(a / 3)
                    },
                    count: if d % 16 == 0 { count_from(b) } else { few },
                    order,
                }
            }
            140..160 => Self::Claim {
                caller,
                first: frame_from(a),
                count: count_from(b),
            },
            160..270 => Self::Free {
                caller,
                word: word_from(a),
            },
            270..370 => Self::Map {
                caller,
                word: word_from(a),
                place: place_from(b),
                count: count_from(c),
                rights: rights_from(d),
            },
            370..440 => Self::Unmap {
                caller,
                which: a as usize,
            },
            440..540 => Self::MapDma {
                caller,
                word: word_from(a),
                place: place_from(b),
                count: count_from(c),
                rights: rights_from(d),
            },
            540..560 => Self::Bind {
                caller,
                word: word_of(Kind::Function, a),
            },
            560..580 => Self::BindQueue {
                caller,
                word: word_of(Kind::Queue, a),
            },
            580..610 => Self::Give {
                caller,
                index: 1 + a as u32 % (FUNCTIONS - 1),
            },
            610..630 => Self::Make {
                caller,
                kind: [Kind::Ports, Kind::Entry, Kind::Extent][a as usize % 3],
                first: b % 8,
                count: if a % 3 == 1 { 1 } else { 1 + c % 4 },
            },
            // What nearly always works, so that trees grow.
            630..640 => Self::AllocateSlices {
                caller,
                first: [b % 8, b % 8, b % 66, u64::MAX][a as usize % 4],
                count: 1 + c % 4,
            },
            640..665 => Self::BindSlices {
                caller,
                word: word_of(Kind::Slice, a),
            },
            665..700 => Self::Derive {
                caller,
                word: match a % 4 {
                    0 => Word::OwnOf(Kind::Slice, (a >> 2) as usize),
                    _ => Word::Own((a >> 2) as usize),
                },
                place: Place::Within(0),
                count: 1,
                rights: derived_rights_from(d),
                kind: 0,
            },
            700..720 => Self::Derive {
                caller,
                word: Word::OwnOf(Kind::Function, a as usize),
                place: Place::Within(b % 2),
                count: 1 + c % 2,
                rights: derived_rights_from(d),
                kind: Kind::Queue as u64,
            },
            720..780 => Self::Derive {
                caller,
                word: word_from(a),
                place: place_from(b),
                count: count_from(c),
                rights: derived_rights_from(d),
                kind: match c % 11 {
                    0 => (c >> 32) % 12,
                    1..4 => Kind::Queue as u64,
                    _ => 0,
                },
            },
            780..880 => Self::GiveAway {
                caller,
                word: word_from(a),
                to: environment_from(b),
            },
            880..920 => Self::Accept {
                caller,
                from: match a % 4 {
                    0 => u64::MAX,
                    1 => 0,
                    _ => environment_from(b),
                },
            },
            920..960 => Self::Revoke {
                caller,
                word: word_from(a),
                batch: 1 + b % 4,
            },
            960..996 => Self::Table {
                caller,
                more: a % 4 != 0,
            },
            996..1000 => Self::End { caller },
            1000..1020 => Self::GiveNumbers { caller },
            1020..1070 => Self::Create {
                caller,
                word: word_of(Kind::Environment, a),
                number: number_from(b),
                vcpu: u64::from(c % 16 == 0),
                quotas: [(c >> 8) % 1000, (c >> 24) % 4, d % 5],
            },
            1070..1085 => Self::Start {
                caller,
                word: word_of(Kind::Environment, a),
                number: number_from(b),
            },
            1085..1090 => Self::EndOther {
                caller,
                word: word_of(Kind::Environment, a),
                number: number_from(b),
            },
            _ => Self::Copy {
                caller,
                word: word_from(a),
                to: environment_from(b),
            },
        }
    }
}
