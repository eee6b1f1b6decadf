//! Makes programs that are right, and then, more often than not, spoils them a little.

use exo_abi::term::Term;

use super::random::Random;
use super::world::GRANTS;

const INTERESTING: [u64; 12] = [
    0,
    1,
    2,
    7,
    8,
    0xff,
    0x100,
    0xffff,
    0x1_0000,
    0xffff_ffff,
    1 << 63,
    u64::MAX,
];

/// Terms of products of a few each.
fn terms(random: &mut Random, most: u64, mut term: impl FnMut(&mut Random) -> Term) -> Vec<Term> {
    let count = 1 + random.below(random.clone().pick(&[2, 4, most]));
    let mut terms: Vec<Term> = (0..count).map(|_| term(random)).collect();
    for term in &mut terms {
        term.flags = u8::from(random.one_in(2));
    }
    terms.last_mut().unwrap().flags = 1;
    terms
}

/// A wakeup predicate.
pub fn predicate(random: &mut Random) -> Vec<Term> {
    let mut terms = terms(random, 8, |random| {
        let mask = random.pick(&[u64::MAX, u64::MAX, 0xffff, 0xff00, 1, 1 << 63]);
        let comparison = 1 + random.below(6) as u8;
        let value = random.pick(&[random.clone().pick(&INTERESTING), random.clone().word()]);
        let mut term = Term {
            comparison,
            source: 1 + random.below(3) as u8,
            width: 8,
            flags: 0,
            offset: 8 * random.below(512) as u32,
            capability: 0,
            frame: 0,
            mask,
            value: value & mask,
        };
        match term.source {
            1 => {
                (term.comparison, term.mask, term.offset) = (6, u64::MAX, 0);
                term.value = random.pick(&[0, 1, 50, 51, 1000, u64::MAX]);
            }
            3 => {
                let (capability, first, count) = random.pick(&GRANTS);
                term.capability = capability;
                term.frame = first + random.below(count);
            }
            _ => {}
        }
        term
    });
    if !random.one_in(3) {
        spoil(random, &mut terms, &[4080, 4088, 4089, 4092, 4096, 4]);
    }
    terms
}

/// A packet filter.
pub fn filter(random: &mut Random) -> Vec<Term> {
    let mut terms = terms(random, 64, |random| {
        let width = random.pick(&[1, 2, 4, 8]);
        let bits = u64::MAX >> (64 - 8 * u64::from(width));
        let mask = random.pick(&[bits, bits, bits >> 4, 1, random.clone().word()]) & bits;
        Term {
            comparison: 1,
            source: 4,
            width,
            flags: 0,
            offset: random.pick(&[
                0,
                12,
                14,
                23,
                30,
                256 - u32::from(width),
                random.clone().below(249) as u32,
            ]),
            capability: 0,
            frame: 0,
            mask,
            value: random.word() & mask,
        }
    });
    if !random.one_in(3) {
        spoil(
            random,
            &mut terms,
            &[247, 248, 249, 252, 253, 254, 255, 256],
        );
    }
    terms
}

/// Changes one or two things.
fn spoil(random: &mut Random, terms: &mut Vec<Term>, offsets: &[u32]) {
    for _ in 0..1 + random.below(2) {
        if terms.is_empty() {
            return;
        }
        let index = random.below(terms.len() as u64) as usize;
        let (length, any) = (terms.len(), random.word());
        let term = &mut terms[index];
        match random.below(16) {
            0 => term.comparison = random.pick(&[0, 1, 2, 6, 7, 0x81, any as u8]),
            1 => term.source = random.pick(&[0, 1, 2, 3, 4, 5, any as u8]),
            2 => term.width = random.pick(&[0, 1, 2, 3, 4, 5, 7, 8, 9, 16, any as u8]),
            3 => term.flags = random.pick(&[0, 1, 2, 3, 0x80, any as u8]),
            4 => term.offset = random.pick(offsets),
            5 => term.offset = random.pick(&[u32::MAX, u32::MAX - 7, 1 << 31, any as u32]),
            6 => term.capability = random.pick(&[0, 1, GRANTS[0].0, GRANTS[1].0, any]),
            7 => term.capability = term.capability.wrapping_add(random.pick(&[1, 1 << 32])),
            8 => term.frame = term.frame.wrapping_add(random.pick(&[1, 2, 3, u64::MAX])),
            9 => term.frame = random.pick(&[0, 1 << 52, 1 << 63, u64::MAX, any]),
            10 => term.mask = random.pick(&[random.clone().pick(&INTERESTING), any]),
            11 => term.value = random.pick(&[random.clone().pick(&INTERESTING), any]),
            12 => terms[length - 1].flags = 0,
            13 => terms.truncate(index),
            14 => {
                // Too long, by one or more.
                let term = *term;
                let fill = random.pick(&[8, 9, 64, 65, 70]);
                while terms.len() < fill {
                    terms.insert(0, term);
                }
            }
            _ => terms.swap(index, length - 1),
        }
    }
}

/// A packet that many of these terms take.
pub fn packet(random: &mut Random, terms: &[Term]) -> Vec<u8> {
    let length = random.pick(&[0, 14, 60, 255, 256, 300]);
    let mut packet: Vec<u8> = (0..length).map(|_| random.word() as u8).collect();
    if random.one_in(8) {
        return packet;
    }
    // One product in full, else a long filter would take next to nothing.
    let products: Vec<&[Term]> = terms.split_inclusive(|term| term.flags & 1 != 0).collect();
    if products.is_empty() {
        return packet;
    }
    for term in products[random.below(products.len() as u64) as usize] {
        let width = usize::from(term.width.min(8));
        for index in 0..width {
            if let Some(byte) = packet.get_mut((term.offset as usize).saturating_add(index)) {
                let shift = 8 * (width - 1 - index);
                let (mask, value) = ((term.mask >> shift) as u8, (term.value >> shift) as u8);
                *byte = *byte & !mask | value & mask;
            }
        }
    }
    packet
}
