//! Packet filters: over bytes of a packet, most significant byte first.

use exo_abi::Error;
use exo_abi::term::{Comparison, FILTER_REACH, FILTER_TERMS_MAX, Source, Term};

use crate::{Loaded, Range, Refusal, Verified};

/// A run of bytes of a packet, before [`FILTER_REACH`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketField {
    /// Where it starts.
    pub offset: u16,
    /// Bytes: 1, 2, 4 or 8.
    pub width: u8,
}

/// A packet filter.
pub type Filter = Verified<PacketField, FILTER_TERMS_MAX>;

impl Filter {
    /// The filter of these terms. Cost: linear in the terms.
    pub fn verify(terms: impl IntoIterator<Item = Term>) -> Result<Self, Refusal> {
        let mut filter = Self::empty(PacketField {
            offset: 0,
            width: 1,
        });
        filter.replace(terms, check)?;
        Ok(filter)
    }

    /// Whether the filter takes this packet. A term does not hold for a packet that ends before its bytes do.
    pub fn accepts(&self, packet: &[u8]) -> bool {
        self.holds(|field| match field.load(packet) {
            Some(operand) => Loaded::Operand(operand),
            None => Loaded::Absent,
        })
    }
}

impl PacketField {
    /// What the field holds; `None` where the packet ends before it does.
    pub fn load(&self, packet: &[u8]) -> Option<u64> {
        let start = usize::from(self.offset);
        let bytes = packet.get(start..start.checked_add(usize::from(self.width))?)?;
        let number = bytes
            .iter()
            .fold(0u64, |number, &byte| number << 8 | u64::from(byte));
        Some(number)
    }
}

fn check(term: &Term) -> Result<(PacketField, Range), Error> {
    let is_packet = term.source == Source::Packet as u8;
    // Only fixed bits can be compared with another owner's filter exactly, and cheaply; ranges are sums of such products.
    let is_equality = term.comparison == Comparison::Equal as u8;
    if !is_packet || !is_equality || term.capability != 0 || term.frame != 0 {
        return Err(Error::BadArgument);
    }
    let range = Range::of(term, term.width)?;
    let end = term.offset.checked_add(u32::from(term.width));
    if end.is_none_or(|end| end > FILTER_REACH) {
        return Err(Error::BadAddress);
    }
    let offset = u16::try_from(term.offset).map_err(|_| Error::BadAddress)?;
    let field = PacketField {
        offset,
        width: term.width,
    };
    Ok((field, range))
}
