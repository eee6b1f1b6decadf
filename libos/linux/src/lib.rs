//! The Linux personality: unmodified static Linux programs, whose system calls are procedure calls into this libOS.
//!
//! A program and its libOS share one environment. [`process::Process`] is all the state of the program; [`calls`] implements the
//! system calls on it, and does not know how a call came: by a rewritten instruction ([`rewrite`]) or by a trap.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod calls;
pub mod crash;
pub mod dispatcher;
pub mod errno;
pub mod executable;
pub mod family;
pub mod files;
pub mod fork;
pub mod futex;
pub mod idle;
pub mod loader;
pub mod memory;
pub mod message;
pub mod options;
pub mod place;
pub mod process;
pub mod rewrite;
pub mod signal;
pub mod stack;
pub mod start;
pub mod statistics;
pub mod thread;
pub mod usage;
pub mod wait;
