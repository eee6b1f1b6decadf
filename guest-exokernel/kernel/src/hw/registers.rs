//! Control registers, model-specific registers, the local APIC.

use core::arch::asm;

use exo_abi::bundle::Features;

/// IA32_APIC_BASE, with the x2APIC enable bit (Intel SDM volume 3, section 11.12.1).
pub const APIC_BASE: u32 = 0x1b;
/// Bit of [`APIC_BASE`].
pub const APIC_BASE_ENABLE: u64 = 1 << 11;
/// Bit of [`APIC_BASE`].
pub const APIC_BASE_X2APIC: u64 = 1 << 10;
/// Number of this vCPU's local APIC.
pub const X2APIC_ID: u32 = 0x802;
/// Further x2APIC registers (table 11-6).
const X2APIC_SPURIOUS: u32 = 0x80f;
const X2APIC_COMMAND: u32 = 0x830;
const X2APIC_TIMER: u32 = 0x832;
/// Register that ends an interrupt: for interrupt.S, too.
pub const X2APIC_EOI: u32 = 0x80b;
/// IA32_TSC_DEADLINE: the timer fires when the time stamp counter reaches it; 0 disarms (Intel SDM volume 3, section 11.5.4.1).
pub const TSC_DEADLINE: u32 = 0x6e0;
/// TSC-deadline mode, in the timer's entry of the local vector table.
const TIMER_TSC_DEADLINE: u64 = 2 << 17;
/// SYSCALL registers (Intel SDM volume 2, SYSCALL).
const STAR: u32 = 0xc000_0081;
const LSTAR: u32 = 0xc000_0082;
const FMASK: u32 = 0xc000_0084;
const FS_BASE: u32 = 0xc000_0100;
const GS_BASE: u32 = 0xc000_0101;
const KERNEL_GS_BASE: u32 = 0xc000_0102;
/// SYSCALL takes CS 8 and SS 16; SYSRET takes SS 0x18 + 8 and CS 0x18 + 16.
const STAR_SEGMENTS: u64 = 0x18 << 48 | 0x08 << 32;
/// Flags that SYSCALL clears: TF, IF, DF, IOPL, NT, AC.
const SYSCALL_FLAGS: u64 = 1 << 8 | 1 << 9 | 1 << 10 | 3 << 12 | 1 << 14 | 1 << 18;
const CR4_UMIP: u64 = 1 << 11;
const CR4_FSGSBASE: u64 = 1 << 16;
const CR4_SMEP: u64 = 1 << 20;
const CR4_SMAP: u64 = 1 << 21;

fn write_msr(register: u32, value: u64) {
    // SAFETY: every caller is in this file, writes a register that the vCPU has, and a value that keeps the kernel's invariants.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack, preserves_flags));
    }
}

fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: every caller is in this file, and reads a register that the vCPU has and that reading does not change.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Prepares `syscall` on this vCPU: entry, segments, flags, and the kernel's GS base.
pub fn start_syscall(entry: u64, area: u64) {
    write_msr(STAR, STAR_SEGMENTS);
    write_msr(FMASK, SYSCALL_FLAGS);
    write_msr(KERNEL_GS_BASE, area);
    set_syscall_entry(entry);
}

/// Says where `syscall` goes.
pub fn set_syscall_entry(entry: u64) {
    write_msr(LSTAR, entry);
}

/// Turns on what of CR4 the machine's features allow (Intel SDM volume 3, section 2.5). The kernel executes, reads and writes no page
/// of ring 3, so that nothing has to be let through.
pub fn set_control_features(features: u64) {
    let bit = |feature: u64, bit: u64| if features & feature != 0 { bit } else { 0 };
    let bits = bit(Features::FSGSBASE, CR4_FSGSBASE)
        | bit(Features::SMEP, CR4_SMEP)
        | bit(Features::SMAP, CR4_SMAP)
        | bit(Features::UMIP, CR4_UMIP);
    if bits == 0 {
        return;
    }
    // SAFETY: the features say that the vCPU has these bits, and no code of the kernel needs what they forbid.
    unsafe {
        asm!("mov {0}, cr4", "or {0}, {1}", "mov cr4, {0}", out(reg) _, in(reg) bits, options(nostack));
    }
}

/// Bases of FS and GS, as ring 3 set them.
pub fn segment_bases() -> [u64; 2] {
    [read_msr(FS_BASE), read_msr(GS_BASE)]
}

/// Sets the bases of FS and GS to canonical values.
pub fn set_segment_bases([fs, gs]: [u64; 2]) {
    write_msr(FS_BASE, fs);
    write_msr(GS_BASE, gs);
}

/// Loads the null selector into the data segment registers; the bases of FS and GS are to be set behind it.
pub fn clear_selectors() {
    // SAFETY: the kernel uses no segment but those of code and stack.
    unsafe {
        asm!("mov ds, {0:e}", "mov es, {0:e}", "mov fs, {0:e}", "mov gs, {0:e}", in(reg) 0, options(nostack, preserves_flags));
    }
}

/// Takes the local APIC into x2APIC mode and enables it. Vector 0xff is its spurious one.
pub fn start_apic() {
    write_msr(
        APIC_BASE,
        read_msr(APIC_BASE) | APIC_BASE_ENABLE | APIC_BASE_X2APIC,
    );
    write_msr(X2APIC_SPURIOUS, 1 << 8 | 0xff);
}

/// Ends the interrupt in service.
pub fn end_interrupt() {
    write_msr(X2APIC_EOI, 0);
}

/// Says which vector the timer raises, in TSC-deadline mode.
pub fn set_timer_vector(vector: usize) {
    write_msr(X2APIC_TIMER, TIMER_TSC_DEADLINE | vector as u64);
}

/// Arms the timer for a time stamp, which may have passed; 0 disarms it. In x2APIC mode no fence is needed behind
/// [`set_timer_vector`] (Intel SDM volume 3, section 11.5.4.1).
pub fn set_deadline(time_stamp: u64) {
    write_msr(TSC_DEADLINE, time_stamp);
}

/// Starts vCPU `number` at real-mode page `page` (Intel SDM volume 3, section 9.4.4).
pub fn start_vcpu(number: u32, page: u8) {
    let destination = u64::from(number) << 32;
    const LEVEL_ASSERT: u64 = 1 << 14;
    const INIT: u64 = 5 << 8;
    const START_UP: u64 = 6 << 8;
    write_msr(X2APIC_COMMAND, destination | LEVEL_ASSERT | INIT);
    write_msr(
        X2APIC_COMMAND,
        destination | LEVEL_ASSERT | START_UP | u64::from(page),
    );
}

/// Interrupts vCPU `index`. What was stored before is visible to it then: a write to an x2APIC register waits for no store by
/// itself (section 11.12.3).
pub fn interrupt_vcpu(index: usize, vector: usize) {
    const LEVEL_ASSERT: u64 = 1 << 14;
    // SAFETY: fences change nothing.
    unsafe { asm!("mfence", "lfence", options(nostack, preserves_flags)) };
    write_msr(
        X2APIC_COMMAND,
        (index as u64) << 32 | LEVEL_ASSERT | vector as u64,
    );
}

/// The time stamp counter.
pub fn time_stamp() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a register.
    unsafe {
        asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags))
    };
    u64::from(high) << 32 | u64::from(low)
}

/// The address of the last page fault.
pub fn fault_address() -> u64 {
    let address: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags)) };
    address
}

/// The root of the address space that is loaded.
pub fn root() -> u64 {
    let root: u64;
    // SAFETY: reads a register. It changes behind the compiler's back, so the assembly is volatile.
    unsafe { asm!("mov {}, cr3", out(reg) root, options(nomem, nostack, preserves_flags)) };
    root
}

/// Switches to the address space with this root.
pub fn set_root(root: u64) {
    // SAFETY: every root that the kernel makes maps the kernel alike.
    unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) };
}

/// Forgets all translations of this vCPU: none is global.
pub fn flush_translations() {
    // SAFETY: the same root is loaded again.
    unsafe {
        asm!("mov {0}, cr3", "mov cr3, {0}", out(reg) _, options(nostack, preserves_flags));
    }
}

/// Forgets the translation of one page.
pub fn flush_page(address: u64) {
    // SAFETY: flushing is always allowed.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) };
}

/// Sleeps until an interrupt has been handled, with no gap in which one could be missed; interrupts are off before and after.
pub fn wait_for_interrupt() {
    // SAFETY: interrupts use a stack of their own; `sti` takes effect after `hlt` has begun.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
}

/// Stops this vCPU for good.
pub fn stop() -> ! {
    loop {
        // SAFETY: nothing is left to do.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) };
    }
}
