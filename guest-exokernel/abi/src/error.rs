//! What a kernel call can answer; zero in the status register means done.

abi_enum! {
    /// Why a call was refused. A refused call has changed nothing.
    pub enum Error: u64 {
        /// An address is misaligned, or outside what a libOS may map or name.
        BadAddress = 1 => "bad-address",
        /// A count is zero, too large, or makes a range wrap around.
        BadCount = 2 => "bad-count",
        /// A number that selects something (rights, size, index, environment) has no meaning.
        BadArgument = 3 => "bad-argument",
        /// The word is no capability that the caller holds: forged, guessed, stale, or another environment's.
        BadCapability = 4 => "bad-capability",
        /// The capability names a resource of another kind.
        WrongKind = 5 => "wrong-kind",
        /// The capability lacks a right that the call needs.
        NotPermitted = 6 => "not-permitted",
        /// The range is not inside what the capability names, or names no memory of this machine.
        OutOfRange = 7 => "out-of-range",
        /// The frame that was asked for by name belongs to somebody.
        Taken = 8 => "taken",
        /// Nothing of what was asked for is free.
        Exhausted = 9 => "exhausted",
        /// The caller's quota does not allow it.
        Quota = 10 => "quota",
        /// The resource is still mapped or bound, or others are derived from it.
        InUse = 11 => "in-use",
        /// There is nothing mapped there.
        NotMapped = 12 => "not-mapped",
        /// The function is not bound to the caller yet, or is bound already.
        BadState = 13 => "bad-state",
        /// This machine does not have what the call needs.
        Unsupported = 14 => "unsupported",
        /// The environment does not accept this from the caller, or has ended.
        Unwilling = 15 => "unwilling",
        /// The environment that was to reply has ended.
        Ended = 16 => "ended",
        /// The environment runs on another vCPU.
        OtherVcpu = 17 => "other-vcpu",
    }
}

/// Status of a call that was done.
pub const DONE: u64 = 0;
