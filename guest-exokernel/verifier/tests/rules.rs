//! Each rule of the verifier: what it refuses, with which error, and at which term; and what it makes of what it accepts.

use exo_abi::term::{
    Comparison, END_OF_PRODUCT, FILTER_REACH, FILTER_TERMS_MAX, PREDICATE_TERMS_MAX, Source, Term,
};
use exo_abi::{Capability, Error};
use exo_verifier::{Filter, Loaded, Predicate, Range, Refusal, WordSource};
use proptest::prelude::*;

const CAPABILITY: u64 = 0x1_0000_0002;
const FRAME: u64 = 0x900;

const WORD: Term = Term {
    comparison: Comparison::Equal as u8,
    source: Source::FrameWord as u8,
    width: 8,
    flags: END_OF_PRODUCT,
    offset: 16,
    capability: CAPABILITY,
    frame: FRAME,
    mask: u64::MAX,
    value: 7,
};
const CALL_WORD: Term = Term {
    source: Source::CallWord as u8,
    capability: 0,
    frame: 0,
    ..WORD
};
const BYTES: Term = Term {
    source: Source::Packet as u8,
    width: 2,
    offset: 12,
    mask: 0xffff,
    value: 0x0800,
    ..CALL_WORD
};

fn deadline(time: u64) -> Term {
    Term {
        comparison: Comparison::GreaterOrEqual as u8,
        source: Source::Time as u8,
        offset: 0,
        value: time,
        ..CALL_WORD
    }
}

fn may_read(capability: Capability, frame: u64) -> Result<(), Error> {
    match (capability.0, frame) {
        (CAPABILITY, FRAME) => Ok(()),
        (CAPABILITY, _) => Err(Error::OutOfRange),
        _ => Err(Error::BadCapability),
    }
}

fn bind(terms: &[Term]) -> Result<Predicate, Refusal> {
    let mut predicate = Predicate::NONE;
    predicate.bind(terms.iter().copied(), may_read)?;
    Ok(predicate)
}

/// Each term alone is refused with this error.
fn expect_refused(accept: impl Fn(&[Term]) -> Option<Refusal>, terms: &[Term], error: Error) {
    for term in terms {
        let refusal = Refusal { accepted: 0, error };
        assert_eq!(accept(&[*term]), Some(refusal), "{term:?}");
    }
}

#[test]
fn predicates_read_only_what_the_owner_may() {
    let refused = |terms: &[Term]| bind(terms).err();
    assert_eq!(refused(&[WORD, CALL_WORD, deadline(3)]), None);
    let at = |offset| Term { offset, ..WORD };
    assert_eq!(refused(&[at(0), at(4088)]), None);
    for offset in [1, 4, 4089, 4092, 4096, u32::MAX - 7] {
        let call_word = Term {
            offset,
            ..CALL_WORD
        };
        expect_refused(refused, &[at(offset), call_word], Error::BadAddress);
    }
    let under = |capability, frame| Term {
        capability,
        frame,
        ..WORD
    };
    let foreign = [under(0, FRAME), under(CAPABILITY + 1, FRAME)];
    expect_refused(refused, &foreign, Error::BadCapability);
    let outside = [under(CAPABILITY, FRAME + 1), under(CAPABILITY, 1 << 52)];
    expect_refused(refused, &outside, Error::OutOfRange);
    // What a term does not need is zero.
    let named = [
        Term {
            frame: 1,
            ..CALL_WORD
        },
        Term {
            capability: CAPABILITY,
            ..deadline(1)
        },
        Term {
            offset: 8,
            ..deadline(1)
        },
    ];
    expect_refused(refused, &named, Error::BadArgument);
    expect_refused(refused, &[BYTES], Error::BadArgument);
}

#[test]
fn terms_without_a_meaning_are_refused() {
    let refused = |terms: &[Term]| bind(terms).err();
    let comparison = |comparison| Term { comparison, ..WORD };
    let source = |source| Term { source, ..WORD };
    let width = |width| Term { width, ..WORD };
    let flags = |flags| Term { flags, ..WORD };
    let of = |comparison, mask, value| Term {
        comparison: comparison as u8,
        mask,
        value,
        ..WORD
    };
    let nonsense = [
        comparison(0),
        comparison(7),
        source(0),
        source(5),
        width(0),
        width(4),
        width(16),
        flags(2),
        flags(0x81),
        of(Comparison::Equal, 0xff, 0x100),
        of(Comparison::NotEqual, 0, 0),
        of(Comparison::Less, 0xff, 0),
        of(Comparison::Greater, 0xff, 0xff),
        Term {
            comparison: Comparison::Less as u8,
            ..deadline(9)
        },
        Term {
            mask: 0xff,
            ..deadline(9)
        },
    ];
    expect_refused(refused, &nonsense, Error::BadArgument);
}

#[test]
fn programs_end_and_are_bounded() {
    let open = Term { flags: 0, ..WORD };
    let refusal = |accepted, error| Some(Refusal { accepted, error });
    assert_eq!(bind(&[]).err(), refusal(0, Error::BadCount));
    assert_eq!(bind(&[WORD, open]).err(), refusal(2, Error::BadArgument));
    let full = [WORD; PREDICATE_TERMS_MAX];
    assert_eq!(bind(&full).unwrap().tests().len(), PREDICATE_TERMS_MAX);
    let beyond = [WORD; PREDICATE_TERMS_MAX + 1];
    let most = PREDICATE_TERMS_MAX;
    assert_eq!(bind(&beyond).err(), refusal(most, Error::BadCount));
    let filter = [BYTES; FILTER_TERMS_MAX + 1];
    let refused = |terms: &[Term]| Filter::verify(terms.iter().copied()).err();
    assert_eq!(refused(&filter[1..]), None);
    assert_eq!(refused(&filter), refusal(FILTER_TERMS_MAX, Error::BadCount));
    // Nor does an endless series of terms keep the verifier.
    let mut predicate = Predicate::NONE;
    let endless = predicate.bind(std::iter::repeat(WORD), may_read);
    assert_eq!(endless.err(), refusal(most, Error::BadCount));
}

#[test]
fn a_refused_predicate_leaves_none() {
    let mut predicate = bind(&[WORD]).unwrap();
    let refusal = predicate.bind([WORD, BYTES], may_read).unwrap_err();
    assert_eq!((refusal.accepted, refusal.error), (1, Error::BadArgument));
    assert!(predicate.tests().is_empty());
    assert!(!predicate.holds(|_| Loaded::Operand(7)));
}

#[test]
fn filters_look_at_bytes_within_reach() {
    let refused = |terms: &[Term]| Filter::verify(terms.iter().copied()).err();
    let at = |offset, width| Term {
        offset,
        width,
        mask: 0xff,
        value: 1,
        ..BYTES
    };
    for width in [1, 2, 4, 8] {
        let last = FILTER_REACH - u32::from(width);
        assert_eq!(refused(&[at(last, width)]), None);
        let outside = [at(last + 1, width), at(u32::MAX, width)];
        expect_refused(refused, &outside, Error::BadAddress);
    }
    let nonsense = [
        at(0, 3),
        at(0, 0),
        WORD,
        CALL_WORD,
        deadline(1),
        Term { frame: 1, ..BYTES },
        Term {
            capability: 1,
            ..BYTES
        },
        Term {
            comparison: Comparison::NotEqual as u8,
            ..BYTES
        },
        Term {
            mask: 0x1_ffff,
            ..BYTES
        },
    ];
    expect_refused(refused, &nonsense, Error::BadArgument);
}

#[test]
fn a_packet_that_ends_early_is_not_taken() {
    let filter = Filter::verify([BYTES]).unwrap();
    let mut packet = [0; 14];
    packet[12] = 8;
    assert!(filter.accepts(&packet));
    assert!(!filter.accepts(&packet[..13]));
    let any = Term {
        mask: 0,
        value: 0,
        ..BYTES
    };
    let length = Filter::verify([any]).unwrap();
    assert!(length.accepts(&[1; 14]) && !length.accepts(&[1; 13]));
}

#[test]
fn a_revoked_word_makes_the_predicate_true() {
    let never = Term {
        flags: 0,
        ..CALL_WORD
    };
    let predicate = bind(&[never, WORD]).unwrap();
    let load = |revoked| {
        predicate.holds(|word| match word.source {
            WordSource::Frame if revoked => Loaded::Revoked,
            _ => Loaded::Operand(0),
        })
    };
    assert!(!load(false));
    // Also behind a comparison that does not hold.
    assert!(load(true));
}

proptest! {
    #[test]
    fn a_range_is_its_comparison(number in 1u8..=6, mask: u64, value: u64, operand: u64, near in -1i64..=1) {
        let comparison = Comparison::from_number(number).unwrap();
        let value = value & mask;
        let term = Term { comparison: number, mask, value, ..WORD };
        let Ok(range) = Range::of(&term, 8) else {
            prop_assert!(!matches!(comparison, Comparison::Equal | Comparison::LessOrEqual | Comparison::GreaterOrEqual));
            return Ok(());
        };
        for operand in [operand, value.wrapping_add_signed(near)] {
            let masked = operand & mask;
            let expected = match comparison {
                Comparison::Equal => masked == value,
                Comparison::NotEqual => masked != value,
                Comparison::Less => masked < value,
                Comparison::LessOrEqual => masked <= value,
                Comparison::Greater => masked > value,
                Comparison::GreaterOrEqual => masked >= value,
            };
            prop_assert_eq!(range.contains(operand), expected);
        }
    }

    #[test]
    fn a_deadline_is_when_time_makes_it_true(times in prop::collection::vec((0u64..20, any::<bool>()), 1..8), now in 0u64..20) {
        let mut terms: Vec<Term> = times
            .iter()
            .map(|&(time, ends)| Term { flags: u8::from(ends), ..deadline(time) })
            .collect();
        terms.last_mut().unwrap().flags = END_OF_PRODUCT;
        let predicate = bind(&terms).unwrap();
        let holds_at = |time| predicate.holds(|_| Loaded::Operand(time));
        let first = (now + 1..30).find(|&time| holds_at(time));
        if !holds_at(now) {
            prop_assert_eq!(predicate.deadline(now), first);
        }
    }
}
