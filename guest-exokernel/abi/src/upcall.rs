//! Exception upcalls: which vectors, and what the CPU has pushed.
//!
//! The CPU pushes downwards from [`crate::environment::EXCEPTION_STACK_TOP`] in the environment page: SS, RSP, RFLAGS, CS,
//! RIP; then the error code for the vectors that have one; then, for a page fault, the kernel adds CR2. The libOS is
//! entered at `entry + UPCALL_ENTRY_STRIDE * vector`, so the address tells the vector.

/// Distance between the upcall entries of neighbouring vectors.
pub const UPCALL_ENTRY_STRIDE: u64 = 16;
/// Slot of a `syscall` instruction whose number is no kernel call.
pub const VECTOR_SYSCALL: u64 = 32;

abi_enum! {
    /// Exceptions that are delivered as upcalls (Intel SDM volume 3, section 6.15).
    pub enum Vector: u64 {
        /// #DE
        DivideError = 0 => "divide-error",
        /// #DB
        Debug = 1 => "debug",
        /// #BP
        Breakpoint = 3 => "breakpoint",
        /// #OF
        Overflow = 4 => "overflow",
        /// #BR
        BoundRange = 5 => "bound-range",
        /// #UD
        InvalidOpcode = 6 => "invalid-opcode",
        /// #NM
        DeviceNotAvailable = 7 => "device-not-available",
        /// #TS
        InvalidTss = 10 => "invalid-tss",
        /// #NP
        SegmentNotPresent = 11 => "segment-not-present",
        /// #SS
        StackFault = 12 => "stack-fault",
        /// #GP
        GeneralProtection = 13 => "general-protection",
        /// #PF
        PageFault = 14 => "page-fault",
        /// #MF
        FloatingPoint = 16 => "floating-point",
        /// #AC
        AlignmentCheck = 17 => "alignment-check",
        /// #XM
        SimdFloatingPoint = 19 => "simd-floating-point",
        /// A reflected `syscall` instruction.
        Syscall = VECTOR_SYSCALL => "syscall",
    }
}

impl Vector {
    /// Whether the CPU pushes an error code.
    pub const fn has_error_code(self) -> bool {
        matches!(
            self,
            Self::InvalidTss
                | Self::SegmentNotPresent
                | Self::StackFault
                | Self::GeneralProtection
                | Self::PageFault
                | Self::AlignmentCheck
        )
    }
}
