//! The frame on which a handler runs: what it finds on its stack, and what `rt_sigreturn` takes back (linux,
//! arch/x86/include/asm/sigframe.h and arch/x86/include/uapi/asm/sigcontext.h).

use alloc::vec::Vec;

use exo_rt::context::{self, Context, EXTENDED_BYTES, EXTENDED_HEADER};
use exo_rt::upcall::Fault;
use linux_raw_sys::general::SS_AUTODISARM;

use super::state::{Action, AlternateStack, ThreadSignals};
use super::{INFORMATION_BYTES, Information};
use crate::calls::program;
use crate::errno::{Errno, Result};
use crate::process::Process;

/// Bytes below the stack pointer that a function may use (System V ABI for x86-64, section 3.2.2).
const RED_ZONE: u64 = 128;
/// Words of `struct ucontext`: flags, link, stack, registers, mask.
const CONTEXT_WORDS: usize = 2 + 3 + REGISTER_WORDS + 1;
/// Words of `struct sigcontext_64`.
const REGISTER_WORDS: usize = 32;
/// Where they begin in the context.
const REGISTERS: usize = 5;
/// `UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS`, and `UC_FP_XSTATE` where there is more than x87 and SSE.
const FLAGS: u64 = 6;
const FLAG_EXTENDED: u64 = 1;
/// Selectors of ring 3 as Linux has them: CS, GS, FS, SS.
const SELECTORS: u64 = 0x33 | 0x2b << 48;
/// Bytes of what `fxsave64` writes.
const LEGACY_BYTES: usize = 512;
/// End of the header behind it, and of AVX.
const HEADER_END: usize = EXTENDED_HEADER + 64;
const AVX_END: usize = HEADER_END + 256;
/// Where what follows it is described: `struct _fpx_sw_bytes`.
const DESCRIPTION: usize = 464;
const MAGIC_FIRST: u32 = 0x4650_5853;
const MAGIC_LAST: u32 = 0x4650_5845;
/// Flags that a handler may change for what it interrupted: those of ring 3 arithmetic, and TF, DF, RF, AC.
const CHANGEABLE: u64 = 0x5_0dd5;
/// Those that are always set.
const FLAGS_SET: u64 = 0x202;
/// Direction, trap, resume: clear in a handler.
const FLAGS_CLEAR: u64 = 0x1_0500;
/// x87 and SSE, as components of the extended state.
const LEGACY_COMPONENTS: u64 = 3;
/// MXCSR and its mask in what `fxsave64` writes.
const MXCSR: core::ops::Range<usize> = 24..28;
const MXCSR_MASK: core::ops::Range<usize> = 28..32;
/// The mask where the processor tells none (Intel SDM volume 1, section 11.6.6).
const MXCSR_MASK_DEFAULT: u32 = 0xffbf;
/// First address that is none of a program.
const LOWER_HALF_END: u64 = 1 << 47;

fn put(bytes: &mut [u8], place: usize, value: &[u8]) {
    if let Some(target) = bytes.get_mut(place..place + value.len()) {
        target.copy_from_slice(value);
    }
}

fn number(bytes: &[u8], place: core::ops::Range<usize>) -> u32 {
    let number = bytes.get(place).and_then(|bytes| bytes.try_into().ok());
    number.map_or(0, u32::from_le_bytes)
}

/// Bytes of x87, SSE and what the processor has beyond, up to the last of these components that is not as after reset.
fn used_bytes(there: u32) -> usize {
    const AVX: u32 = 1 << 2;
    const AVX512: u32 = 0b111 << 5;
    match there {
        there if there & AVX512 != 0 => EXTENDED_BYTES,
        there if there & AVX != 0 => AVX_END,
        _ => HEADER_END,
    }
}

/// Adds them, as a frame has them; what follows in the frame has no meaning, but for the magic number at the end of all.
fn encode_vectors(context: &Context, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.extend_from_slice(&context.registers.floating_point);
    let legacy = bytes.get_mut(start..).unwrap_or_default();
    let components = u64::from(context::components());
    if components == 0 {
        put(legacy, DESCRIPTION, &[0; LEGACY_BYTES - DESCRIPTION]);
        return;
    }
    let all = components | LEGACY_COMPONENTS;
    put(legacy, DESCRIPTION, &MAGIC_FIRST.to_le_bytes());
    let total = EXTENDED_BYTES as u32;
    put(legacy, DESCRIPTION + 4, &(total + 4).to_le_bytes());
    put(legacy, DESCRIPTION + 8, &all.to_le_bytes());
    put(legacy, DESCRIPTION + 16, &total.to_le_bytes());
    let there = number(&context.extended, EXTENDED_HEADER..EXTENDED_HEADER + 4);
    let extended = context.extended.get(LEGACY_BYTES..used_bytes(there));
    bytes.extend_from_slice(extended.unwrap_or_default());
    let there = (u64::from(there) | LEGACY_COMPONENTS) as u32;
    put(bytes, start + EXTENDED_HEADER, &there.to_le_bytes());
}

/// Takes back what a frame has of them. What the processor would refuse is left out.
fn decode_vectors(context: &mut Context, bytes: &[u8]) {
    let mask = match number(&context.registers.floating_point, MXCSR_MASK) {
        0 => MXCSR_MASK_DEFAULT,
        mask => mask,
    };
    let Some(legacy) = bytes.get(..LEGACY_BYTES) else {
        return;
    };
    let control = number(legacy, MXCSR) & mask;
    put(&mut context.registers.floating_point, 0, legacy);
    put(
        &mut context.registers.floating_point,
        MXCSR.start,
        &control.to_le_bytes(),
    );
    let components = context::components();
    put(&mut context.extended, MXCSR.start, &control.to_le_bytes());
    let extended = bytes.get(LEGACY_BYTES..).unwrap_or_default();
    put(&mut context.extended, LEGACY_BYTES, extended);
    // The header: which components are there; all else has to be zero (Intel SDM volume 1, section 13.4.2).
    let there = number(extended, 0..4) & components;
    put(&mut context.extended, EXTENDED_HEADER, &[0; 64]);
    put(&mut context.extended, EXTENDED_HEADER, &there.to_le_bytes());
}

/// `struct ucontext`.
fn encode_context(
    registers: &Fault,
    signals: &ThreadSignals,
    mask: u64,
    vectors: u64,
) -> [u64; CONTEXT_WORDS] {
    let r = registers;
    let [stack, stack_flags, stack_bytes] = signals.stack.encode(r.rsp);
    let [vector, error_code, address] = signals.exception;
    let flags = match context::components() {
        0 => FLAGS,
        _ => FLAGS | FLAG_EXTENDED,
    };
    let mut words = [0; CONTEXT_WORDS];
    let known = [
        flags,
        0,
        stack,
        stack_flags,
        stack_bytes,
        r.r8,
        r.r9,
        r.r10,
        r.r11,
        r.r12,
        r.r13,
        r.r14,
        r.r15,
        r.rdi,
        r.rsi,
        r.rbp,
        r.rbx,
        r.rdx,
        r.rax,
        r.rcx,
        r.rsp,
        r.rip,
        r.rflags,
        SELECTORS,
        error_code,
        vector,
        mask,
        address,
        vectors,
    ];
    for (word, value) in words.iter_mut().zip(known) {
        *word = value;
    }
    words[CONTEXT_WORDS - 1] = mask;
    words
}

/// Has the current thread enter a handler: puts the frame on its stack, and changes its registers.
pub fn enter(process: &mut Process, information: &Information, action: &Action) -> Result<()> {
    let thread = &process.threads.current;
    let signals = &thread.signals;
    let pointer = thread.context.registers.rsp;
    let stack = signals.stack;
    let top = if action.wants_stack() && stack.bytes != 0 && !stack.is_used(pointer) {
        stack.start.wrapping_add(stack.bytes)
    } else {
        pointer.wrapping_sub(RED_ZONE)
    };
    let vector_bytes = match context::components() {
        0 => LEGACY_BYTES,
        _ => EXTENDED_BYTES + size_of_val(&MAGIC_LAST),
    };
    let vectors_at = top.wrapping_sub(vector_bytes as u64) & !63;
    let mask = signals.mask_before.unwrap_or(signals.mask);
    let context = encode_context(&thread.context.registers, signals, mask, vectors_at);
    let bytes = (8 * (1 + CONTEXT_WORDS) + INFORMATION_BYTES) as u64;
    let frame = (vectors_at.wrapping_sub(bytes) & !15).wrapping_sub(8);

    let gap = vectors_at.wrapping_sub(frame) as usize;
    let mut content = Vec::with_capacity(gap + vector_bytes);
    for word in core::iter::once(&action.restorer).chain(&context) {
        content.extend_from_slice(&word.to_le_bytes());
    }
    content.extend_from_slice(&information.encode());
    content.resize(gap, 0);
    encode_vectors(&thread.context, &mut content);
    // One that overflows the alternate stack is not to write below it.
    if stack.is_used(top) && frame < stack.start {
        return Err(Errno::EFAULT);
    }
    program::write(process, frame, &content)?;
    if vector_bytes > LEGACY_BYTES {
        let end = vectors_at + EXTENDED_BYTES as u64;
        program::write(process, end, &MAGIC_LAST.to_le_bytes())?;
    }

    let thread = &mut process.threads.current;
    if stack.flags & SS_AUTODISARM != 0 && top == stack.start.wrapping_add(stack.bytes) {
        thread.signals.stack = AlternateStack::NONE;
    }
    let registers = &mut thread.context.registers;
    registers.rdi = u64::from(information.signal);
    registers.rsi = frame + 8 * (1 + CONTEXT_WORDS) as u64;
    registers.rdx = frame + 8;
    registers.rax = 0;
    registers.rsp = frame;
    registers.rip = action.handler;
    registers.rflags = registers.rflags & !FLAGS_CLEAR | FLAGS_SET;
    Ok(())
}

/// Takes back what the frame at the stack pointer of the current thread has: its handler has returned.
pub fn leave(process: &mut Process) -> Result<()> {
    let pointer = process.threads.current.context.registers.rsp;
    let words: [u64; CONTEXT_WORDS] = program::read_words(process, pointer)?;
    let mut registers = [0; REGISTER_WORDS];
    for (register, word) in registers.iter_mut().zip(words.iter().skip(REGISTERS)) {
        *register = *word;
    }
    let [
        r8,
        r9,
        r10,
        r11,
        r12,
        r13,
        r14,
        r15,
        rdi,
        rsi,
        rbp,
        rbx,
        rdx,
        rax,
        rcx,
        rsp,
        rip,
        rflags,
        _selectors,
        _error,
        _vector,
        _mask,
        _address,
        vectors_at,
        ..,
    ] = registers;
    if rip >= LOWER_HALF_END {
        return Err(Errno::EFAULT);
    }
    let mut vectors = [0; EXTENDED_BYTES];
    let mut known = 0;
    if vectors_at != 0 {
        known = LEGACY_BYTES;
        let legacy = vectors.get_mut(..known).unwrap_or_default();
        program::read_into(process, vectors_at, legacy)?;
        if context::components() != 0
            && number(&vectors, DESCRIPTION..DESCRIPTION + 4) == MAGIC_FIRST
        {
            let header = vectors.get_mut(known..HEADER_END).unwrap_or_default();
            program::read_into(process, vectors_at + known as u64, header)?;
            known = used_bytes(number(&vectors, EXTENDED_HEADER..EXTENDED_HEADER + 4));
            let rest = vectors.get_mut(HEADER_END..known).unwrap_or_default();
            program::read_into(process, vectors_at + HEADER_END as u64, rest)?;
        }
    }
    let thread = &mut process.threads.current;
    let there = &mut thread.context.registers;
    (there.r8, there.r9, there.r10, there.r11) = (r8, r9, r10, r11);
    (there.r12, there.r13, there.r14, there.r15) = (r12, r13, r14, r15);
    (there.rdi, there.rsi, there.rbp, there.rbx) = (rdi, rsi, rbp, rbx);
    (there.rdx, there.rax, there.rcx) = (rdx, rax, rcx);
    (there.rsp, there.rip) = (rsp, rip);
    there.rflags = there.rflags & !CHANGEABLE | rflags & CHANGEABLE | FLAGS_SET;
    let vectors = vectors.get(..known).unwrap_or_default();
    decode_vectors(&mut thread.context, vectors);
    let [_, _, start, flags, bytes, ..] = words;
    let stack = AlternateStack {
        start,
        flags: flags as u32 & SS_AUTODISARM,
        bytes,
    };
    if stack.flags != 0 {
        thread.signals.stack = stack;
    }
    thread.signals.mask = words[CONTEXT_WORDS - 1] & !super::UNBLOCKABLE;
    Ok(())
}
