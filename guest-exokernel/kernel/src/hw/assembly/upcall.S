// Exceptions of ring 3 become upcalls, in ten instructions and without a register.
//
// Entered from ring 3: the CPU has pushed SS, RSP, RFLAGS, CS, RIP (and an error code) below S, the exception stack top in the
// environment page of whoever runs: RSP0 points there. Interrupts are off. All registers are the libOS's and stay so.
// Leaves to ring 3: at the libOS's entry for this vector, on its upcall stack, with what the CPU pushed readable below S.
// S and what follows it (upcall segments, stack, flags, entries; in the next page the credit) are laid out in exo_abi::environment.

.section .stubs, "ax"
.balign 4096
.globl stubs
stubs:

// `pushed` = bytes between S and rsp when the five words are pushed.
.macro PUSH_UPCALL vector, pushed
    pushq ({upcall_stack_segment} + \pushed)(%rsp)      // SS; each push moves rsp down by 8, so that
    pushq ({upcall_stack_segment} + \pushed)(%rsp)      // RSP    the same displacement reads the word
    pushq ({upcall_stack_segment} + \pushed)(%rsp)      // RFLAGS below the one before
    pushq ({upcall_stack_segment} + \pushed)(%rsp)      // CS
    pushq ({upcall_entries} + 8 * \vector + \pushed + 32)(%rsp)
    iretq
.endm

// The stub takes the credit that the libOS has put into its call page: the addition carries if bit 31 was set, clears it, and
// counts the upcall. Without credit the last frame is not taken yet, and the environment is ended.
.macro UPCALL vector, error_code=0
upcall_\vector:
    testb $3, (8 + \error_code)(%rsp)           // from ring 0: the kernel itself is at fault
    jz kernel_fault_\vector
    addl $0x80000001, ({upcall_credit} + 40 + \error_code)(%rsp)
    jnc refuse_\vector
    PUSH_UPCALL \vector, (40 + \error_code)
refuse_\vector:
    movl $\vector, %esi
    jmp refuse_upcall
kernel_fault_\vector:
    movl $\vector, %esi
    jmp kernel_faulted
.endm

    UPCALL 0
    UPCALL 1
    UPCALL 4
    UPCALL 5
    UPCALL 6
    UPCALL 7
    UPCALL 10, 8
    UPCALL 11, 8
    UPCALL 12, 8
    UPCALL 13, 8
    UPCALL 16
    UPCALL 17, 8
    UPCALL 19

// A page fault has CR2 too.
upcall_14:
    testb $3, 16(%rsp)
    jz kernel_fault_14
    addl $0x80000001, ({upcall_credit} + 48)(%rsp)
    jnc refuse_14
    pushq %rax
    movq %cr2, %rax
    xchgq %rax, (%rsp)
    PUSH_UPCALL 14, 56
refuse_14:
    movl $14, %esi
    jmp refuse_upcall
kernel_fault_14:
    movl $14, %esi
    jmp kernel_faulted

// Entered with rsp in an environment page, at what the CPU pushed; esi = vector. The environment will not run again.
refuse_upcall:
    cld
    movq %rsp, %rdi
    andq $-4096, %rsp
    movq {kernel_stack}(%rsp), %rsp
    call {abort_environment}
    ud2

// Entered in ring 0, at what the CPU pushed on the stack it was on; esi = vector.
kernel_faulted:
    cld
    movq %rsp, %rdi
    andq $-16, %rsp
    call {report_kernel_fault}
    ud2

.macro MACHINE_FAULT vector
machine_fault_\vector:
    movl $\vector, %esi
    jmp kernel_faulted
.endm
    MACHINE_FAULT 2
    MACHINE_FAULT 8
    MACHINE_FAULT 9
    MACHINE_FAULT 15
    MACHINE_FAULT 18
