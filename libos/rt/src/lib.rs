//! The libOS runtime.
#![no_std]
