// Kernel calls: from ring 3 by int3 or syscall, through one table, back to ring 3.
//
// Entered with: rax = call number, arguments in rdi rsi rdx r10 r8 r9. Interrupts are off.
// Leaves with: rax = status, rdx = value; rcx rsi rdi r8..r11 lost, the others untouched.
// The kernel uses no SSE register, so these need no care here.
//
// Both gates leave SS, RSP, RFLAGS, CS, RIP of ring 3 below S, the exception stack top in the environment page of the caller,
// where it stays until the caller goes on: so an environment that gives up the vCPU has been saved by its entry.

// What the CPU does by itself for int3: RSP0 of the task state segment is S. GS is the kernel's for some moves.
.macro ENTER_FROM_SYSCALL
    swapgs
    movq %rsp, %gs:{area_user_stack}
    movq %gs:{area_exception_stack}, %rsp
    movq (%rsp), %rsp
    pushq ${user_data}
    pushq %gs:{area_user_stack}
    swapgs
    pushq %r11
    pushq ${user_code}
    pushq %rcx
.endm

// Takes the kernel's lock, counts the call, and goes from the environment page to the kernel stack of the vCPU and to the handler of the
// call; then rsp is at RIP of ring 3 again, and the lock is free.
.macro CALL_HANDLER
    lock btsl $0, {kernel_lock}                 // free: clear
    jc 8f
7:  incq {sequence}
    movq {transfer_record}(%rsp), %rcx
    incq {record_calls}(%rcx, %rax, 8)
    cld                                         // the interrupt gate leaves the direction flag as ring 3 had it
    movq %r10, %rcx
    movl {page_id}(%rsp), %r9d                  // sixth argument
    movq {kernel_stack_above_frame}(%rsp), %r11
    movq %rsp, -16(%r11)                        // seventh argument
    leaq -16(%r11), %rsp                        // a multiple of 16
    callq *{handlers}(, %rax, 8)
    popq %rsp
    incq {sequence}
    movl $0, {kernel_lock}
.endm

// Behind a CALL_HANDLER: another vCPU has the lock.
.macro WAIT_FOR_LOCK
8:  cld
    movq %rsp, %r11
    movq {kernel_stack_above_frame}(%rsp), %rsp
    pushq %rax
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %r10
    pushq %r8
    pushq %r11
    pushq %r11                                  // rsp is a multiple of 16
    call {wait_for_lock}
    popq %r11
    popq %r11
    popq %r8
    popq %r10
    popq %rdx
    popq %rsi
    popq %rdi
    popq %rax
    movq %r11, %rsp
    jmp 7b
.endm

.section .stubs, "ax"

gate_breakpoint:
    subq ${call_base}, %rax
    cmpq ${call_count}, %rax
    jae reflect_breakpoint
    jmpq *breakpoint_calls(, %rax, 8)
breakpoint_null:
    xorl %eax, %eax
    iretq
breakpoint_call:
    CALL_HANDLER
    iretq
    WAIT_FOR_LOCK

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
    CALL_HANDLER
    popq %rcx
    addq $8, %rsp
    popq %r11
    popq %rsp
    sysretq
    WAIT_FOR_LOCK

// Not a kernel call: the libOS gets it as an upcall, with all registers as they were (rcx and r11 as syscall left them).
.macro REFLECT vector
    addl $0x80000001, ({upcall_credit} + 40)(%rsp)
    jnc refuse_\vector
    PUSH_UPCALL \vector, 40
refuse_\vector:
    movl $\vector, %esi
    jmp refuse_upcall
.endm
reflect_breakpoint:
    addq ${call_base}, %rax
    REFLECT 3
reflect_syscall:
    addq ${call_base}, %rax
    ENTER_FROM_SYSCALL
    REFLECT {vector_syscall}

.section .rodata
.balign 8
// A table of one gate: null, yield and transfers have ways of their own.
.macro CALLS gate
    .set position, 0
    .rept {call_count}
    .if position == 0
    .quad \gate\()_null
    .elseif position == {call_yield}
    .quad \gate\()_yield
    .elseif position == {call_transfer}
    .quad \gate\()_transfer
    .elseif position == {call_transfer_reply}
    .quad \gate\()_transfer_reply
    .elseif position == {call_transfer_asynchronous}
    .quad \gate\()_transfer_asynchronous
    .else
    .quad \gate\()_call
    .endif
    .set position, position + 1
    .endr
.endm
breakpoint_calls:
    CALLS breakpoint
syscall_calls:
    CALLS syscall
