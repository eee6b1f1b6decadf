//! What an environment may try, drawn from random words so that it often nearly works.

use exo_abi::call::ANY_FRAME;
use exo_abi::{EnvironmentId, Rights};

use crate::machine::*;

/// Which capability word an operation uses.
#[derive(Clone, Copy, Debug)]
pub enum Word {
    /// One of those that the caller holds.
    Own(usize),
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
    /// The kernel gives a function that nobody has to the caller.
    Give { caller: EnvironmentId, index: u32 },
    /// One page-table frame more, or one less.
    Table { caller: EnvironmentId, more: bool },
    /// The environment ends, loses all, and is started again.
    End { caller: EnvironmentId },
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

impl Operation {
    /// The operation that these words stand for.
    pub fn from_words(words: [u64; 6]) -> Self {
        let [choice, caller, a, b, c, d] = words;
        let caller = EnvironmentId(1 + (caller % u64::from(ENVIRONMENTS)) as u16);
        match choice % 1000 {
            0..240 => {
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
            240..280 => Self::Claim {
                caller,
                first: frame_from(a),
                count: count_from(b),
            },
            280..430 => Self::Free {
                caller,
                word: word_from(a),
            },
            430..580 => Self::Map {
                caller,
                word: word_from(a),
                place: place_from(b),
                count: count_from(c),
                rights: rights_from(d),
            },
            580..690 => Self::Unmap {
                caller,
                which: a as usize,
            },
            690..860 => Self::MapDma {
                caller,
                word: word_from(a),
                place: place_from(b),
                count: count_from(c),
                rights: rights_from(d),
            },
            860..920 => Self::Bind {
                caller,
                word: word_from(a),
            },
            920..965 => Self::Give {
                caller,
                index: 1 + a as u32 % (FUNCTIONS - 1),
            },
            965..996 => Self::Table {
                caller,
                more: a % 4 != 0,
            },
            _ => Self::End { caller },
        }
    }
}
