//! I/O ports of the machine. The first two exist under QEMU too (`-serial`, `isa-debug-exit`).

/// Transmit register of the console (a 16550 UART that is always ready). A port capability lets a libOS write it directly.
pub const CONSOLE_PORT: u16 = 0x3f8;
/// The kernel ends the machine by a write here: an [`ExitCode`].
pub const EXIT_PORT: u16 = 0xf4;
/// The kernel asks the control device by a write here: the frame number of its [`crate::control::ControlBlock`].
pub const CONTROL_PORT: u16 = 0x510;

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
