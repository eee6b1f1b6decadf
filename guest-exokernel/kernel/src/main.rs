//! The exokernel: it keeps track of who owns what, checks once when a resource is bound, and takes resources back.
//!
//! From ring 3 there are three ways in, all in `hw/assembly`: a call (`gate.S`, then [`calls`]), an exception (`upcall.S`, straight
//! back to the libOS; [`fault`] only where that cannot be), a device interrupt (`interrupt.S`, then [`interrupts`]). [`boot`] is the way
//! from the loader to the first libOS instruction; [`scheduler`] is the way back into an environment.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod bindings;
#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
mod calls;
#[cfg(target_os = "none")]
mod control_device;
#[cfg(target_os = "none")]
mod creation;
#[cfg(target_os = "none")]
mod ending;
mod entries;
#[cfg(target_os = "none")]
mod fault;
#[cfg(target_os = "none")]
mod hw;
#[cfg(target_os = "none")]
mod interrupts;
#[cfg(target_os = "none")]
mod iommu;
#[cfg(target_os = "none")]
mod kernel;
#[cfg(target_os = "none")]
mod mappings;
#[cfg(target_os = "none")]
mod ports;
#[cfg(target_os = "none")]
mod predicates;
mod revocation;
#[cfg(target_os = "none")]
mod ring;
#[cfg(target_os = "none")]
mod routes;
#[cfg(target_os = "none")]
mod scheduler;
#[cfg(target_os = "none")]
mod sleepers;
#[cfg(target_os = "none")]
mod sleeping;
#[cfg(target_os = "none")]
mod slices;
#[cfg(target_os = "none")]
mod timer;
#[cfg(target_os = "none")]
mod transfer;

/// The kernel is no program of the host: `scripts/build` builds it for its own target.
#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("exo-kernel runs in ring 0 of the guest: start it with scripts/exo run");
}
