//! Who owns what.
#![no_std]
#![forbid(unsafe_code)]
