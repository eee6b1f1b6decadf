//! Filters over so few bits that all packets can be tried.

use exo_abi::term::Term;
use exo_verifier::Filter;
use proptest::collection::vec;
use proptest::prelude::*;

use super::traffic::{Field, product};

/// Bytes of a small packet that vary, and the values that each takes; the second word of 8 bytes starts between them.
const BYTES: [usize; 3] = [6, 7, 8];
const VALUES: u8 = 4;
/// Lengths of small packets.
const LENGTHS: [usize; 3] = [7, 8, 12];

/// A sum of products of comparisons of bytes.
#[derive(Clone, Debug)]
pub struct SmallFilter(Vec<Vec<Field>>);

impl SmallFilter {
    /// The filter.
    pub fn filter(&self) -> Filter {
        let terms = self.0.iter().flat_map(|fields| product(fields));
        Filter::verify(terms).expect("a small filter means something")
    }

    /// The terms of one of its products.
    pub fn product(&self, index: usize) -> Vec<Term> {
        product(&self.0[index])
    }
}

impl Arbitrary for SmallFilter {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let masks = prop::sample::select(vec![0u64, 1, 2, 3]);
        let field = (6u32..9, 1u32..3, masks.clone(), masks, 0u64..0x404);
        let field = field.prop_map(|(offset, width, low, high, value)| match width {
            1 => ((offset, 1), low, value & low),
            _ => (
                (offset.min(7), 2),
                high << 8 | low,
                value & (high << 8 | low),
            ),
        });
        vec(vec(field, 1..4), 1..3).prop_map(Self).boxed()
    }
}

/// Every packet of these lengths with these values in these bytes.
pub fn all_packets() -> impl Iterator<Item = Vec<u8>> {
    let combinations = usize::from(VALUES).pow(BYTES.len() as u32);
    LENGTHS.into_iter().flat_map(move |length| {
        (0..combinations).map(move |mut combination| {
            let mut packet = vec![0; length];
            for position in BYTES {
                if let Some(byte) = packet.get_mut(position) {
                    *byte = (combination % usize::from(VALUES)) as u8;
                }
                combination /= usize::from(VALUES);
            }
            packet
        })
    })
}
