//! The BARs of a function as devices on the bus.

use std::sync::Arc;

use super::function::Function;
use crate::machine::bus::BusDevice;

/// One BAR of one function.
pub struct Region {
    function: Arc<Function>,
    bar: u8,
}

impl Region {
    /// BAR `bar` of `function`.
    pub fn new(function: Arc<Function>, bar: u8) -> Self {
        Self { function, bar }
    }
}

impl BusDevice for Region {
    fn read(&self, offset: u64, data: &mut [u8]) {
        self.function.read_bar(self.bar, offset, data);
    }

    fn write(&self, offset: u64, data: &[u8]) {
        self.function.write_bar(self.bar, offset, data);
    }
}
