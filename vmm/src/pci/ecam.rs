//! The ECAM window: which function's configuration space an address means.

use std::sync::Arc;

use exo_abi::address::PAGE_SIZE;

use super::function::Function;
use crate::machine::bus::BusDevice;

/// The window over all functions.
pub struct Ecam {
    functions: Vec<Arc<Function>>,
}

impl Ecam {
    /// The window over `functions`.
    pub fn new(functions: Vec<Arc<Function>>) -> Self {
        Self { functions }
    }

    fn find(&self, offset: u64, length: usize) -> Option<(&Function, u64)> {
        let (page, rest) = (offset / PAGE_SIZE, offset % PAGE_SIZE);
        let function = self
            .functions
            .iter()
            .find(|function| u64::from(function.record().address) == page)?;
        // An access is naturally aligned, and at most 4 bytes long (PCI Express base specification, section 7.2.2).
        let aligned = matches!(length, 1 | 2 | 4) && rest % length as u64 == 0;
        aligned.then_some((function.as_ref(), rest))
    }
}

impl BusDevice for Ecam {
    fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        if let Some((function, offset)) = self.find(offset, data.len()) {
            function.read_configuration(offset, data);
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        if let Some((function, offset)) = self.find(offset, data.len()) {
            function.write_configuration(offset, data);
        }
    }
}
