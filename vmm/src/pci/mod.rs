//! The PCI side of devices: configuration space, BARs, MSI-X, and modern virtio over them.

pub mod configuration;
pub mod ecam;
pub mod function;
pub mod msix;
pub mod placement;
pub mod regions;
mod transport;
