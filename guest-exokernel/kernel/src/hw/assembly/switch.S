// Into an environment: nothing of whoever ran before is left in a register that the kernel can reach.

// resume_environment(rdi = rip, rsi = rsp, rdx = top of the kernel stack, rcx and r8 = what ring 3 finds in rcx and rax). Does not
// return.
.section .text.switch, "ax"
.globl resume_environment
resume_environment:
    fxrstorq clean_state(%rip)                  // x87 and SSE as after reset
    movq %rdx, %rsp
    pushq ${user_data}
    pushq %rsi
    pushq ${user_flags}
    pushq ${user_code}
    pushq %rdi
    xorl %eax, %eax
    movl %eax, %ds                              // iretq clears only what ring 3 may not use
    movl %eax, %es
    movl %eax, %fs                              // the bases are zero already
    movl %eax, %gs
    movq %r8, %rax
    xorl %ebx, %ebx
    xorl %edx, %edx
    xorl %esi, %esi
    xorl %edi, %edi
    xorl %ebp, %ebp
    xorl %r8d, %r8d
    xorl %r9d, %r9d
    xorl %r10d, %r10d
    xorl %r11d, %r11d
    xorl %r12d, %r12d
    xorl %r13d, %r13d
    xorl %r14d, %r14d
    xorl %r15d, %r15d
    iretq

// resume_saved(rdi = saved state, as EnvironmentPage lays it out). Does not return. Selectors and bases are set already.
.globl resume_saved
resume_saved:
    fxrstorq (%rdi)
    leaq 512(%rdi), %rsp
    RESTORE_REGISTERS
    iretq

// probe_gate(rdi = address of a syscall instruction of ring 3) -> 1 where syscall enters ring 0, 0 where it ends in a page fault. The
// caller has let the syscall entry and the page-fault gate lead to the two ways back, and restores them afterwards.
.globl probe_gate
probe_gate:
    pushq %rbx
    pushq %rbp
    movq %rsp, probe_stack(%rip)
    pushq ${user_data}
    pushq $0
    pushq $2                                    // interrupts stay off
    pushq ${user_code}
    pushq %rdi
    iretq
.section .stubs, "ax"
.globl probe_by_syscall
probe_by_syscall:
    movl $1, %eax
    jmp 1f
.globl probe_by_fault
probe_by_fault:
    xorl %eax, %eax
1:  movq probe_stack(%rip), %rsp
    popq %rbp
    popq %rbx
    ret

.section .rodata
.balign 16
clean_state:
    .word 0x37f                                 // x87 control word after fninit
    .fill 22, 1, 0
    .long 0x1f80                                // MXCSR after reset
    .fill 484, 1, 0
.section .bss
.balign 8
probe_stack: .quad 0
