//! What runs: manifests, executables, and the bundle that is made of them.

pub mod attachment;
pub mod bundle;
pub mod executable;
#[cfg(test)]
pub(crate) mod fixture;
pub mod home;
pub mod manifest;
pub mod planner;
pub mod root;
pub mod size;
pub mod slice;
