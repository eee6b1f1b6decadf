// Into ring 3, and back once at boot.

// resume_environment(rdi = where in the interface page, rsi = top of the kernel stack, rdx = rax of ring 3). Does not return. All other
// registers are left to the code there, which lets nothing of them out. Flags: interrupts on, all else clear.
.section .text.switch, "ax"
.globl resume_environment
resume_environment:
    movq %rsi, %rsp
    pushq ${user_data}
    pushq $0
    pushq ${user_flags}
    pushq ${user_code}
    pushq %rdi
    movq %rdx, %rax
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

.section .bss
.balign 8
probe_stack: .quad 0
