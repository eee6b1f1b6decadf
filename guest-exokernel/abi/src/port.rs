//! I/O ports of the machine, and which can be given to environments. Console and exit exist under QEMU too (`-serial`,
//! `isa-debug-exit`).

/// Transmit register of the console (a 16550 UART that is always ready). A port capability lets a libOS write it directly.
pub const CONSOLE_PORT: u16 = 0x3f8;
/// Transmit register of the second console, which writes to the standard error of the VMM.
pub const ERROR_PORT: u16 = 0x2f8;
/// A libOS tells of a crash by a write of four bytes here, with the address of a [`crate::crash::CrashRecord`] in rdi.
pub const CRASH_PORT: u16 = 0x2f0;
/// The kernel ends the machine by a write here: an [`ExitCode`].
pub const EXIT_PORT: u16 = 0xf4;
/// The kernel asks the control device by a write here: the frame number of its [`crate::control::ControlBlock`].
pub const CONTROL_PORT: u16 = 0x510;
/// Ports from here on can be given to no environment: the I/O bitmap of a task state segment ends here.
pub const PORTS_END: u16 = 0x400;
/// First ports and counts of what the kernel keeps for itself: it is given to no environment either.
pub const KERNEL_PORTS: [(u16, u16); 2] = [(EXIT_PORT, 4), (CONTROL_PORT, 4)];

/// A run of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct PortRange {
    /// First port.
    pub first: u16,
    /// Ports; 0: the range is not there.
    pub count: u16,
}

impl PortRange {
    /// Whether an environment may be given it: not empty, below [`PORTS_END`], and none of the kernel's.
    pub const fn is_grantable(self) -> bool {
        let end = self.first as u32 + self.count as u32;
        let mut index = 0;
        while index < KERNEL_PORTS.len() {
            let (first, count) = KERNEL_PORTS[index];
            if (self.first as u32) < first as u32 + count as u32 && (first as u32) < end {
                return false;
            }
            index += 1;
        }
        self.count != 0 && end <= PORTS_END as u32
    }
}

abi_enum! {
    /// How the machine ended.
    pub enum ExitCode: u32 {
        /// All environments have ended; the exported environment table says how.
        Orderly = 0 => "orderly",
        /// The kernel found a fault in itself; its message is on the console.
        Panic = 1 => "kernel-panic",
        /// The boot information was refused; the reason is on the console.
        BadBoot = 2 => "bad-boot-information",
    }
}
