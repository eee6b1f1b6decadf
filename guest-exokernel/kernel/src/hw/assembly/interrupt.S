// Interrupts by devices, by other vCPUs and by the timer, from ring 3 or from an idle kernel, on a stack of their own (IST): the exception
// frame of an environment
// may be unread on the other.

.section .stubs, "ax"
.balign 8
device_interrupts:
.set vector, 0
.rept {device_vectors} + {own_vectors}
    pushq $vector
    jmp device_interrupt
    .balign 8
    .set vector, vector + 1
.endr

// Entered with: a word pushed below what the CPU pushed, the argument of the handler. Leaves as it came, or, where the handler returns 1,
// for whoever is next, on the kernel stack.
.macro HANDLE_INTERRUPT handler
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    subq $8, %rsp                               // rsp is a multiple of 16 for the call
    cld
    movq 80(%rsp), %rdi
    call \handler
    testl %eax, %eax
    jnz interrupted_ended
    addq $8, %rsp
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rax
    addq $8, %rsp
    iretq
.endm

device_interrupt:                               // with the number of the device vector
    HANDLE_INTERRUPT {handle_interrupt}

// From another vCPU: to forget translations, or to look for whom to run.
neighbour_interrupt:
    pushq $0
    HANDLE_INTERRUPT {handle_neighbour}

interrupted_ended:
    orq $((1 << {area_shift}) - 1), %rsp        // the kernel stack ends where the area of this vCPU does
    incq %rsp
    call {leave_ended}

ignored_interrupt:
    iretq

// All registers as slice_interrupt saves them; a forced switch copies them in that order. Flags stay as they are.
.macro RESTORE_REGISTERS
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rbp
    popq %rdi
    popq %rsi
    popq %rbx
    popq %rdx
    popq %rcx
    popq %rax
.endm

// The end of a slice, told to the libOS as an upcall.
//
// Entered from ring 3 by the timer: the CPU has pushed SS, RSP, RFLAGS, CS, RIP below S, the slice stack top in the environment page
// of whoever runs. Leaves to ring 3: at the libOS's entry, on its slice stack, with what it interrupted in slice_upcall_frame, and the timer
// armed for the moment at which it is too late to yield.
//
// What is no case for that (the libOS asked for no upcall, has not taken the last frame, is too late, or the slice that ended was
// another's) goes to end_slice, with all registers saved below S.
.balign 8
.globl slice_interrupt
slice_interrupt:
    testb $3, 8(%rsp)
    jz slice_interrupt_in_kernel
    pushq %rax
    pushq %rcx
    pushq %rdx
    movq ({kernel_stack_above_slice} + 64)(%rsp), %rcx
    testb ${outside_program}, 29(%rsp)          // RIP in the interface page: its turn has not begun, perhaps
    jnz slice_interrupt_slow
    rdtsc
    subl ({area_since} - (1 << {area_shift}))(%rcx), %eax
    subl ({area_allowance} - (1 << {area_shift}))(%rcx), %eax
    cmpl ({slice_grace} + 64)(%rsp), %eax       // before the end: a huge number; without an entry no time is given
    jae slice_interrupt_slow
    addl $0x80000001, ({slice_credit} + 64)(%rsp)
    jnc slice_interrupt_without_credit
    movb $1, ({area_grace} - (1 << {area_shift}))(%rcx)
    movq 24(%rsp), %rax                         // RIP, RFLAGS, RSP: the timer may push here again before they are read
    movq %rax, ({slice_upcall_frame} + 64)(%rsp)
    movq 40(%rsp), %rax
    movq %rax, ({slice_upcall_frame} + 72)(%rsp)
    movq 48(%rsp), %rax
    movq %rax, ({slice_upcall_frame} + 80)(%rsp)
    rdtsc
    addl ({slice_grace} + 64)(%rsp), %eax
    adcl $0, %edx
    movl ${msr_tsc_deadline}, %ecx
    wrmsr
    xorl %eax, %eax
    xorl %edx, %edx
    movl ${msr_eoi}, %ecx
    wrmsr
    popq %rdx
    popq %rcx
    popq %rax
slice_upcall:
    pushq ({slice_stack_segment} + 40)(%rsp)    // each push moves rsp down by 8: SS, RSP, RFLAGS, CS, RIP
    pushq ({slice_stack_segment} + 40)(%rsp)
    pushq ({slice_stack_segment} + 40)(%rsp)
    pushq ({slice_stack_segment} + 40)(%rsp)
    pushq ({slice_stack_segment} + 40)(%rsp)
    iretq
.globl slice_interrupt_slow
slice_interrupt_without_credit:
    subl $0x80000001, ({slice_credit} + 64)(%rsp) // where none was, the addition has made one
slice_interrupt_slow:
    pushq %rbx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rbx
    movq %rcx, %rsp                             // the kernel stack, which nothing else uses while ring 3 runs
    call {end_slice}
    movq %rbx, %rsp
    testl %eax, %eax
    RESTORE_REGISTERS
    jnz slice_upcall
    iretq
slice_interrupt_in_kernel:
    pushq ${timer_number}
    jmp device_interrupt
