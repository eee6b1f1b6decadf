// Kernel calls: from ring 3 by int3 or syscall, through one table, back to ring 3.
//
// Entered with: rax = call number, arguments in rdi rsi rdx r10 r8 r9. Interrupts are off.
// Leaves with: rax = status, rdx = value; rcx rsi rdi r8..r11 lost, the others untouched.
// The kernel uses no SSE register, so these need no care here.

// From the stack of ring 3 to that of the kernel, with the same five words as int3 would push. GS is the kernel's for two moves.
.macro ENTER_FROM_SYSCALL
    swapgs
    movq %rsp, %gs:{area_user_stack}
    movq %gs:{area_kernel_stack}, %rsp
    pushq ${user_data}
    pushq %gs:{area_user_stack}
    swapgs
    pushq %r11
    pushq ${user_code}
    pushq %rcx
.endm

.section .stubs, "ax"

// int3 comes on the kernel stack of the vCPU (IST): SS, RSP, RFLAGS, CS, RIP are pushed at its top.
gate_breakpoint:
    subq ${call_base}, %rax
    cmpq ${call_count}, %rax
    jae reflect_breakpoint
    jmpq *breakpoint_calls(, %rax, 8)
breakpoint_null:
    xorl %eax, %eax
    iretq
breakpoint_call:
    cld                                         // the interrupt gate leaves the direction flag as ring 3 had it
    movq %r10, %rcx
    pushq %rax                                  // seventh argument; and now rsp is a multiple of 16
    call {handle_call}
    popq %rcx
    iretq

// syscall comes on the stack of ring 3, with rip in rcx and rflags in r11; SFMASK has cleared IF, DF, TF, AC and NT.
.globl gate_syscall
gate_syscall:
    subq ${call_base}, %rax
    cmpq ${call_count}, %rax
    jae reflect_syscall
    jmpq *syscall_calls(, %rax, 8)
syscall_null:
    xorl %eax, %eax
    sysretq                                     // rcx is canonical: nothing is mapped in the last page of the lower half
syscall_call:
    ENTER_FROM_SYSCALL
    movq %r10, %rcx
    pushq %rax
    call {handle_call}
    popq %rcx
    popq %rcx
    addq $8, %rsp
    popq %r11
    popq %rsp
    sysretq

// Not a kernel call: the libOS gets it as an upcall, with all registers as they were (rcx and r11 as syscall left them).
reflect_breakpoint:
    addq ${call_base}, %rax
    pushq %rdi
    movl $3, %edi
    jmp reflect
reflect_syscall:
    addq ${call_base}, %rax
    ENTER_FROM_SYSCALL
    pushq %rdi
    movl ${vector_syscall}, %edi
reflect:
    pushq %rsi
    pushq %rdx
    pushq %rcx
    pushq %rax
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11                                  // with the five words of the frame, rsp is a multiple of 16
    cld
    call {reflect_upcall}                       // rewrites the five words at the top of the stack
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rax
    popq %rcx
    popq %rdx
    popq %rsi
    popq %rdi
    iretq

.section .rodata
.balign 8
breakpoint_calls:
    .quad breakpoint_null
    .rept {call_count} - 1
    .quad breakpoint_call
    .endr
syscall_calls:
    .quad syscall_null
    .rept {call_count} - 1
    .quad syscall_call
    .endr
