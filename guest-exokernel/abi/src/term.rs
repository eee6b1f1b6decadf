//! Downloaded code: wakeup predicates, which the kernel evaluates for an environment that sleeps, and packet filters, which the VMM
//! evaluates for each packet.
//!
//! A program is a sum of products of comparisons: it holds if all comparisons of one of its products hold. It is an array of
//! terms, one comparison each; the last of a product carries [`END_OF_PRODUCT`]. There are no jumps, no stores, and no state, so
//! what `exo-verifier` accepts ends after one look at each term.

/// Most terms of a wakeup predicate.
pub const PREDICATE_TERMS_MAX: usize = 8;
/// Most terms of a packet filter.
pub const FILTER_TERMS_MAX: usize = 64;
/// A packet filter looks at bytes of the packet before this one.
pub const FILTER_REACH: u32 = 256;
/// Bit of [`Term::flags`]: the product ends with this term.
pub const END_OF_PRODUCT: u8 = 1;

abi_enum! {
    /// What has to be so of the masked operand (left) and the value (right), both unsigned, for a term to hold.
    pub enum Comparison: u8 {
        /// They are equal.
        Equal = 1 => "equal",
        /// They differ.
        NotEqual = 2 => "not-equal",
        /// The operand is below the value.
        Less = 3 => "less",
        /// The operand is not above the value.
        LessOrEqual = 4 => "less-or-equal",
        /// The operand is above the value.
        Greater = 5 => "greater",
        /// The operand is not below the value.
        GreaterOrEqual = 6 => "greater-or-equal",
    }
}

abi_enum! {
    /// Where a term takes its operand from.
    pub enum Source: u8 {
        /// The time stamp counter. Predicates only: reached or not, so `greater-or-equal` with all bits of the mask.
        Time = 1 => "time",
        /// The 64-bit word at `offset` of the caller's own call page. Predicates only.
        CallWord = 2 => "call-word",
        /// The 64-bit word at `offset` of frame `frame`, which `capability` lets the caller read. Predicates only.
        FrameWord = 3 => "frame-word",
        /// `width` bytes of the packet from `offset` on, the first the most significant. Filters only: `equal`. The term does not hold
        /// for a packet that ends before them.
        Packet = 4 => "packet",
    }
}

/// One comparison. What the source does not need is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Term {
    /// A [`Comparison`].
    pub comparison: u8,
    /// A [`Source`].
    pub source: u8,
    /// Bytes of the operand: 8 for predicates; 1, 2, 4 or 8 for filters.
    pub width: u8,
    /// [`END_OF_PRODUCT`] or 0.
    pub flags: u8,
    /// Where the operand starts, in bytes; a multiple of 8 for words.
    pub offset: u32,
    /// Capability of a word's frame.
    pub capability: u64,
    /// Number of that frame.
    pub frame: u64,
    /// Which bits of the operand count.
    pub mask: u64,
    /// What they are compared with; no bit outside the mask.
    pub value: u64,
}

const _: () = assert!(size_of::<Term>() == 40);
