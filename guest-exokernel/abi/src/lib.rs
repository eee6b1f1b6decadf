//! The contract of Exovisor: every number, layout and error, defined once.
//!
//! The VMM, the kernel, the libOS runtime and the tests all build against this crate, so that no number is typed twice.
//! It has no dependencies and no unsafe code; `ABI.md` beside it explains what the numbers mean.
#![no_std]
#![forbid(unsafe_code)]

/// Defines a numbered enumeration once: the enum, the list of all its values, their names, and the way back from a number.
macro_rules! abi_enum {
    ($(#[$meta:meta])* $visibility:vis enum $name:ident : $number:ty {
        $($(#[$value_meta:meta])* $value:ident = $literal:expr => $text:literal,)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr($number)]
        $visibility enum $name { $($(#[$value_meta])* $value = $literal,)+ }

        impl $name {
            /// Every value, in the order of definition.
            pub const ALL: &'static [Self] = &[$(Self::$value,)+];

            /// The name that documents, tables and JSON use.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$value => $text,)+ }
            }

            /// The value with this number, or `None` where the ABI has none.
            pub const fn from_number(number: $number) -> Option<Self> {
                $(if number == Self::$value as $number { return Some(Self::$value); })+
                None
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                formatter.write_str(self.name())
            }
        }
    };
}

pub mod address;
pub mod bundle;
pub mod call;
pub mod capability;
pub mod control;
pub mod crash;
pub mod environment;
pub mod error;
pub mod file_index;
pub mod frame;
pub mod function;
pub mod interface_page;
pub mod layout;
pub mod map;
pub mod page_entry;
pub mod port;
pub mod pvh;
pub mod revocation;
pub mod slice;
pub mod term;
pub mod upcall;
pub mod version;
pub mod virtio;

pub use call::Call;
pub use capability::{Capability, Kind, Rights};
pub use environment::EnvironmentId;
pub use error::Error;
pub use version::ABI_VERSION;
