//! What runs: manifests, executables, and the bundle that is made of them.

pub mod bundle;
pub mod executable;
pub mod home;
pub mod manifest;
pub mod size;

#[cfg(test)]
pub mod fixture;
