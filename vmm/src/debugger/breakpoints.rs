//! The four debug registers of x86 (Intel SDM volume 3, section 18.2): where the guest stops for the debugger.
//!
//! They need no byte of the guest to change: an `int3` in its memory would be taken for a kernel call.

/// Debug registers that hold an address.
pub const REGISTERS: usize = 4;
/// DR7: bit 10 is always set.
const ALWAYS_ONE: u64 = 1 << 10;
/// DR7: exact data breakpoints, which old processors ask for.
const EXACT: u64 = 1 << 9;

/// What a breakpoint waits for; the numbers are those of the field R/W in DR7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// An instruction fetch.
    Execute = 0,
    /// A store.
    Write = 1,
    /// A load or a store.
    ReadWrite = 3,
}

/// One breakpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breakpoint {
    /// Linear address.
    pub address: u64,
    /// What stops there.
    pub access: Access,
    /// Bytes that it covers: 1 for an instruction, else 1, 2, 4 or 8.
    pub bytes: u64,
}

impl Breakpoint {
    /// A breakpoint on an instruction.
    pub fn at(address: u64) -> Self {
        Self {
            address,
            access: Access::Execute,
            bytes: 1,
        }
    }

    /// Whether a debug register can hold it: naturally aligned, and of a length that there is.
    fn is_possible(&self) -> bool {
        matches!(self.bytes, 1 | 2 | 4 | 8) && self.address.is_multiple_of(self.bytes)
    }

    /// The fields R/W and LEN.
    fn bits(&self) -> u64 {
        let length = match self.bytes {
            2 => 1,
            4 => 3,
            8 => 2,
            _ => 0,
        };
        self.access as u64 | length << 2
    }
}

/// All breakpoints; the same on every vCPU.
#[derive(Clone, Copy, Debug, Default)]
pub struct Breakpoints([Option<Breakpoint>; REGISTERS]);

impl Breakpoints {
    /// Adds one; false where no register can hold it, or none is free. One that is there already is not held twice.
    pub fn add(&mut self, breakpoint: Breakpoint) -> bool {
        if self.0.contains(&Some(breakpoint)) {
            return true;
        }
        let free = self.0.iter_mut().find(|slot| slot.is_none());
        match free {
            Some(slot) if breakpoint.is_possible() => {
                *slot = Some(breakpoint);
                true
            }
            _ => false,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.iter().flatten().count()
    }

    /// Removes one; false where it is not there.
    pub fn remove(&mut self, breakpoint: Breakpoint) -> bool {
        let found = self.0.iter_mut().find(|slot| **slot == Some(breakpoint));
        found.is_some_and(|slot| slot.take().is_some())
    }

    /// The breakpoint of a register.
    pub fn get(&self, register: usize) -> Option<Breakpoint> {
        *self.0.get(register)?
    }

    /// Values of DR0 to DR7.
    pub fn registers(&self) -> [u64; 8] {
        let mut registers = [0; 8];
        let mut control = ALWAYS_ONE | EXACT;
        for (number, breakpoint) in self.0.iter().enumerate() {
            let (Some(breakpoint), Some(address)) = (breakpoint, registers.get_mut(number)) else {
                continue;
            };
            *address = breakpoint.address;
            control |= 2 << (2 * number) | breakpoint.bits() << (16 + 4 * number);
        }
        if let Some(last) = registers.last_mut() {
            *last = control;
        }
        registers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: Breakpoint = Breakpoint {
        address: 0x1001,
        access: Access::Execute,
        bytes: 1,
    };

    #[test]
    fn registers_say_what_the_manual_prescribes() {
        let mut all = Breakpoints::default();
        assert_eq!(all.registers(), [0, 0, 0, 0, 0, 0, 0, 0x600]);
        assert!(all.add(CODE));
        assert!(all.add(Breakpoint {
            address: 0x2000,
            access: Access::Write,
            bytes: 8,
        }));
        // Global enable of 0 and 1; LEN 10 and R/W 01 of register 1.
        let control = 0x600 | 0b1010 | 0b1001 << 20;
        assert_eq!(all.registers(), [0x1001, 0x2000, 0, 0, 0, 0, 0, control]);
        assert!(all.remove(CODE));
        assert!(!all.remove(CODE));
        assert_eq!(all.registers()[0], 0);
    }

    #[test]
    fn what_no_register_holds_is_refused() {
        let mut all = Breakpoints::default();
        let odd = Breakpoint {
            address: 0x2001,
            access: Access::ReadWrite,
            bytes: 4,
        };
        assert!(!all.add(odd));
        assert!(!all.add(Breakpoint { bytes: 3, ..odd }));
        for address in 0..4 {
            assert!(all.add(Breakpoint { address, ..CODE }));
        }
        assert!(!all.add(CODE));
        assert!(all.add(Breakpoint { address: 2, ..CODE }));
    }
}
